//! What must hold at every moment. A state comes in, a broken promise goes out as a sentence. Pure.

use super::disk::{ABSENT, Link, Name, Object, PRESENT, TAGS};
use super::edges::each;
use super::state::{Model, State};

impl Model {
    pub(crate) fn broken_promise(&self, state: &State) -> Option<String> {
        let broken = self.lost_acknowledged(state);
        if self.only_acknowledged {
            return broken;
        }
        broken.or_else(|| self.half_there(state))
    }

    /// An acknowledged tag or manifest that is gone, changed, or not whole.
    fn lost_acknowledged(&self, state: &State) -> Option<String> {
        for tag in TAGS {
            let (value, allowed) = (
                state.disk.read(Name::Tag(tag)),
                state.promises.tag_values[tag as usize],
            );
            if allowed >> value & 1 == 0 {
                return Some(format!("tag {tag:?} is not what was acknowledged"));
            }
            if allowed >> ABSENT & 1 == 0 {
                let lost = self.lost_of_tag(state, tag);
                if lost.is_some() {
                    return lost;
                }
            }
        }
        let forgotten = state.promises.asked_for & !state.disk.links();
        if let Some(link) = each(forgotten).next() {
            return Some(format!("{} was asked for in time, but is gone", Name::Link(link)));
        }
        if self.scenario.collects_untagged {
            return None; // what no tag leads to may go
        }
        let gone = state.promises.deleting & !state.disk.links();
        each(state.promises.acknowledged & !gone).find_map(|link| {
            let lost = self.lost(state, link, 0)?;
            Some(format!("{} was acknowledged, but {lost}", Name::Link(link)))
        })
    }

    /// Something that a reader can see, whether acknowledged or not, and cannot have.
    fn half_there(&self, state: &State) -> Option<String> {
        let links = state.disk.links();
        let tag = TAGS.into_iter().find_map(|tag| self.lost_of_tag(state, tag));
        tag.or_else(|| {
            each(links & !state.promises.condemned).find_map(|link| {
                let lost = self.lost(state, link, 0)?;
                Some(format!("{} is there, but {lost}", Name::Link(link)))
            })
        })
    }

    fn lost_of_tag(&self, state: &State, tag: super::disk::Tag) -> Option<String> {
        let object = state.tagged(tag)?;
        let lost = self.lost(state, Link(tag.repository(), object), 0)?;
        Some(format!("tag {tag:?} names {object:?}, but {lost}"))
    }

    /// The first thing that is missing of a manifest or layer and all that was promised with it.
    fn lost(&self, state: &State, link: Link, seen: u8) -> Option<String> {
        if link.is_in(seen) {
            return None;
        }
        let (Link(repository, object), edges, seen) = (link, self.scenario.edges, seen | link.bit());
        if !state.disk.has(Name::Link(link)) {
            return Some(format!("{} is missing", Name::Link(link)));
        }
        if state.disk.read(Name::Content(object)) != PRESENT {
            return Some(format!("the {} is missing or damaged", Name::Content(object)));
        }
        let mut wanted = edges.blobs_of(object);
        if link.is_in(state.promises.with_child) {
            wanted |= edges.children_of(object);
        }
        let referrer = Link(repository, Object::Referrer);
        if object == edges.subject && referrer.is_in(state.promises.with_subject) {
            wanted |= referrer.1.bit();
        }
        each(wanted << (4 * repository as u8)).find_map(|needed| self.lost(state, needed, seen))
    }
}
