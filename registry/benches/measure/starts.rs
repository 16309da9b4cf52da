//! From the start of the program to its first answer, on a small volume and on a large one. IO.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::images::{many_images, remove};
use crate::quantiles::Quantiles;
use crate::scratch::Scratch;
use crate::server::{Server, Whose};
use crate::table::{Table, count, milliseconds, ratio};

const FEW_IMAGES: usize = 10;
pub(crate) const FEW_TAGS: usize = 1_000;
const STARTS: usize = 15;
const TARGET: Duration = Duration::from_millis(50);

/// One with ten images, and one with many in many repositories and in two of many tags.
pub(crate) struct Volumes {
    few: PathBuf,
    pub(crate) many: PathBuf,
    pub(crate) images: usize,
}

impl Volumes {
    pub(crate) fn write(scratch: &Scratch, images: usize) -> anyhow::Result<Self> {
        Ok(Self {
            few: many_images(scratch, "s1", FEW_IMAGES, 1)?,
            many: many_images(scratch, "s2", images, FEW_TAGS)?,
            images,
        })
    }

    pub(crate) fn remove(self) -> anyhow::Result<()> {
        remove(&self.few)?;
        remove(&self.many)
    }
}

pub(crate) fn measure(_: &Scratch, volumes: &Volumes, peer: Option<&Path>) -> anyhow::Result<()> {
    let mut table = Table::new(format!("Start to the first 200 of /v2/, median of {STARTS}"));
    for (volume, images) in [(&volumes.few, FEW_IMAGES), (&volumes.many, volumes.images)] {
        let after_stop = starts(Whose::Ours, volume, true)?;
        let after_kill = starts(Whose::Ours, volume, false)?;
        let theirs = match peer {
            Some(program) => Some(starts(Whose::Theirs(program), volume, true)?),
            None => None,
        };
        let (images, theirs) = (count(images as u64), theirs.map(milliseconds));
        let what = format!("{images} images");
        table.goal(
            &what,
            milliseconds(after_stop),
            theirs,
            "50 ms",
            ratio(after_stop, TARGET),
        );
        let what = format!("{images} images, after a kill");
        table.goal(
            &what,
            milliseconds(after_kill),
            None,
            "50 ms",
            ratio(after_kill, TARGET),
        );
    }
    table.print();
    Ok(())
}

fn starts(whose: Whose<'_>, volume: &Path, stops_in_order: bool) -> anyhow::Result<Duration> {
    let mut durations = Vec::new();
    for number in 0..=STARTS {
        let server = Server::start(whose, volume)?;
        if number > 0 {
            durations.push(server.took); // the first one makes what stays, and fills caches
        }
        if stops_in_order {
            server.stop()?;
        }
    }
    Ok(Quantiles::of(durations).median())
}
