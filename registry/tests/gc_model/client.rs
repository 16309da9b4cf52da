//! What a client makes the server do, one step for each moment that others or a crash can tell from the one before.
//! Which function of `store/` each step stands for is listed in `registry/docs/gc-model.md`. Pure.
//!
//! An fsync is one step with what the same operation does next: between the two there is nothing that a power cut
//! could not have left before. Stripes are taken all at once.

use super::disk::{Link, Name, Object, Repository, Tag};
use super::explorer::{Actor, Event, Move};
use super::mutants::Mutant;
use super::state::{At, Client, Held, Model, Permit, State, Tells};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Operation {
    /// `POST`, `PATCH` and `PUT` of the layer.
    PushLayer(Repository),
    /// `HEAD` of the layer, and a push only if it is not there: what most clients do.
    PushLayerUnlessThere(Repository),
    /// `HEAD` of a manifest by its digest: what clients do before they push an index over it.
    HeadManifest(Repository, Object),
    /// Makes the layer of A one of B.
    Mount,
    PutManifest(Repository, Object, Option<Tag>),
    DeleteTag(Tag),
    DeleteManifest(Repository, Object),
    DeleteLayer(Repository),
}

impl Model {
    /// What a client can do next: nothing when it is through or waits for a lock, else exactly one thing.
    pub(crate) fn client_move(&self, state: &State, who: usize) -> Option<Move> {
        let operation = *self.scenario.programs[who].get(usize::from(state.clients[who].operation))?;
        let mut turn = Turn {
            model: self,
            state: *state,
            who,
            event: Event::None,
        };
        let what = match (operation, state.clients[who].at) {
            (Operation::PushLayerUnlessThere(repository), At::Begin) => turn.head_of_layer(repository),
            (Operation::HeadManifest(repository, object), _) => {
                turn.head_of_manifest(Link(repository, object))
            }
            (Operation::DeleteManifest(repository, object), At::Begin)
                if self.is(Mutant::DeleteWithoutRereading) =>
            {
                turn.client().found = turn.tags_of(Link(repository, object));
                turn.permit()
            }
            (_, At::Begin) => turn.permit(),
            (_, At::Late) => turn.tell_late(operation),
            (Operation::PushLayer(repository) | Operation::PushLayerUnlessThere(repository), at) => {
                turn.push_layer(repository, at)
            }
            (Operation::Mount, at) => turn.mount(at),
            (Operation::PutManifest(repository, object, tag), at) => {
                turn.put_manifest(Link(repository, object), tag, at)
            }
            (Operation::DeleteTag(tag), at) => turn.delete_tag(tag, at),
            (Operation::DeleteManifest(repository, object), at) => {
                turn.delete_manifest(Link(repository, object), at)
            }
            (Operation::DeleteLayer(repository), at) => turn.delete_layer(repository, at),
        }?;
        Some(Move {
            actor: Actor::Client(who),
            operation: Some(operation),
            what,
            name: None,
            event: turn.event,
            next: turn.state,
        })
    }
}

/// One step of one client, being worked out.
pub(super) struct Turn<'a> {
    pub(super) model: &'a Model,
    pub(super) state: State,
    pub(super) who: usize,
    pub(super) event: Event,
}

pub(super) type Done = Option<&'static str>;

impl Turn<'_> {
    pub(super) fn client(&mut self) -> &mut Client {
        &mut self.state.clients[self.who]
    }

    #[expect(clippy::unnecessary_wraps, reason = "ends steps of which some have to wait")]
    pub(super) fn to(&mut self, at: At, what: &'static str) -> Done {
        self.client().at = at;
        Some(what)
    }

    #[expect(clippy::unnecessary_wraps, reason = "ends steps of which some have to wait")]
    pub(super) fn give_up(&mut self, what: &'static str) -> Done {
        self.client().finish();
        Some(what)
    }

    /// Takes locks, or waits.
    pub(super) fn hold(&mut self, wanted: Held) -> Option<()> {
        self.state.is_free(Some(self.who), wanted).then(|| {
            let held = &mut self.client().held;
            held.exclusive |= wanted.exclusive;
            held.shared |= wanted.shared;
            held.tags |= wanted.tags;
        })
    }

    pub(super) fn has(&self, link: Link) -> bool {
        self.state.disk.has(Name::Link(link))
    }

    /// A link whose content is there too.
    pub(super) fn is_whole(&self, link: Link) -> bool {
        self.has(link) && self.state.disk.has(Name::Content(link.1))
    }

    /// The stripe of what a tag names now: whoever takes that away holds it until that is durable.
    pub(super) fn named_by(&self, tag: Tag) -> u8 {
        if self.model.is(Mutant::OldTargetNotHeld) {
            return 0;
        }
        self.state.tagged(tag).map_or(0, Object::bit)
    }

    pub(super) fn permit(&mut self) -> Done {
        self.client().permit = Permit::Current;
        self.to(At::Permitted, "gets a permit")
    }

    /// Tells a run what will be there, under the locks and before the first write.
    pub(super) fn tell(&mut self, root: Link) {
        if self.model.tells == Tells::BeforeItWrites && !self.model.is(Mutant::ToldAfterRelease) {
            self.add(root);
        }
    }

    /// Lets go and answers.
    pub(super) fn commit(&mut self, root: Link, what: &'static str) -> Done {
        if self.state.collector.is_sweeping() {
            self.event = Event::AcknowledgedDuringSweep;
        }
        if self.model.is(Mutant::ToldAfterRelease) {
            self.client().held = Held::default();
            return self.to(At::Late, what);
        }
        if self.model.tells == Tells::AfterItHasWritten {
            self.add(root);
        }
        self.give_up(what)
    }

    fn add(&mut self, root: Link) {
        if self.state.collector.is_armed() {
            self.state.collector.additions |= root.bit();
        }
    }

    fn tell_late(&mut self, operation: Operation) -> Done {
        let root = match operation {
            Operation::PutManifest(repository, object, _) => Link(repository, object),
            Operation::PushLayer(repository) | Operation::PushLayerUnlessThere(repository) => {
                Link(repository, Object::Layer)
            }
            _ => Link(Repository::B, Object::Layer),
        };
        self.add(root);
        self.give_up("tells the run of its root")
    }
}

pub(super) fn exclusive(stripes: u8) -> Held {
    Held {
        exclusive: stripes,
        ..Held::default()
    }
}

pub(super) fn shared(stripes: u8) -> Held {
    Held {
        shared: stripes,
        ..Held::default()
    }
}
