//! Registries for tests: minimal documents, read as the API server would hand them over and sent through the real steps.
