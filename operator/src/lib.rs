//! The Kubernetes operator: Registry objects in, running registries out
