//! Makes the image that the tests push: an OCI layout of three layers (the C library, the program `hello`, a message of
//! the test's own), so that a Pod that prints the message has pulled it from the registry under test.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::command::{command, output};

/// An OCI layout on disk.
#[derive(Debug)]
pub struct Image {
    pub layout: PathBuf,
    pub digest: String,
    pub message: String,
}

/// Builds the layout in `directory` (which must be empty) from a dynamically linked `program`.
pub async fn build(directory: &Path, program: &Path, message: &str) -> Result<Image> {
    let layout = directory.join("layout");
    let blobs = layout.join("blobs/sha256");
    std::fs::create_dir_all(&blobs)?;

    let (libraries, hello, text) = (
        directory.join("libraries"),
        directory.join("program"),
        directory.join("message"),
    );
    for library in libraries_of(program).await? {
        install(&library, &libraries.join(library.strip_prefix("/")?))?;
    }
    install(program, &hello.join("hello"))?;
    std::fs::create_dir_all(&text)?;
    std::fs::write(text.join("message"), message)?;

    let (mut layers, mut diff_ids) = (Vec::new(), Vec::new());
    for root in [&libraries, &hello, &text] {
        let file = archive(root).await?;
        diff_ids.push(format!("sha256:{}", hash(&std::fs::read(&file)?)));
        output(command("gzip", ["-n".as_ref(), file.as_os_str()])).await?;
        let zipped = std::fs::read(file.with_extension("tar.gz"))?;
        layers.push(store(
            &blobs,
            &zipped,
            "application/vnd.oci.image.layer.v1.tar+gzip",
        )?);
    }
    let config = json!({
        "architecture": architecture(), "os": "linux", "config": {"Entrypoint": ["/hello"], "User": "65532:65532"},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    let config = store(
        &blobs,
        &serde_json::to_vec(&config)?,
        "application/vnd.oci.image.config.v1+json",
    )?;
    let media_type = "application/vnd.oci.image.manifest.v1+json";
    let manifest = json!({"schemaVersion": 2, "mediaType": media_type, "config": config, "layers": layers});
    let manifest = store(&blobs, &serde_json::to_vec(&manifest)?, media_type)?;
    let digest = manifest["digest"].as_str().unwrap_or_default().to_owned();
    let index = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [manifest]});
    std::fs::write(layout.join("index.json"), serde_json::to_vec(&index)?)?;
    std::fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?;
    Ok(Image {
        layout,
        digest,
        message: message.to_owned(),
    })
}

/// The loader and the shared libraries, at the paths where the program looks for them.
async fn libraries_of(program: &Path) -> Result<Vec<PathBuf>> {
    let listed = output(command("ldd", [program])).await?;
    let paths = listed.split_whitespace().filter(|word| word.starts_with('/'));
    Ok(paths.map(PathBuf::from).collect())
}

fn install(from: &Path, to: &Path) -> Result<()> {
    let parent = to.parent().context("a file below the layer's root")?;
    std::fs::create_dir_all(parent)?;
    std::fs::copy(from, to).with_context(|| format!("cannot copy {} into the image", from.display()))?;
    Ok(())
}

/// A layer: everything below `root`, owned by root, the same bytes every time.
async fn archive(root: &Path) -> Result<PathBuf> {
    let file = root.with_extension("tar");
    let mut tar = command(
        "tar",
        [
            "--sort=name",
            "--mtime=@0",
            "--owner=0",
            "--group=0",
            "--numeric-owner",
            "-cf",
        ],
    );
    tar.arg(&file).arg("-C").arg(root).arg(".");
    output(tar).await?;
    Ok(file)
}

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .fold(String::new(), |hash, byte| format!("{hash}{byte:02x}"))
}

/// Writes a blob and returns its descriptor.
fn store(blobs: &Path, bytes: &[u8], media_type: &str) -> Result<Value> {
    let hash = hash(bytes);
    std::fs::write(blobs.join(&hash), bytes)?;
    Ok(json!({"mediaType": media_type, "digest": format!("sha256:{hash}"), "size": bytes.len()}))
}

/// Go's name of the machine this test runs on, which is also the node's.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
