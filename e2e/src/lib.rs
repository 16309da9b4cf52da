//! End-to-end tests: they talk only to running programs
