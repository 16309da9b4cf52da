//! Removes what a plan lets go, batch after batch: a plan comes in, the volume changes; IO in blocking threads.
//!
//! Manifests go before what they name and before what refers to them, then links, then content, each durable before the
//! next: what is there has all that follows from it. Before each batch what was pushed meanwhile is kept, under the
//! stripes of everything in the batch and of its subjects, so that nobody refers to what is about to go.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use portolan_oci::Digest;

use super::arming::Notes;
use super::mark::is_young;
use super::packed::Packed;
use super::plan::Plan;
use super::report::{CollectPhase, CollectProgress, CollectReport};
use super::yielding::yielding;
use super::{CollectError, Progress};
use crate::store::Inner;
use crate::store::disk::lock;
use crate::store::error::Fault;
use crate::store::links::{exists, read_link, renewed_at};

/// How many digests are locked at a time. More only when manifests reach each other in a circle.
pub(super) const BATCH: usize = 64;
/// How much the manifests of a batch name. More only when one of them does.
const BATCH_NAMES: usize = 10_000;
/// How much is taken from a record at a time: it is written anew as a whole.
const COMPLETED: usize = 1_000;

pub(super) struct Sweep {
    pub(super) inner: Arc<Inner>,
    pub(super) state: Arc<Mutex<State>>,
    pub(super) progress: Progress,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) notes: Notes,
    pub(super) plan: Plan,
    pub(super) report: CollectReport,
    pub(super) now: SystemTime,
    pub(super) grace: Duration,
    /// There was no room for all records of how long nothing has named what stays.
    pub(super) lacks_records: bool,
}

impl Sweep {
    /// Whether there is no hold; of one the report tells also when there was nothing to remove.
    pub(super) async fn is_free(&self) -> Result<bool, CollectError> {
        self.batch(Vec::new(), Vec::new(), |_, _| Ok(())).await
    }

    /// Removes everything but content. False: a hold has ended it.
    pub(super) async fn repositories(&self) -> Result<bool, CollectError> {
        let count = lock(&self.state).plan.repositories.len();
        let mut done = 0;
        let total = lock(&self.state).report.candidates.manifests;
        for number in 0..count {
            for batch in self.manifest_batches(number) {
                (self.progress)(CollectProgress::at(CollectPhase::Manifests, done, total));
                done += batch.len() as u64;
                if !self.manifests(number, batch).await? {
                    return Ok(false);
                }
            }
        }
        let mut done = 0;
        let total = lock(&self.state).report.candidates.links;
        for number in 0..count {
            let links = std::mem::take(&mut lock(&self.state).plan.repositories[number].links);
            for batch in links.chunks(BATCH) {
                (self.progress)(CollectProgress::at(CollectPhase::Links, done, total));
                done += batch.len() as u64;
                let digests: Vec<Digest> = batch.iter().map(Packed::digest).collect();
                let links = digests.clone();
                let work = move |inner: &Inner, state: &mut State| state.remove_links(inner, number, &links);
                if !self.batch(digests, Vec::new(), work).await? {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Writes down how long nothing has named what stays, and removes from records what is no longer true.
    pub(super) async fn records(&self) -> Result<bool, CollectError> {
        let count = lock(&self.state).plan.repositories.len();
        for number in 0..count {
            let (records, stale) = {
                let plan = &mut lock(&self.state).plan.repositories[number];
                (std::mem::take(&mut plan.records), std::mem::take(&mut plan.stale))
            };
            let stale = stale.iter().map(|packed| (packed.digest(), None));
            let records = records
                .into_iter()
                .map(|(packed, record)| (packed.digest(), Some(record)));
            let all: Vec<_> = stale.chain(records).collect();
            for batch in all.chunks(BATCH) {
                let batch = batch.to_vec();
                let digests = batch.iter().map(|(digest, _)| digest.clone()).collect();
                let work = move |inner: &Inner, state: &mut State| {
                    let plan = &state.plan.repositories[number];
                    let mut gone = Vec::new();
                    for (digest, record) in &batch {
                        let path = inner.keys.untagged(&plan.name, digest);
                        match record {
                            None => gone.push(path),
                            // A put has just removed the record, and the clock begins anew.
                            Some(_) if plan.was_put(digest) => {}
                            Some(record) => {
                                let text = serde_json::json!(record).to_string();
                                match inner.disk.write_small(&path, text.as_bytes()) {
                                    // What can go must go all the more; this one only gets older later.
                                    Err(Fault::Full { .. }) => state.lacks_records = true,
                                    written => written?,
                                }
                            }
                        }
                    }
                    inner.disk.remove_files(&gone)
                };
                if !self.batch(digests, Vec::new(), work).await? {
                    return Ok(false);
                }
            }
            if !self.completed(number).await? || !self.marked(number).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Takes what has come from the records of what was absent, and removes those of nothing.
    async fn completed(&self, number: usize) -> Result<bool, CollectError> {
        let (name, manifests) = {
            let plan = &mut lock(&self.state).plan.repositories[number];
            (plan.name.clone(), std::mem::take(&mut plan.completed))
        };
        for manifest in manifests.iter().map(Packed::digest) {
            let (inner, of, whose) = (Arc::clone(&self.inner), manifest.clone(), name.clone());
            let came = yielding(move || inner.came_since(&whose, &of)).await?;
            if came.is_empty() {
                let (of, whose) = (manifest.clone(), name.clone());
                let work = move |inner: &Inner, _: &mut State| inner.forget_record_of_nothing(&whose, &of);
                if !self.batch(vec![manifest.clone()], Vec::new(), work).await? {
                    return Ok(false);
                }
            }
            for part in came.chunks(COMPLETED) {
                let held = part.iter().chain([&manifest]).cloned().collect();
                let (part, of, whose) = (part.to_vec(), manifest.clone(), name.clone());
                let work = move |inner: &Inner, _: &mut State| match inner.forget_absent(&whose, &of, &part) {
                    Err(Fault::Full { .. }) => Ok(()), // what can go must go all the more
                    done => done,
                };
                if !self.batch(held, Vec::new(), work).await? {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// The groups of each wave, filled up to batches; none has members of two waves.
    fn manifest_batches(&self, number: usize) -> Vec<Vec<u32>> {
        let plan = &mut lock(&self.state).plan.repositories[number];
        let mut batches: Vec<Vec<u32>> = Vec::new();
        for wave in std::mem::take(&mut plan.waves) {
            let (mut batch, mut names): (Vec<u32>, usize) = (Vec::new(), 0);
            for group in wave {
                let members = group.iter().map(|member| &plan.manifests[*member as usize]);
                let more: usize = members.map(|member| member.names).sum();
                let is_full = batch.len() + group.len() > BATCH || names + more > BATCH_NAMES;
                if !batch.is_empty() && is_full {
                    batches.push(std::mem::take(&mut batch));
                    names = 0;
                }
                names += more;
                batch.extend(group);
            }
            batches.push(batch);
        }
        batches
    }

    async fn manifests(&self, number: usize, members: Vec<u32>) -> Result<bool, CollectError> {
        let (inner, state) = (Arc::clone(&self.inner), Arc::clone(&self.state));
        let (members, removed, named) = yielding(move || {
            let state = lock(&state);
            let plan = &state.plan.repositories[number];
            let (mut removed, mut named) = (Vec::new(), Vec::new());
            for member in &members {
                let candidate = &plan.manifests[*member as usize];
                removed.extend(candidate.subject.as_ref().map(|subject| subject.digest()));
                let digest = candidate.digest.digest();
                let stored = inner.stored_references(&plan.name, &digest)?;
                let references = stored.and_then(|(_, references)| references);
                named.extend(references.unwrap_or_default().digests);
                removed.push(digest);
            }
            Ok::<_, Fault>((members, removed, named))
        })
        .await?;
        let work = move |inner: &Inner, state: &mut State| state.remove_manifests(inner, number, &members);
        self.batch(removed, named, work).await
    }

    /// Does a part of the work while nobody can publish, delete or refer to what is removed, nor delete what that has
    /// named: a power cut may bring it back until it is durable. False: there is a hold, or the run is over.
    pub(super) async fn batch(
        &self,
        removed: Vec<Digest>,
        named: Vec<Digest>,
        work: impl FnOnce(&Inner, &mut State) -> Result<(), Fault> + Send + 'static,
    ) -> Result<bool, CollectError> {
        let gate = self.inner.holds.batch().await;
        let permit = self.inner.permit().await?;
        let (removed, named): (Vec<&Digest>, Vec<&Digest>) =
            (removed.iter().collect(), named.iter().collect());
        let stripes = self.inner.locks.hold(&removed, &named).await;
        let (inner, state) = (Arc::clone(&self.inner), Arc::clone(&self.state));
        Ok(yielding(move || {
            let _held = (gate, permit, stripes);
            let mut state = lock(&state);
            if let Some(hold) = inner.first_hold()? {
                state.report.suspended_by = Some(hold);
                return Ok(false);
            }
            if !state.take_notes(&inner)? {
                return Ok(false);
            }
            work(&inner, &mut state)?;
            Ok::<_, Fault>(true)
        })
        .await?)
    }
}

impl State {
    /// Keeps what was pushed since the last time. False: the run is over, see [`Notes::take`].
    pub(super) fn take_notes(&mut self, inner: &Inner) -> Result<bool, Fault> {
        let Some(roots) = self.notes.take() else {
            return Ok(false);
        };
        for root in roots {
            self.plan.keep(inner, root)?;
        }
        Ok(true)
    }

    fn remove_manifests(&mut self, inner: &Inner, number: usize, members: &[u32]) -> Result<(), Fault> {
        let name = self.plan.repositories[number].name.clone();
        for member in members {
            let candidate = &self.plan.repositories[number].manifests[*member as usize];
            if candidate.is_kept {
                continue;
            }
            let digest = candidate.digest.digest();
            let renewed = renewed_at(&inner.keys.revision_link(&name, &digest))?;
            if is_young(renewed, self.now, self.grace) {
                self.plan.keep_manifest(inner, number, digest)?; // somebody has asked for it
            }
        }
        let mut links = Vec::new();
        let mut going = Vec::new();
        for member in members {
            let candidate = &self.plan.repositories[number].manifests[*member as usize];
            if !candidate.is_kept {
                let digest = candidate.digest.digest();
                inner.collected.tell(&name, &digest, Instant::now());
                links.push(inner.keys.revision_link(&name, &digest));
                going.push((digest, candidate.subject.as_ref().map(|it| it.digest())));
            }
        }
        // Both durably, lest a power cut bring them back and they speak for the same manifest, pushed again. What has lost
        // its age only stays longer; what has lost the record of what never came must be gone.
        let ages = there(going.iter().map(|(digest, _)| inner.keys.untagged(&name, digest)))?;
        inner.disk.remove_files(&ages)?;
        inner.forget_came(&name, going.iter().map(|(digest, _)| digest))?;
        inner.disk.remove_files(&links)?;
        let absent = there(going.iter().map(|(digest, _)| inner.keys.absent(&name, digest)))?;
        inner.disk.remove_files(&absent)?;
        self.report.freed.manifests += links.len() as u64;
        for (digest, subject) in going {
            // An entry about a manifest that is not there means nothing, should it stay behind.
            if let Some(subject) = subject {
                inner
                    .disk
                    .discard(&inner.keys.referrer(&name, &subject, &digest))?;
                inner.disk.remove_if_empty(&inner.keys.referrers(&name, &subject));
            }
        }
        Ok(())
    }

    fn remove_links(&mut self, inner: &Inner, number: usize, digests: &[Digest]) -> Result<(), Fault> {
        let name = self.plan.repositories[number].name.clone();
        let mut going = Vec::new();
        for digest in digests {
            let link = inner.keys.layer_link(&name, digest);
            let renewed = renewed_at(&link)?;
            let is_young = is_young(renewed, self.now, self.grace);
            if is_young || self.plan.repositories[number].keeps_link(digest) {
                if let Some(content) = read_link(&link, digest)? {
                    self.plan.keep_link(number, digest, &content);
                }
                self.plan.rescued += 1;
            } else if renewed.is_some() {
                inner.collected.tell(&name, digest, Instant::now());
                going.push(digest);
            }
        }
        inner.forget_came(&name, going.iter().copied())?;
        for digest in going {
            let link = inner.keys.layer_link(&name, digest);
            inner.disk.remove_later(&link)?; // durable before content goes
            self.report.freed.links += 1;
        }
        Ok(())
    }
}

fn there(paths: impl Iterator<Item = PathBuf>) -> Result<Vec<PathBuf>, Fault> {
    let mut there = Vec::new();
    for path in paths {
        if exists(&path)? {
            there.push(path);
        }
    }
    Ok(there)
}
