//! Vocabulary of the OCI distribution and image specifications: pure values, no IO
