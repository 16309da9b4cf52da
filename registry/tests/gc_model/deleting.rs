//! The steps of `DELETE`: of a tag, a manifest with its tags, and a layer. Pure.

use super::client::{Done, Turn, exclusive};
use super::disk::{ABSENT, Link, Name, OBJECTS, Object, Repository, TAGS, Tag};
use super::edges::within;
use super::mutants::Mutant;
use super::state::{At, Held};

impl Turn<'_> {
    pub(super) fn delete_tag(&mut self, tag: Tag, at: At) -> Done {
        if at == At::Permitted {
            let shared = self.named_by(tag);
            self.hold(Held {
                exclusive: 0,
                shared,
                tags: tag.bit(),
            })?;
            if !self.state.disk.has(Name::Tag(tag)) {
                return self.give_up("finds no tag to remove");
            }
            self.remove_tag(tag);
            return self.to(At::Removed, "locks the tag, renames it away");
        }
        self.forget_tag(tag);
        self.give_up("fsyncs that, lets go, acknowledges")
    }

    fn remove_tag(&mut self, tag: Tag) {
        self.state.promises.tag_values[tag as usize] |= 1 << ABSENT;
        self.state.disk.write(Name::Tag(tag), ABSENT);
    }

    fn forget_tag(&mut self, tag: Tag) {
        self.state.disk.sync(Name::Tag(tag));
        self.state.promises.tag_values[tag as usize] = 1 << ABSENT;
    }

    pub(super) fn delete_manifest(&mut self, link: Link, at: At) -> Done {
        match at {
            At::Permitted => {
                let edges = self.model.scenario.edges;
                let named = edges.named_by(link.1);
                self.hold(Held {
                    exclusive: link.1.bit(),
                    shared: if self.model.is(Mutant::NamedNotHeld) {
                        0
                    } else {
                        named
                    },
                    tags: 0,
                })?;
                if !self.has(link) || self.is_needed(link) {
                    return self.give_up("is refused: it is unknown, or an index needs it");
                }
                if !self.model.is(Mutant::DeleteWithoutRereading) {
                    self.client().found = self.tags_of(link);
                }
                self.to(At::Checked, "takes the stripe, looks for tags that name it")
            }
            At::Checked => {
                let tags = self.client().found;
                self.hold(Held {
                    tags,
                    ..Held::default()
                })?;
                self.to(At::Untagging, "locks those tags")
            }
            At::Untagging => {
                let found = self.client().found;
                let Some(tag) = TAGS.into_iter().find(|tag| found & tag.bit() != 0) else {
                    self.state.promises.deleting |= link.bit();
                    self.state.promises.with_subject &= !link.bit();
                    self.state.promises.asked_for &= !link.bit();
                    self.state.disk.write(Name::Link(link), ABSENT);
                    return self.to(At::Removed, "unlinks the revision");
                };
                if !self.state.disk.has(Name::Tag(tag)) {
                    self.client().found &= !tag.bit();
                    if self.state.promises.tag_values[tag as usize] != 1 << ABSENT {
                        self.forget_tag(tag);
                    }
                    return Some("fsyncs that the tag is gone");
                }
                let is_read_again =
                    !self.model.is(Mutant::DeleteWithoutRereading) && !self.model.is(Mutant::TagsReadOnce);
                if is_read_again && self.state.tagged(tag) != Some(link.1) {
                    self.client().found &= !tag.bit();
                    return Some("reads the tag again: it names something else now");
                }
                if self.state.tagged(tag) == Some(link.1) {
                    self.remove_tag(tag);
                } else {
                    self.state.disk.write(Name::Tag(tag), ABSENT); // nobody asked for that
                }
                Some("renames the tag away")
            }
            _ => {
                self.state.disk.sync(Name::Link(link));
                self.state.promises.acknowledged &= !link.bit();
                self.state.promises.deleting &= !link.bit();
                self.give_up("fsyncs that, lets go, acknowledges")
            }
        }
    }

    fn is_needed(&self, link: Link) -> bool {
        let (edges, there) = (self.model.scenario.edges, within(self.state.disk.links(), link.0));
        let parents = OBJECTS.into_iter().filter(|object| there & object.bit() != 0);
        parents
            .into_iter()
            .any(|object: Object| edges.named_by(object) & link.1.bit() != 0)
    }

    pub(super) fn tags_of(&self, link: Link) -> u8 {
        let tags = TAGS.into_iter().filter(|tag| tag.repository() == link.0);
        tags.filter(|tag| self.state.tagged(*tag) == Some(link.1))
            .fold(0, |set, tag| set | tag.bit())
    }

    pub(super) fn delete_layer(&mut self, repository: Repository, at: At) -> Done {
        let link = Link(repository, Object::Layer);
        if at == At::Permitted {
            self.hold(exclusive(Object::Layer.bit()))?;
            if !self.has(link) || self.is_needed(link) {
                return self.give_up("is refused: it is unknown, or a manifest needs it");
            }
            self.state.promises.asked_for &= !link.bit();
            self.state.disk.write(Name::Link(link), ABSENT);
            return self.to(At::Removed, "takes the stripe, unlinks the link");
        }
        self.state.disk.sync(Name::Link(link));
        self.give_up("fsyncs that, lets go, acknowledges")
    }
}
