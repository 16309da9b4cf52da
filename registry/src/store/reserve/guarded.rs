//! The seam in front of every volume: changes come in and go on to the next seam, those that need room only while the
//! reserve is kept, and those that take something away with the reserve's room when there is no other.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::Reserve;
use crate::store::disk::{Act, Effect, Seam, is_full, is_record};

pub(in crate::store) struct Guarded {
    reserve: Arc<Reserve>,
    /// What is renamed to a place in it is on its way out.
    temporary: PathBuf,
    seam: Box<dyn Seam>,
}

impl Guarded {
    pub(in crate::store) fn new(reserve: Arc<Reserve>, temporary: PathBuf, seam: Box<dyn Seam>) -> Self {
        Self {
            reserve,
            temporary,
            seam,
        }
    }
}

impl Seam for Guarded {
    fn take(&self, effect: &Effect<'_>, act: Act<'_>) -> io::Result<()> {
        match effect {
            Effect::RemoveFile { .. } | Effect::RemoveDirectory { .. } | Effect::SetLength { .. } => {
                self.take_away(effect, act)
            }
            Effect::Rename { to, .. } if to.starts_with(&self.temporary) => self.take_away(effect, act),
            // without it a delete does not begin
            Effect::CreateFile { path } | Effect::Write { path, .. } if is_record(path) => {
                self.take_away(effect, act)
            }
            // back to the place that it has left, or of what was made while there was room for it
            Effect::Rename { from, .. } if from.starts_with(&self.temporary) => self.seam.take(effect, act),
            Effect::CreateDirectory { .. }
            | Effect::CreateFile { .. }
            | Effect::Write { .. }
            | Effect::Rename { .. } => {
                let _room = self.reserve.growing()?;
                self.seam.take(effect, act)
            }
            Effect::SyncFile { .. }
            | Effect::OpenDirectory { .. }
            | Effect::SyncDirectory { .. }
            | Effect::SyncVolume { .. } => self.seam.take(effect, act),
        }
    }

    fn keeps_order(&self) -> bool {
        self.seam.keeps_order()
    }
}

impl Guarded {
    fn take_away(&self, effect: &Effect<'_>, act: Act<'_>) -> io::Result<()> {
        match self.seam.take(effect, &mut *act) {
            Err(error) if is_full(&error) && self.reserve.release() => self.seam.take(effect, act),
            taken => taken,
        }
    }
}
