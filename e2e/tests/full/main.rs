//! The operator and the registry on a real cluster, one namespace per test, all at the same time. What needs the
//! cluster for itself is in `settled`.

mod access;
mod certificates;
mod claims;
mod foreign;
mod inputs;
mod journey;
mod repair;
mod survival;
mod suspension;
mod variants;
mod volumes;

use std::path::Path;

use anyhow::Result;
use portolan_e2e::image::{self, Image};
use portolan_e2e::scene::Scene;

/// An image whose Pod prints a text that exists nowhere else, so that its layer must come from the registry.
async fn hello(scene: &Scene, about: &str) -> Result<Image> {
    let message = format!("hello from {} about {about}", scene.namespace);
    image::build(
        &scene.directory()?,
        Path::new(env!("CARGO_BIN_EXE_hello")),
        &message,
    )
    .await
}
