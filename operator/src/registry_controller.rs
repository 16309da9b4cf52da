//! From `Registry` objects to running registries: watches, and the passes that they trigger. IO; each pass calls the
//! steps in order and decides nothing itself.

pub mod build;
pub mod dereference;
pub mod material;
pub mod observed;
pub mod validate;
