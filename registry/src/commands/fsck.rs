//! `fsck`: checks the volume of a registry, running or not, and repairs the volume of one that is not. IO.

use std::ffi::OsString;
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use portolan_config::Config;
use portolan_oci::Digest;

use crate::serve::Surroundings;
use crate::store::fsck::{self, AmbiguousTag, FsckError, FsckOptions, FsckReport};
use crate::store::{Fault, OpenError, ReadOnlyReason, Requirements, Store, StoreOptions, VolumeOptions};

use super::connection::{ConfigurationError, configuration};
use super::gc::OutputFormat;
use super::table::{bytes, count, counted, table};

/// Flags of `fsck`.
#[derive(Debug, Clone, Args)]
pub struct FsckArgs {
    /// Also read every byte and compare it with its digest.
    #[arg(long)]
    pub deep: bool,
    /// Repair what can be repaired; no registry may be running on the volume. Says what it changes, removes no bytes.
    #[arg(long)]
    pub repair: bool,
    /// The directory of the images [default: that of `REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY`, else /var/lib/registry].
    #[arg(long, value_name = "DIRECTORY", conflicts_with = "config")]
    pub directory: Option<PathBuf>,
    /// The configuration file of the registry: it says where the images are, unless
    /// `REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY` does.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// How to print the report.
    #[arg(long, value_enum, default_value_t)]
    pub output: OutputFormat,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum FsckCommandError {
    /// Where the images are cannot be told.
    #[error(transparent)]
    Configuration(#[from] ConfigurationError),
    /// There is nothing to look at.
    #[error("{0}; say with --directory where the images of a registry are that this user may read")]
    Check(FsckError),
    /// Somebody else writes to the volume.
    #[error(
        "directory \"{path}\" is in use by {holder}, and a repair needs it for itself; stop the registry that serves it, \
         or look without --repair at what is wrong"
    )]
    InUse { path: PathBuf, holder: String },
    /// The volume cannot be opened for a repair.
    #[error("cannot repair")]
    Open(#[source] OpenError),
    /// A repair writes.
    #[error(
        "directory \"{path}\" takes no writes, and nothing was repaired; if the registry runs as another user, run this \
         as that one"
    )]
    ReadOnly {
        path: PathBuf,
        #[source]
        reason: ReadOnlyReason,
    },
    /// The repair met a fault.
    #[error("the repair has stopped; what it had changed until then is good")]
    Repair(#[from] Fault),
}

impl From<FsckError> for FsckCommandError {
    fn from(error: FsckError) -> Self {
        Self::Check(error)
    }
}

impl From<OpenError> for FsckCommandError {
    fn from(error: OpenError) -> Self {
        match error {
            // what a second registry may do is of no help here
            OpenError::InUse { path, holder, .. } => Self::InUse { path, holder },
            error => Self::Open(error),
        }
    }
}

/// Two looks must not see the same half of one change.
const PAUSE: Duration = Duration::from_secs(1);

/// Checks, and returns what to print and whether anything is wrong. Progress goes to `screen`, if somebody looks at
/// one; `answers` is where the person at it types.
pub async fn run(
    args: &FsckArgs,
    variable: impl Fn(&str) -> Option<OsString>,
    surroundings: &Surroundings,
    screen: Option<&mut (dyn Write + Send)>,
    answers: Option<Box<dyn BufRead + Send>>,
) -> Result<(String, bool), FsckCommandError> {
    let config = match &args.directory {
        Some(_) => Config::standalone(),
        None => configuration(args.config.as_deref(), variable)?,
    };
    let root = args
        .directory
        .clone()
        .unwrap_or_else(|| config.storage.volume.path.clone());
    let report = if args.repair {
        let volume = VolumeOptions {
            allow_unsafe_filesystem: config.storage.volume.allow_unsafe_filesystem,
            ..VolumeOptions::default()
        };
        repair(&root, volume, args.deep, surroundings, answers).await?
    } else {
        let options = FsckOptions {
            deep: args.deep,
            pause: PAUSE,
        };
        let screen = std::sync::Mutex::new(screen);
        let report = fsck::check(&root, options, &|done| {
            if done.is_multiple_of(100)
                && let Ok(mut screen) = screen.lock()
                && let Some(screen) = screen.as_mut()
            {
                // who does not see it misses nothing
                let _ = write!(screen, "\r\x1b[KChecked {}", count(done)).and_then(|()| screen.flush());
            }
        });
        if let Ok(mut screen) = screen.lock()
            && let Some(screen) = screen.as_mut()
        {
            let _ = write!(screen, "\r\x1b[K");
        }
        report?
    };
    let text = match args.output {
        OutputFormat::Json => serde_json::json!(report).to_string(),
        OutputFormat::Table => text(&report),
    };
    Ok((text, !report.findings.is_empty()))
}

async fn repair(
    root: &Path,
    volume: VolumeOptions,
    deep: bool,
    surroundings: &Surroundings,
    mut answers: Option<Box<dyn BufRead + Send>>,
) -> Result<FsckReport, FsckCommandError> {
    fsck::check_used(root)?; // to open it would make a volume of it
    let clock = surroundings.clock.clone();
    let store = Store::open(StoreOptions {
        path: root.to_owned(),
        volume,
        lock_timeout: Duration::ZERO,
        upload_idle_timeout: Duration::MAX,
        open_uploads: 1,
        requirements: Requirements::default(),
        clock: Arc::new(move || clock().into()),
        random: surroundings.random.clone(),
    })
    .await?;
    if let Some(reason) = store.read_only() {
        store.close().await;
        let path = root.to_owned();
        return Err(FsckCommandError::ReadOnly { path, reason });
    }
    let choose = move |tag: &AmbiguousTag| {
        let answers = answers.as_mut()?;
        ask(tag, answers.as_mut(), &mut std::io::stderr())
    };
    let report = store.repair(deep, choose).await;
    store.close().await;
    Ok(report?)
}

/// Asks a person what a tag names.
fn ask(tag: &AmbiguousTag, answers: &mut dyn BufRead, screen: &mut dyn Write) -> Option<Digest> {
    let (name, repository) = (&tag.tag, &tag.repository);
    writeln!(
        screen,
        "Nobody can tell what tag \"{name}\" of \"{repository}\" names. It has named:"
    )
    .ok()?;
    for (index, digest) in tag.candidates.iter().enumerate() {
        writeln!(screen, "  {}  {digest}", index + 1).ok()?;
    }
    write!(
        screen,
        "Write the number of what it shall name, or nothing to leave it: "
    )
    .ok()?;
    screen.flush().ok()?;
    let mut line = String::new();
    answers.read_line(&mut line).ok()?;
    let number: usize = line.trim().parse().ok()?;
    tag.candidates.get(number.checked_sub(1)?).cloned()
}

/// A report for people.
fn text(report: &FsckReport) -> String {
    let looked = &report.examined;
    let repositories = match looked.repositories {
        1 => "1 repository".to_owned(),
        number => format!("{} repositories", count(number)),
    };
    let mut lines = vec![format!(
        "Checked {repositories}, {}, {}, {}, {}; {} hashed.",
        counted(looked.tags, "tag"),
        counted(looked.manifests, "manifest"),
        counted(looked.links, "link"),
        counted(looked.blobs, "blob"),
        bytes(looked.bytes),
    )];
    if !report.locked {
        let sentence = "The volume was not locked: what is found below was there at each of several looks.";
        lines.push(sentence.to_owned());
    }
    lines.extend(report.changes.iter().map(|change| format!("Repaired: {change}")));
    let left: Vec<Vec<String>> = leftovers(report)
        .into_iter()
        .filter(|(_, number)| *number > 0)
        .map(|(what, number)| vec![format!("  {what}"), count(number)])
        .collect();
    if !left.is_empty() {
        lines.push("Left over, and no harm:".to_owned());
        lines.push(table(&left, true));
    }
    for finding in &report.findings {
        let place = finding.repository.as_ref().map(|name| format!("{name}: "));
        lines.push(format!(
            "\n{}{}: {}",
            place.unwrap_or_default(),
            finding.what,
            finding.problem
        ));
        lines.push(format!("  file: {}", finding.path.display()));
        lines.push(format!("  do: {}", finding.kind.remedy()));
    }
    lines.push(match report.findings.len() {
        0 => "Nothing is wrong.".to_owned(),
        1 => "\n1 thing is wrong.".to_owned(),
        number => format!("\n{} things are wrong.", count(number as u64)),
    });
    lines.join("\n")
}

fn leftovers(report: &FsckReport) -> [(&'static str, u64); 12] {
    let left = &report.leftovers;
    [
        ("blobs that no repository has", left.unreferenced_blobs),
        ("bytes of them", left.unreferenced_bytes),
        (
            "links without content that nothing needs",
            left.links_without_content,
        ),
        ("empty links", left.empty_links),
        ("empty directories", left.empty_directories),
        (
            "referrers that only a fallback tag lists",
            left.fallback_referrers,
        ),
        ("entries of referrers that are gone", left.stale_referrers),
        ("manifests of a kind not known", left.foreign_manifests),
        ("references that never came", left.never_came),
        ("uploads", left.uploads),
        ("temporary files", left.temporary),
        ("damaged files moved aside", left.quarantined),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use portolan_oci::Algorithm;

    #[test]
    fn a_person_chooses_by_number_or_leaves_the_tag_alone() {
        let candidates: Vec<Digest> = [b"a", b"b"]
            .map(|bytes| Digest::of(Algorithm::Sha256, bytes))
            .to_vec();
        let tag = AmbiguousTag::new(
            "team/a".parse().unwrap(),
            "v1".to_owned(),
            candidates.clone(),
            PathBuf::new(),
        );
        let mut screen = Vec::new();
        assert_eq!(
            ask(&tag, &mut &b"2\n"[..], &mut screen),
            Some(candidates[1].clone())
        );
        assert!(
            String::from_utf8(screen)
                .unwrap()
                .contains(candidates[0].as_str())
        );
        for answer in ["\n", "0\n", "3\n", "x\n", ""] {
            assert_eq!(
                ask(&tag, &mut answer.as_bytes(), &mut Vec::new()),
                None,
                "{answer:?}"
            );
        }
    }
}
