//! A container registry server: the OCI distribution protocol over a volume
