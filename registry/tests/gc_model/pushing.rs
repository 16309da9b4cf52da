//! The steps of pushes: `HEAD`, upload, mount, and `PUT` of a manifest with or without a tag. Pure.

use super::client::{Done, Turn, exclusive, shared};
use super::disk::{Link, Name, Object, PRESENT, Repository, Tag};
use super::edges::within;
use super::explorer::Event;
use super::mutants::Mutant;
use super::state::{At, Held};

impl Turn<'_> {
    pub(super) fn head_of_layer(&mut self, repository: Repository) -> Done {
        let link = Link(repository, Object::Layer);
        if !self.is_whole(link) {
            return self.permit();
        }
        self.renew(link);
        self.give_up("finds the layer there and renews its link's mtime")
    }

    pub(super) fn head_of_manifest(&mut self, link: Link) -> Done {
        if !self.is_whole(link) {
            return self.give_up("finds no such manifest");
        }
        self.renew(link);
        self.give_up("finds the manifest there and renews its revision's mtime")
    }

    /// Without locks: what a batch has decided on by then goes all the same.
    fn renew(&mut self, link: Link) {
        let scenario = &self.model.scenario;
        self.state.disk.write(Name::Link(link), scenario.new_link());
        if scenario.has_grace && !link.is_in(self.state.collector.to_unlink) {
            self.state.promises.asked_for |= link.bit();
        }
    }

    pub(super) fn push_layer(&mut self, repository: Repository, at: At) -> Done {
        let (content, link) = (Name::Content(Object::Layer), Link(repository, Object::Layer));
        match at {
            At::Permitted if self.model.is(Mutant::LookBeforeLock) && self.client().found == 0 => {
                self.client().found = 1 + u8::from(self.state.disk.has(content));
                Some("looks whether the content is there")
            }
            At::Permitted => {
                let stripe = Object::Layer.bit();
                if self.model.is(Mutant::SharedPublish) {
                    self.hold(shared(stripe))?;
                } else {
                    self.hold(exclusive(stripe))?;
                }
                self.tell(link);
                let skips = self.model.is(Mutant::SkipIfExists) && self.state.disk.has(content);
                if skips || self.client().found == 2 {
                    return self.to(
                        At::Placed,
                        "takes the stripe and leaves the content that is there",
                    );
                }
                self.state.disk.write(content, PRESENT);
                self.to(
                    At::Placed,
                    "takes the stripe, tells the run, renames its content into place",
                )
            }
            At::Placed => {
                self.state.disk.sync(content);
                self.state
                    .disk
                    .write(Name::Link(link), self.model.scenario.new_link());
                self.to(At::Linked, "fsyncs that, renames the link into place")
            }
            _ => {
                self.state.disk.sync(Name::Link(link));
                self.commit(link, "fsyncs the link, lets go, acknowledges")
            }
        }
    }

    pub(super) fn mount(&mut self, at: At) -> Done {
        let target = Link(Repository::B, Object::Layer);
        if at == At::Permitted {
            self.hold(shared(Object::Layer.bit()))?;
            if !self.is_whole(Link(Repository::A, Object::Layer)) {
                return self.give_up("finds nothing to mount");
            }
            self.tell(target);
            self.state
                .disk
                .write(Name::Link(target), self.model.scenario.new_link());
            return self.to(
                At::Linked,
                "holds the stripe, tells the run, renames the link into place",
            );
        }
        self.state.disk.sync(Name::Link(target));
        self.commit(target, "fsyncs the link, lets go, acknowledges")
    }

    pub(super) fn put_manifest(&mut self, link: Link, tag: Option<Tag>, at: At) -> Done {
        match at {
            At::Permitted => {
                let edges = self.model.scenario.edges;
                let replaced = tag.map_or(0, |tag| self.named_by(tag));
                let named = edges.named_by(link.1) | edges.subject_of(link.1);
                self.hold(Held {
                    exclusive: link.1.bit(),
                    shared: (named | replaced) & !link.1.bit(),
                    tags: tag.map_or(0, Tag::bit),
                })?;
                if edges.blobs_of(link.1) != 0 && !self.is_whole(Link(link.0, Object::Layer)) {
                    self.event = Event::Refused;
                    return self.give_up("is refused: the layer is unknown");
                }
                self.tell(link);
                self.promise_child(link);
                self.state.disk.write(Name::Content(link.1), PRESENT);
                if self.model.is(Mutant::TagBeforeManifest) {
                    self.write_revision(link);
                    self.write_tag(link.1, tag);
                    return self.to(
                        At::Tagged,
                        "holds the stripes, renames content, revision and tag into place",
                    );
                }
                self.to(
                    At::Placed,
                    "holds the stripes, finds all blobs, tells the run, renames its content into place",
                )
            }
            At::Placed => {
                self.state.disk.sync(Name::Content(link.1));
                self.write_revision(link);
                self.to(At::Linked, "fsyncs that, renames the revision into place")
            }
            At::Linked if tag.is_some() => {
                self.state.disk.sync(Name::Link(link));
                self.write_tag(link.1, tag);
                self.to(At::Tagged, "fsyncs that, renames the tag into place")
            }
            _ => {
                self.state.disk.sync(Name::Content(link.1));
                self.state.disk.sync(Name::Link(link));
                if let Some(tag) = tag {
                    self.state.disk.sync(Name::Tag(tag));
                    self.state.promises.tag_values[tag as usize] = 1 << link.1.tag_value();
                }
                self.promise(link);
                self.commit(link, "fsyncs that, lets go, acknowledges")
            }
        }
    }

    fn write_revision(&mut self, link: Link) {
        let value = self.model.scenario.new_link();
        self.state.disk.write(Name::Link(link), value);
    }

    fn write_tag(&mut self, object: Object, tag: Option<Tag>) {
        if let Some(tag) = tag {
            self.state.promises.tag_values[tag as usize] |= 1 << object.tag_value();
            self.state.disk.write(Name::Tag(tag), object.tag_value());
        }
    }

    /// The child of an index is promised from when its stripe is held, if it is there then.
    fn promise_child(&mut self, link: Link) {
        let children = self.model.scenario.edges.children_of(link.1);
        let there = within(self.state.disk.links(), link.0);
        self.state.promises.with_child &= !link.bit();
        self.state.promises.condemned &= !link.bit();
        if children & there != 0 {
            self.state.promises.with_child |= link.bit();
        }
        let referrer = Link(link.0, Object::Referrer);
        if self.model.scenario.edges.subject == link.1 && !(self.has(link) && self.has(referrer)) {
            self.state.promises.with_subject &= !referrer.bit(); // until one of the two is acknowledged
        }
        if !self.has(link) {
            self.state.promises.acknowledged &= !link.bit();
            self.state.promises.deleting &= !link.bit();
        }
    }

    fn promise(&mut self, link: Link) {
        self.state.promises.acknowledged |= link.bit();
        self.state.promises.deleting &= !link.bit();
        let referrer = Link(link.0, Object::Referrer);
        let (subject, promises) = (self.model.scenario.edges.subject, &mut self.state.promises);
        if (link == referrer || link.1 == subject)
            && referrer.is_in(promises.acknowledged)
            && self.state.disk.has(Name::Link(referrer))
        {
            promises.with_subject |= referrer.bit();
        }
    }
}
