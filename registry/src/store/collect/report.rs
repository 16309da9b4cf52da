//! What a run tells while it runs and at its end. Plain values; no IO.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What a run is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CollectPhase {
    /// Waits for the changes that began before the run.
    Arming,
    /// Reads repositories.
    Marking,
    /// Removes manifests.
    Manifests,
    /// Takes blobs from repositories.
    Links,
    /// Removes content that no repository has.
    Blobs,
}

/// How far a run has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CollectProgress {
    pub phase: CollectPhase,
    /// Repositories while marking, parts of the blob store while removing blobs, otherwise things looked at.
    pub done: u64,
    /// How many there are; 0 while that is not known.
    pub total: u64,
}

impl CollectProgress {
    pub(super) fn at(phase: CollectPhase, done: u64, total: u64) -> Self {
        Self { phase, done, total }
    }
}

/// What a run has looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Examined {
    pub repositories: u64,
    pub manifests: u64,
    /// Blobs of repositories: the same content counts once for each repository that has it.
    pub links: u64,
    /// Contents on the volume, of blobs and manifests.
    pub blobs: u64,
}

/// How much of what.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    pub manifests: u64,
    pub links: u64,
    pub blobs: u64,
    /// Of the blobs.
    pub bytes: u64,
}

/// Manifests by the first reason that kept each of them, and blobs of repositories that only their youth has kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Kept {
    /// A tag names them.
    pub tagged: u64,
    /// `inuse.json` names them.
    pub in_use: u64,
    /// A deleted tag that may come back names them.
    pub trash: u64,
    /// An index that is kept names them.
    pub children: u64,
    /// Their subject is kept.
    pub referrers: u64,
    /// Nothing names them, but not for long enough.
    pub untagged_young: u64,
    /// Nothing names them, and the run does not collect such manifests.
    pub untagged_off: u64,
    /// Something in their repository cannot be read, so that nobody knows what it names.
    pub damaged: u64,
    /// Blobs of repositories: no manifest names them, but it may be on its way.
    pub link_grace: u64,
    /// Things that would have gone, had nobody pushed what names them during the run.
    pub pushed_during_run: u64,
}

/// What a run has come to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CollectReport {
    pub started_at: Timestamp,
    pub duration_ms: u64,
    pub dry_run: bool,
    pub examined: Examined,
    /// What nobody could reach when the run had looked at everything.
    pub candidates: Counts,
    pub freed: Counts,
    pub kept: Kept,
    /// The hold that kept the run from removing anything, or anything more.
    pub suspended_by: Option<String>,
    /// Sentences about what kept more than it should, with what to do about it.
    pub warnings: Vec<String>,
}

impl CollectReport {
    pub(super) fn new(started_at: Timestamp, dry_run: bool) -> Self {
        Self {
            started_at,
            duration_ms: 0,
            dry_run,
            examined: Examined::default(),
            candidates: Counts::default(),
            freed: Counts::default(),
            kept: Kept::default(),
            suspended_by: None,
            warnings: Vec::new(),
        }
    }
}
