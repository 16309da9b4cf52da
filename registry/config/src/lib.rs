//! The configuration file of portolan-registry, as types
