//! What a check of a volume has found. Plain values; no IO.

use std::path::PathBuf;

use portolan_oci::RepositoryName;
use serde::{Deserialize, Serialize};

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FindingKind {
    /// Bytes are not what their digest says.
    ContentDamaged,
    /// A manifest that the repository has is not on the volume.
    ManifestLost,
    /// Something that an accepted manifest names was there once, and is not any more.
    ReferenceLost,
    /// A tag names a manifest that the repository does not have.
    TagDangling,
    /// Nobody can tell what a tag names.
    TagUnreadable,
    /// A link holds something else than a digest.
    LinkDamaged,
    /// No list of referrers shows a manifest under its subject, which looks as if nothing referred to it.
    ReferrerUnlisted,
    /// A manifest is listed wrongly among the referrers of its subject.
    ReferrerWrong,
    /// A record of the private tree is not what it should be.
    RecordDamaged,
    /// Something that this version does not know, and that might keep other things.
    NotUnderstood,
    /// It cannot be read at all.
    Unreadable,
}

impl FindingKind {
    /// What to do about it, when `fsck --repair` has not helped.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::ContentDamaged => {
                "push it again, which replaces it; `fsck --deep --repair` moves it aside until then"
            }
            Self::ManifestLost | Self::ReferenceLost => "push the image again, or delete the manifest",
            Self::TagDangling | Self::TagUnreadable => "push the tag again, or delete it",
            Self::LinkDamaged => {
                "push the content to this repository again; until then garbage collection refuses to run"
            }
            Self::ReferrerUnlisted | Self::ReferrerWrong => "run `fsck --repair`",
            Self::RecordDamaged => {
                "restore the file from a backup; until then garbage collection may refuse to run, or keep more"
            }
            Self::NotUnderstood => "what the sentence says; until then garbage collection refuses to run",
            Self::Unreadable => "look at the disk and at the owner and mode of the file",
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    pub kind: FindingKind,
    /// Whose it is; none for what belongs to all.
    pub repository: Option<RepositoryName>,
    /// The tag or digest that it is about.
    pub what: String,
    /// The file, below the directory of the volume.
    pub path: PathBuf,
    /// A sentence.
    pub problem: String,
}

/// How much was looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Looked {
    pub repositories: u64,
    pub tags: u64,
    pub manifests: u64,
    pub links: u64,
    pub blobs: u64,
    /// Bytes that were hashed.
    pub bytes: u64,
}

/// What is there and is no harm: crashes, other registries and garbage leave it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Leftovers {
    /// Content that no repository has: garbage collection gives it back.
    pub unreferenced_blobs: u64,
    pub unreferenced_bytes: u64,
    /// Links of blobs whose content is gone, and that no manifest needs: they count as unknown.
    pub links_without_content: u64,
    /// Empty links, which stand for the digest in their path.
    pub empty_links: u64,
    /// Directories of a link or blob or tag in which nothing is.
    pub empty_directories: u64,
    /// Manifests that are listed under their subject because of its fallback tag only.
    pub fallback_referrers: u64,
    /// Entries among referrers whose manifest is gone.
    pub stale_referrers: u64,
    /// Manifests of other registries that this version does not understand.
    pub foreign_manifests: u64,
    /// References that were not there when their manifest was accepted, and never came.
    pub never_came: u64,
    /// Upload sessions.
    pub uploads: u64,
    /// Small files before their rename.
    pub temporary: u64,
    /// Damaged content that was moved aside.
    pub quarantined: u64,
}

/// What a check has come to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FsckReport {
    /// Nobody could change the volume meanwhile; otherwise what is found was seen more than once.
    pub locked: bool,
    /// Every byte was hashed.
    pub deep: bool,
    pub examined: Looked,
    /// Sorted, each once.
    pub findings: Vec<Finding>,
    pub leftovers: Leftovers,
    /// What a repair has changed, a sentence each.
    #[serde(default)]
    pub changes: Vec<String>,
}
