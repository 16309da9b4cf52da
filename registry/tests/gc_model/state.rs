//! Everything that distinguishes one moment from another: the volume, what each actor is doing and holds, and what has
//! been promised to clients so far. Pure.

use super::disk::{Disk, Name, Object, TAGS, Tag};
use super::edges::{OF_LAYERS, each, within};
use super::mutants::Mutant;
use super::scenario::Scenario;

/// One moment.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(crate) disk: Disk,
    pub(crate) clients: [Client; 2],
    pub(crate) collector: Collector,
    pub(crate) promises: Promises,
    pub(crate) kills_left: u8,
    pub(crate) cuts_left: u8,
}

/// Stripes and tag locks that somebody holds, as sets of objects and tags.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Held {
    pub(crate) exclusive: u8,
    pub(crate) shared: u8,
    pub(crate) tags: u8,
}

impl Held {
    fn excludes(self, other: Self) -> bool {
        self.exclusive & (other.exclusive | other.shared) != 0
            || self.shared & other.exclusive != 0
            || self.tags & other.tags != 0
    }
}

/// Which generation of changes a client belongs to (`Store::permit`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Permit {
    None,
    Current,
    /// Given before the run armed itself.
    Older,
}

/// Where a client is in its operation; `client.rs` says what each does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum At {
    Begin,
    Permitted,
    Placed,
    Linked,
    Tagged,
    Checked,
    Untagging,
    Removed,
    /// Acknowledged, but the collector does not know yet; only a mutant comes here.
    Late,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Client {
    /// Position in its program.
    pub(crate) operation: u8,
    pub(crate) at: At,
    pub(crate) permit: Permit,
    pub(crate) held: Held,
    /// What it remembers: tags that it found, or whether it saw content.
    pub(crate) found: u8,
}

impl Client {
    pub(crate) const IDLE: Self = Self {
        operation: 0,
        at: At::Begin,
        permit: Permit::None,
        held: Held {
            exclusive: 0,
            shared: 0,
            tags: 0,
        },
        found: 0,
    };

    /// Lets go of everything and turns to the next operation.
    pub(crate) fn finish(&mut self) {
        *self = Self {
            operation: self.operation + 1,
            ..Self::IDLE
        };
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Phase {
    Idle,
    /// Waits for the changes that do not know of the run.
    Arming,
    Marking,
    /// Has read everything, and has locked nothing yet.
    Marked,
    SweepingLinks,
    SweepingContents,
}

/// Sets of links unless said otherwise.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Collector {
    pub(crate) phase: Phase,
    /// How far the mark or the sweep of contents is.
    pub(crate) cursor: u8,
    /// While marking: roots. Afterwards: everything that is kept.
    pub(crate) kept: u8,
    /// While marking: what was seen. Afterwards: candidates.
    pub(crate) candidates: u8,
    /// What clients have told since the run last took it.
    pub(crate) additions: u8,
    /// What it has taken of that, and not kept yet.
    pub(crate) taken: u8,
    /// The links that this batch is about; while contents are swept, whether this one was found to be garbage.
    pub(crate) batch: u8,
    /// Those of them that it still has to unlink.
    pub(crate) to_unlink: u8,
    /// Whether this batch has taken what was told.
    pub(crate) has_drained: bool,
    /// Nobody waits for the run any more; only the batch that has begun goes on.
    pub(crate) is_dropped: bool,
    pub(crate) held: Held,
    pub(crate) runs_left: u8,
}

impl Collector {
    pub(crate) fn idle(runs_left: u8) -> Self {
        Self {
            phase: Phase::Idle,
            cursor: 0,
            kept: 0,
            candidates: 0,
            additions: 0,
            taken: 0,
            batch: 0,
            to_unlink: 0,
            has_drained: false,
            is_dropped: false,
            held: Held::default(),
            runs_left,
        }
    }

    /// Whether changes tell it of their roots.
    pub(crate) fn is_armed(&self) -> bool {
        self.phase != Phase::Idle && !self.is_dropped
    }

    pub(crate) fn is_sweeping(&self) -> bool {
        matches!(self.phase, Phase::SweepingLinks | Phase::SweepingContents)
    }
}

/// What clients may rely on. No engine knows this; it is what the invariants compare the volume with.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Promises {
    /// For each tag the set of values that it may have: the acknowledged one and those of writes not yet answered.
    pub(crate) tag_values: [u8; 3],
    /// Manifests that were acknowledged; a DELETE of them was not, so far.
    pub(crate) acknowledged: u8,
    /// Of these the ones whose DELETE has begun: gone or whole, but not half there.
    pub(crate) deleting: u8,
    /// Manifests whose child was there when they were accepted.
    pub(crate) with_child: u8,
    /// Referrers that were acknowledged and there together with their subject.
    pub(crate) with_subject: u8,
    /// Links whose HEAD was answered before a batch had decided to remove them: their grace has begun anew.
    pub(crate) asked_for: u8,
    /// Manifests that a run has begun to remove: nobody may expect a whole one when a power cut brings it back.
    pub(crate) condemned: u8,
}

/// When a change tells a run of its root, always under its locks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tells {
    /// As the engine does it.
    BeforeItWrites,
    AfterItHasWritten,
}

/// An engine in a situation: what it does next follows from these two and a [`State`].
pub(crate) struct Model {
    pub(crate) scenario: Scenario,
    pub(crate) mutant: Option<Mutant>,
    pub(crate) tells: Tells,
    /// Whether only what was acknowledged counts, and not also what is half there for readers.
    pub(crate) only_acknowledged: bool,
}

impl Model {
    pub(crate) fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    pub(crate) fn start(&self) -> State {
        let scenario = &self.scenario;
        let mut disk = Disk::empty();
        for (name, value) in &scenario.volume {
            disk.write(*name, *value);
        }
        disk.sync_all();
        let revisions = disk.links() & !OF_LAYERS;
        let mut promises = Promises {
            tag_values: TAGS.map(|tag| 1 << disk.read(Name::Tag(tag))),
            acknowledged: revisions,
            deleting: 0,
            with_child: 0,
            with_subject: 0,
            asked_for: 0,
            condemned: 0,
        };
        for link in each(revisions) {
            let there = |objects: u8| within(revisions, link.0) & objects != 0;
            if there(scenario.edges.children_of(link.1)) {
                promises.with_child |= link.bit();
            }
            if there(scenario.edges.subject_of(link.1)) {
                promises.with_subject |= link.bit();
            }
        }
        State {
            disk,
            clients: [Client::IDLE; 2],
            collector: Collector::idle(scenario.runs),
            promises,
            kills_left: scenario.kills,
            cuts_left: scenario.cuts,
        }
    }
}

impl State {
    /// Whether a client, or the collector (`None`), may take these locks now.
    pub(crate) fn is_free(&self, who: Option<usize>, wanted: Held) -> bool {
        let clients = self.clients.iter().enumerate();
        clients
            .filter(|(other, _)| Some(*other) != who)
            .all(|(_, client)| !client.held.excludes(wanted))
            && (who.is_none() || !self.collector.held.excludes(wanted))
    }

    pub(crate) fn tagged(&self, tag: Tag) -> Option<Object> {
        Object::of_tag_value(self.disk.read(Name::Tag(tag)))
    }
}
