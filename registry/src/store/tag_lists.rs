//! The names of tags, in memory: repositories whose tags were listed come in, pages go out; no IO.
//!
//! A list is filled by whoever asks first and kept right by our own changes, which are the only ones: one process writes
//! to a volume. Changes made while a list is being filled are kept beside it and applied when it is there. A change is
//! noted under the lock of its tag, so that notes about one tag come in the order of the changes.

use std::collections::{BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use portolan_oci::{RepositoryName, Tag};

use super::Page;
use super::disk::lock;

/// About 20 MB of names, of all lists but the largest: that is kept whatever its size, or each page of it would have all of
/// it read. A name of it costs about 80 bytes here, and two directories and a file on the volume.
const MOST_TAGS: usize = 250_000;
/// What a list costs beside its tags, in tags.
const EMPTY_LIST: usize = 8;

#[derive(Debug)]
pub(super) struct TagLists {
    known: Mutex<Known>,
    most: usize,
    uses: AtomicU64,
}

#[derive(Debug, Default)]
struct Known {
    lists: HashMap<RepositoryName, Arc<TagList>>,
    /// The cost of all lists.
    cost: usize,
}

/// The tags of one repository.
#[derive(Debug, Default)]
pub(super) struct TagList {
    state: Mutex<State>,
    /// Held by who fills it.
    filling: Mutex<()>,
    last_use: AtomicU64,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Empty,
    /// Somebody reads the directory; these changes came meanwhile.
    Filling(Vec<(Tag, bool)>),
    Full(BTreeSet<Tag>),
}

impl Default for TagLists {
    fn default() -> Self {
        Self::new(MOST_TAGS)
    }
}

impl TagLists {
    fn new(most: usize) -> Self {
        Self {
            known: Mutex::default(),
            most,
            uses: AtomicU64::new(0),
        }
    }

    /// A page of a repository's tags behind `after`, if they are known.
    pub(super) fn known_page(
        &self,
        repository: &RepositoryName,
        after: Option<&str>,
        limit: usize,
    ) -> Option<Page<Tag>> {
        let list = lock(&self.known).lists.get(repository).map(Arc::clone)?;
        self.note_use(&list);
        list.known_page(after, limit)
    }

    /// A page of a repository's tags behind `after`; `read` names all of them when they are not known yet.
    pub(super) fn page<E>(
        &self,
        repository: &RepositoryName,
        after: Option<&str>,
        limit: usize,
        read: impl FnOnce() -> Result<Vec<Tag>, E>,
    ) -> Result<Page<Tag>, E> {
        let list = Arc::clone(lock(&self.known).lists.entry(repository.clone()).or_default());
        self.note_use(&list);
        let _filling = match list.known_page(after, limit) {
            Some(page) => return Ok(page),
            None => lock(&list.filling),
        };
        if let Some(page) = list.known_page(after, limit) {
            return Ok(page); // somebody else has filled it while this one waited
        }
        *lock(&list.state) = State::Filling(Vec::new());
        match read() {
            Ok(tags) => {
                let tags = tags.into_iter().collect();
                Ok(self.fill(repository, &list, tags, |tags| page_of(tags, after, limit)))
            }
            Err(error) => {
                *lock(&list.state) = State::Empty;
                Err(error)
            }
        }
    }

    fn note_use(&self, list: &TagList) {
        let now = self.uses.fetch_add(1, Ordering::Relaxed);
        list.last_use.store(now, Ordering::Relaxed);
    }

    /// Says that a tag is there now, or is not.
    pub(super) fn note(&self, repository: &RepositoryName, tag: &Tag, is_there: bool) {
        let mut known = lock(&self.known);
        let Some(list) = known.lists.get(repository).map(Arc::clone) else {
            return;
        };
        match &mut *lock(&list.state) {
            State::Empty => {}
            State::Filling(changes) => changes.push((tag.clone(), is_there)),
            State::Full(tags) if is_there => known.cost += usize::from(tags.insert(tag.clone())),
            State::Full(tags) => known.cost -= usize::from(tags.remove(tag)),
        }
        known.make_room(self.most);
    }

    /// Lets go of a list that may be wrong. Whoever fills it now keeps it for one answer.
    pub(super) fn forget(&self, repository: &RepositoryName) {
        let mut known = lock(&self.known);
        if let Some(list) = known.lists.remove(repository) {
            known.cost -= list.cost();
        }
    }

    /// Lets the changes that came meanwhile have their say, and keeps the list; those that were not asked for the longest
    /// make room for it.
    fn fill<T>(
        &self,
        repository: &RepositoryName,
        list: &Arc<TagList>,
        mut tags: BTreeSet<Tag>,
        answer: impl FnOnce(&BTreeSet<Tag>) -> T,
    ) -> T {
        let mut known = lock(&self.known);
        let mut state = lock(&list.state);
        if let State::Filling(changes) = &mut *state {
            for (tag, is_there) in changes.drain(..) {
                if is_there {
                    tags.insert(tag);
                } else {
                    tags.remove(&tag);
                }
            }
        }
        let (answer, cost) = (answer(&tags), tags.len() + EMPTY_LIST);
        *state = State::Full(tags);
        drop(state);
        let is_known = known
            .lists
            .get(repository)
            .is_some_and(|known| Arc::ptr_eq(known, list));
        if is_known {
            known.cost += cost;
            known.make_room(self.most);
        }
        answer
    }
}

impl Known {
    fn make_room(&mut self, most: usize) {
        // the first look costs nothing, and is enough nearly always
        while self.cost > most && self.cost - self.largest() > most {
            let oldest = self
                .lists
                .iter()
                .min_by_key(|(_, list)| list.last_use.load(Ordering::Relaxed));
            let Some((name, cost)) = oldest.map(|(name, list)| (name.clone(), list.cost())) else {
                return;
            };
            self.lists.remove(&name);
            self.cost -= cost;
        }
    }

    fn largest(&self) -> usize {
        let costs = self.lists.values().map(|list| list.cost());
        costs.max().unwrap_or(0)
    }
}

impl TagList {
    fn known_page(&self, after: Option<&str>, limit: usize) -> Option<Page<Tag>> {
        match &*lock(&self.state) {
            State::Full(tags) => Some(page_of(tags, after, limit)),
            State::Empty | State::Filling(_) => None,
        }
    }

    /// Nothing, until it is full.
    fn cost(&self) -> usize {
        match &*lock(&self.state) {
            State::Full(tags) => tags.len() + EMPTY_LIST,
            State::Empty | State::Filling(_) => 0,
        }
    }
}

fn page_of(tags: &BTreeSet<Tag>, after: Option<&str>, limit: usize) -> Page<Tag> {
    let begin = after.map_or(Bound::Unbounded, Bound::Excluded);
    let mut rest = tags.range::<str, _>((begin, Bound::Unbounded));
    let items: Vec<Tag> = rest.by_ref().take(limit).cloned().collect();
    Page {
        has_more: rest.next().is_some(),
        items,
    }
}

#[cfg(test)]
mod tests;
