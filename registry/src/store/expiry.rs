//! Upload sessions that nobody continues: their files are closed soon, sooner if there are many, and go once the last byte
//! is older than the idle time, or nobody can go on. IO in blocking threads, most of it from tasks that end with the store;
//! they also let go what is remembered of a collection.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use portolan_oci::UploadId;

use super::error::Fault;
use super::links::{exists, names_in};
use super::session::{Closing, Writing};
use super::{Inner, Store, blocking};

const MAX_INTERVAL: Duration = Duration::from_mins(10);
/// A session that was not written to for so long, or up to twice as long, needs no open file.
const REST: Duration = Duration::from_mins(1);

impl Store {
    /// Looks for idle sessions now and then, for as long as the store lives.
    pub(super) fn start_expiry(&self) {
        let inner = Arc::downgrade(&self.inner);
        let interval =
            (self.inner.options.upload_idle_timeout / 4).clamp(Duration::from_millis(10), MAX_INTERVAL);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(interval).await;
                let Some(inner) = inner.upgrade() else { return };
                inner.collected.forget_old(Instant::now());
                if let Err(fault) = (Self { inner }).expire_uploads().await {
                    tracing::warn!(error = %fault, "cannot remove idle uploads");
                }
            }
        });
    }

    /// Closes the files of sessions now and then, for as long as the store lives.
    pub(super) fn start_closing(&self) {
        let inner = Arc::downgrade(&self.inner);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(REST).await;
                let Some(inner) = inner.upgrade() else { return };
                Self { inner }.close_resting_uploads().await;
            }
        });
    }

    /// Closes the file of every session that was not written to since the last call. The next chunk opens it again.
    pub async fn close_resting_uploads(&self) {
        let Ok(permit) = self.inner.permit().await else {
            return;
        };
        let inner = Arc::clone(&self.inner);
        blocking(move || {
            let _permit = permit;
            for session in inner.sessions.all() {
                if let Some(closing) = session.closing() {
                    inner.close_resting(&closing);
                }
            }
        })
        .await;
    }

    /// Removes every session that got no byte for the idle time; returns how many.
    pub async fn expire_uploads(&self) -> Result<usize, Fault> {
        let Ok(permit) = self.inner.permit().await else {
            return Ok(0);
        };
        let inner = Arc::clone(&self.inner);
        blocking(move || {
            let _permit = permit;
            inner.expire()
        })
        .await
    }
}

impl Inner {
    /// Closes the file of the session that nobody has asked about for longest, if too many are open: there shall be some
    /// left for everything else. Those that are written to right now stay open.
    pub(super) fn close_surplus(&self) {
        let (open, most) = (self.upload_files.open(), self.options.open_uploads);
        for _ in most..=open {
            let Some(closing) = self.sessions.longest_resting() else {
                return;
            };
            if let Some(mut writing) = closing.session().try_write() {
                writing.is_used = false;
            }
            self.close_resting(&closing);
        }
    }

    /// Nobody is kept from writing meanwhile: who does keeps the file open.
    fn close_resting(&self, closing: &Closing) {
        let session = closing.session();
        let resting = |writing: &mut Writing| !std::mem::take(&mut writing.is_used);
        let Some(mut writing) = session.try_write() else {
            return;
        };
        let Some(file) = writing.file.clone().filter(|_| resting(&mut writing)) else {
            return;
        };
        drop(writing);
        // with the file a failure would go that nobody has heard of
        if file.sync(&self.disk).is_err() {
            drop(self.discard(&session.id, None)); // what stays behind expires
            return;
        }
        if let Some(mut writing) = session.try_write()
            && resting(&mut writing)
        {
            writing.file = None;
        }
    }

    fn expire(&self) -> Result<usize, Fault> {
        let mut expired = 0;
        if self.options.upload_idle_timeout == Duration::MAX {
            return Ok(expired);
        }
        let is_over = |id: &UploadId| self.is_idle(id) || self.is_nobodys(id).unwrap_or(false);
        for id in self.upload_ids()?.into_iter().filter(is_over) {
            match self.expire_one(&id) {
                Ok(true) => expired += 1,
                Ok(false) => {}
                // the others go all the same
                Err(fault) => tracing::warn!(error = %fault, "cannot remove an idle upload"),
            }
        }
        Ok(expired)
    }

    /// False: somebody writes to it right now; who does keeps it, however old its files look.
    fn expire_one(&self, id: &UploadId) -> Result<bool, Fault> {
        let writing = match self.load(id)? {
            Some(session) => match session.try_write() {
                Some(writing) if self.is_idle(id) => Some(writing),
                _ => return Ok(false),
            },
            None => None,
        };
        self.discard(id, writing)?;
        Ok(true)
    }

    /// Every session that has a file.
    pub(super) fn upload_ids(&self) -> Result<BTreeSet<UploadId>, Fault> {
        let names = names_in(&self.keys.uploads())?;
        Ok(names
            .iter()
            .filter_map(|name| name.rsplit_once('.')?.0.parse().ok())
            .collect())
    }

    /// Whether it has no record and no request: what a predecessor that ended abruptly has left of one, or a power cut of
    /// a session.
    fn is_nobodys(&self, id: &UploadId) -> Result<bool, Fault> {
        Ok(!self.sessions.knows(id) && !exists(&self.keys.upload_record(id))?)
    }

    fn is_idle(&self, id: &UploadId) -> bool {
        let now = (self.options.clock)();
        let files = [self.keys.upload_record(id), self.keys.upload_data(id)];
        let newest = files
            .iter()
            .filter_map(|path| fs::metadata(path).ok()?.modified().ok())
            .max();
        newest.is_some_and(|at| {
            now.duration_since(at)
                .is_ok_and(|age| age >= self.options.upload_idle_timeout)
        })
    }
}
