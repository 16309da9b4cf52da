//! From the start of the program to its first answer, on a small volume and on a large one. IO.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::images::{many_images, remove};
use super::progress::Progress;
use super::quantiles::Quantiles;
use super::repeats::Repeats;
use super::scratch::Scratch;
use super::server::{Server, Whose};
use super::table::{Figure, Table, count, ratio};

const FEW_IMAGES: usize = 10;
const TARGET: Duration = Duration::from_millis(50);

/// One with ten images, and one with many in many repositories and in two of many tags.
pub(crate) struct Volumes {
    few: PathBuf,
    pub(crate) many: PathBuf,
    pub(crate) images: usize,
    pub(crate) few_tags: usize,
}

impl Volumes {
    pub(crate) fn write(scratch: &Scratch, images: usize, few_tags: usize) -> anyhow::Result<Self> {
        Ok(Self {
            few: many_images(scratch, "s1", FEW_IMAGES, 1)?,
            many: many_images(scratch, "s2", images, few_tags)?,
            images,
            few_tags,
        })
    }

    pub(crate) fn remove(self) -> anyhow::Result<()> {
        remove(&self.few)?;
        remove(&self.many)
    }
}

/// One way of starting, and how long it took each time.
struct Start<'a> {
    whose: Whose<'a>,
    volume: &'a Path,
    what: String,
    ends_in_order: bool,
    durations: Vec<Duration>,
}

impl Start<'_> {
    fn median(&self) -> Duration {
        Quantiles::of(self.durations.clone()).median()
    }
}

pub(crate) fn measure(volumes: &Volumes, repeats: Repeats, peer: Option<&Path>) -> anyhow::Result<Table> {
    let mut starts = Vec::new();
    for (volume, images) in [(&volumes.few, FEW_IMAGES), (&volumes.many, volumes.images)] {
        let start = |whose, ends_in_order, what| Start {
            whose,
            volume,
            what: format!("{} images{what}", count(images as u64)),
            ends_in_order,
            durations: Vec::new(),
        };
        starts.push(start(Whose::Ours, true, ""));
        starts.push(start(Whose::Ours, false, ", after a kill"));
        starts.extend(peer.map(|program| start(Whose::Theirs(program), true, "")));
    }
    // All of them in turn, so that they meet the same disk. The first round makes what stays, and fills caches.
    let mut progress = Progress::new("Rounds of starts", repeats.starts + 1);
    for round in 0..=repeats.starts {
        progress.at(round);
        for start in &mut starts {
            let before = Server::start(start.whose, start.volume)?;
            if start.ends_in_order {
                before.stop()?;
            } else {
                drop(before);
            }
            let server = Server::start(start.whose, start.volume)?;
            if round > 0 {
                start.durations.push(server.took);
            }
            server.stop()?;
        }
    }
    progress.end();
    let mut table = Table::new(format!(
        "Start to the first 200 of /v2/, median of {}",
        repeats.starts
    ));
    let is_theirs = |start: &Start<'_>| matches!(start.whose, Whose::Theirs(_));
    for start in starts.iter().filter(|start| !is_theirs(start)) {
        let of_theirs = starts.iter().find(|it| is_theirs(it) && it.what == start.what);
        let of_theirs = of_theirs.map(|it| Figure::Milliseconds(it.median()));
        let took = start.median();
        table.goal(
            &start.what,
            Figure::Milliseconds(took),
            of_theirs,
            "50 ms",
            ratio(took, TARGET),
        );
    }
    Ok(table)
}
