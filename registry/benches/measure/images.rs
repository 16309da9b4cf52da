//! Volumes full of small images: how many come in, a volume and what is on it come out. IO.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};
use portolan_oci::Digest;
use serde_json::{Value, json};

use super::layout::{BLOB, LINK, Layout, TAG};
use super::process::PROGRAM;
use super::progress::{Progress, phase};
use super::scratch::Scratch;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const IMAGES_IN_REPOSITORY: usize = 100;
/// Layers that only one image has.
const OWN_LAYERS: usize = 8;
/// Its config, its layers and its manifest.
const OWN_BLOBS: usize = OWN_LAYERS + 2;

/// How every second image was deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deleted {
    /// Its manifest was, as clients do it: tag and revision link have gone, and a collection removes what is left.
    Manifests,
    /// Only its tag was, or it was moved to another one: a collection removes its manifest, too.
    Tags,
}

/// A volume on which every second image was deleted and nothing was collected.
pub(crate) struct HalfGarbage {
    pub(crate) volume: PathBuf,
    /// `/v2/<repository>/manifests/<tag>` of images that are still there.
    pub(crate) paths: Vec<String>,
    pub(crate) blobs: usize,
    pub(crate) garbage: usize,
    /// Manifests that their repository still has, and no tag.
    pub(crate) untagged: usize,
}

fn images_of(blobs: usize) -> usize {
    (blobs / OWN_BLOBS).max(2)
}

pub(crate) fn inodes_of_half_garbage(blobs: usize) -> usize {
    let of_repositories = images_of(blobs).div_ceil(IMAGES_IN_REPOSITORY) * (BLOB + LINK);
    let of_images = images_of(blobs) * (OWN_BLOBS * BLOB + (OWN_LAYERS + 1) * LINK);
    of_repositories + of_images + images_of(blobs) * LINK + images_of(blobs) / 2 * TAG
}

pub(crate) fn inodes_of_many_images(images: usize, few: usize) -> usize {
    images * (BLOB + LINK + TAG) + images * TAG + few * TAG
}

/// Writes a volume with so many blobs, rounded to whole images: each has a config, eight layers of its own and one that it
/// shares with its repository. The layer links of deleted ones stay.
pub(crate) fn half_garbage(
    scratch: &Scratch,
    name: &str,
    blobs: usize,
    deleted: Deleted,
) -> anyhow::Result<HalfGarbage> {
    let volume = scratch.volume(name, inodes_of_half_garbage(blobs))?;
    let mut layout = Layout::new(&volume);
    let mut made = HalfGarbage {
        volume: volume.clone(),
        paths: Vec::new(),
        blobs: 0,
        garbage: 0,
        untagged: 0,
    };
    let images = images_of(blobs);
    let mut progress = Progress::new("Writing images", images);
    let mut shared = None;
    for image in 0..images {
        progress.at(image);
        let repository = format!(
            "team-{:02}/app-{}",
            image / 100 % 10,
            image / IMAGES_IN_REPOSITORY
        );
        if image % IMAGES_IN_REPOSITORY == 0 {
            let layer = Blob::write(
                &mut layout,
                &repository,
                LAYER,
                &format!("base of {repository}\n"),
            )?;
            shared = Some(layer);
            made.blobs += 1;
        }
        let mut layers: Vec<Value> = shared.iter().map(|layer| layer.descriptor.clone()).collect();
        for layer in 0..OWN_LAYERS {
            let bytes = format!("layer {layer} of image {image}\n");
            layers.push(Blob::write(&mut layout, &repository, LAYER, &bytes)?.descriptor);
        }
        let config = json!({"architecture": "amd64", "os": "linux", "number": image}).to_string();
        let config = Blob::write(&mut layout, &repository, CONFIG, &config)?;
        let digest = write_manifest(&mut layout, &config.descriptor, &layers)?;
        made.blobs += OWN_BLOBS;
        if image % 2 == 0 {
            layout.revision(&repository, &digest)?;
            let tag = format!("v{image}");
            layout.tag(&repository, &tag, &digest)?;
            made.paths.push(format!("/v2/{repository}/manifests/{tag}"));
        } else {
            made.garbage += OWN_BLOBS;
            if deleted == Deleted::Tags {
                layout.revision(&repository, &digest)?;
                made.untagged += 1;
            }
        }
    }
    progress.end();
    settle(&volume)?;
    Ok(made)
}

/// Writes a volume with so many images of one layer that all of them share, `tags/many` with as many tags and `tags/few`
/// with `few` tags.
pub(crate) fn many_images(
    scratch: &Scratch,
    name: &str,
    images: usize,
    few: usize,
) -> anyhow::Result<PathBuf> {
    let volume = scratch.volume(name, inodes_of_many_images(images, few))?;
    let mut layout = Layout::new(&volume);
    let mut progress = Progress::new("Writing images", images);
    let layer = layout.blob(b"the only layer\n")?;
    let layers = [descriptor(LAYER, &layer, 15)];
    let config = layout.blob(b"{}")?;
    for image in 0..images {
        progress.at(image);
        let repository = format!(
            "team-{:02}/app-{}",
            image / 100 % 10,
            image / IMAGES_IN_REPOSITORY
        );
        if image % IMAGES_IN_REPOSITORY == 0 {
            layout.layer(&repository, &layer)?;
            layout.layer(&repository, &config)?;
        }
        let mut document = manifest(&descriptor(CONFIG, &config, 2), &layers);
        document["annotations"] = json!({"number": image.to_string()});
        let digest = layout.blob(document.to_string().as_bytes())?;
        layout.revision(&repository, &digest)?;
        layout.tag(&repository, &format!("v{image}"), &digest)?;
    }
    progress.end();
    for (repository, tags) in [("tags/many", images), ("tags/few", few)] {
        let mut progress = Progress::new("Writing tags", tags);
        layout.layer(repository, &layer)?;
        layout.layer(repository, &config)?;
        let digest = write_manifest(&mut layout, &descriptor(CONFIG, &config, 2), &layers)?;
        layout.revision(repository, &digest)?;
        for tag in 0..tags {
            progress.at(tag);
            layout.tag(repository, &tag_name(tag), &digest)?;
        }
        progress.end();
    }
    settle(&volume)?;
    Ok(volume)
}

/// They sort by number.
pub(crate) fn tag_name(number: usize) -> String {
    format!("v{number:07}")
}

/// Lets the program itself check what is written here: that it is what it would have written.
pub(crate) fn prove_layout(scratch: &Scratch) -> anyhow::Result<()> {
    let deleted = half_garbage(scratch, "p1", 200, Deleted::Manifests)?.volume;
    let untagged = half_garbage(scratch, "p2", 200, Deleted::Tags)?.volume;
    let tags = many_images(scratch, "p3", 20, 5)?;
    for volume in [deleted, untagged, tags] {
        check(&volume, true)?;
        std::fs::remove_dir_all(volume)?;
    }
    Ok(())
}

/// Fails when a check of the volume finds anything.
pub(crate) fn check(volume: &Path, deep: bool) -> anyhow::Result<()> {
    let mut command = Command::new(PROGRAM);
    command.arg("fsck").arg("--directory").arg(volume);
    if deep {
        command.arg("--deep");
    }
    let output = phase("Checking the volume", || command.output());
    let output = output.context("cannot run fsck")?;
    if !output.status.success() {
        bail!(
            "fsck of \"{}\" says: {}{}",
            volume.display(),
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(())
}

/// Removes a volume; of a large one that takes as long as making it.
pub(crate) fn remove(volume: &Path) -> anyhow::Result<()> {
    phase("Removing the volume", || std::fs::remove_dir_all(volume))
        .with_context(|| format!("cannot remove \"{}\"", volume.display()))
}

/// What is measured next does not wait for what was written before.
fn settle(path: &Path) -> anyhow::Result<()> {
    let volume = std::fs::File::open(path)?;
    Ok(phase("Waiting for the disk", || rustix::fs::syncfs(volume))?)
}

const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// A blob that its repository may read.
struct Blob {
    descriptor: Value,
}

impl Blob {
    fn write(layout: &mut Layout, repository: &str, media_type: &str, text: &str) -> std::io::Result<Self> {
        let digest = layout.blob(text.as_bytes())?;
        layout.layer(repository, &digest)?;
        Ok(Self {
            descriptor: descriptor(media_type, &digest, text.len()),
        })
    }
}

fn descriptor(media_type: &str, digest: &Digest, size: usize) -> Value {
    json!({"mediaType": media_type, "digest": digest, "size": size})
}

pub(crate) fn manifest(config: &Value, layers: &[Value]) -> Value {
    json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers})
}

fn write_manifest(layout: &mut Layout, config: &Value, layers: &[Value]) -> std::io::Result<Digest> {
    layout.blob(manifest(config, layers).to_string().as_bytes())
}
