//! The steps of a garbage collection: arm, wait, mark name by name, sweep links in waves, sweep contents. It may also
//! be dropped between two batches. Which function of `store/` each stands for is listed in
//! `registry/docs/gc-model.md`. Pure.

use super::disk::{ABSENT, FRESH, Link, Name, OBJECTS, Object, TAGS};
use super::edges::{OF_LAYERS, blobs_of, each, objects};
use super::explorer::{Actor, Event, Move};
use super::mutants::Mutant;
use super::state::{Collector, Held, Model, Permit, Phase, State};

impl Model {
    /// What the collector does next, and whether it is dropped instead.
    pub(crate) fn collector_moves(&self, state: &State) -> Vec<Move> {
        let mut moves: Vec<Move> = self.run(state).into_iter().collect();
        let is_between_batches = state.collector.held == Held::default();
        if self.scenario.may_be_dropped && state.collector.is_armed() && is_between_batches {
            let mut next = *state;
            next.collector = Collector::idle(state.collector.runs_left);
            moves.push(step("is dropped", None, Event::None, next));
        }
        moves
    }

    fn run(&self, state: &State) -> Option<Move> {
        match state.collector.phase {
            Phase::Idle => arm(state),
            Phase::Arming => self.pass_barrier(state),
            Phase::Marking => Some(self.mark(state)),
            Phase::SweepingLinks => self.sweep_links(state),
            Phase::SweepingContents => self.sweep_contents(state),
        }
    }

    /// Goes on once no change is under way that may not know of the run.
    fn pass_barrier(&self, state: &State) -> Option<Move> {
        let is_older = |permit: Permit| permit == Permit::Older;
        if state.clients.iter().any(|client| is_older(client.permit)) && !self.is(Mutant::NoArmingBarrier) {
            return None;
        }
        let mut next = *state;
        next.collector.phase = Phase::Marking;
        Some(step(
            "passes the barrier, begins to mark",
            None,
            Event::None,
            next,
        ))
    }

    /// Reads one name. After the last one it knows what is kept and what is a candidate.
    fn mark(&self, state: &State) -> Move {
        let mut next = *state;
        let collector = &mut next.collector;
        let names = &self.scenario.names;
        let name = names[usize::from(collector.cursor)];
        let value = state.disk.read(name);
        match name {
            Name::Tag(tag) => {
                let tagged = Object::of_tag_value(value).map(|object| Link(tag.repository(), object).bit());
                collector.kept |= tagged.unwrap_or(0);
            }
            Name::Link(link) if value != ABSENT => {
                collector.candidates |= link.bit();
                let is_manifest = link.1 != Object::Layer;
                if is_manifest && !self.scenario.collects_untagged || value == FRESH && !is_manifest {
                    collector.kept |= link.bit();
                }
            }
            _ => {}
        }
        collector.cursor += 1;
        if usize::from(collector.cursor) == names.len() {
            let seen = collector.candidates;
            collector.kept = self.scenario.edges.closure(collector.kept, seen);
            collector.candidates = seen & !collector.kept;
            collector.cursor = 0;
            collector.phase = Phase::SweepingLinks;
        }
        step("reads", Some(name), Event::None, next)
    }

    fn sweep_links(&self, state: &State) -> Option<Move> {
        let mut next = *state;
        let collector = &mut next.collector;
        if let Some(link) = each(collector.to_unlink).next() {
            collector.to_unlink &= !link.bit();
            next.disk.write(Name::Link(link), ABSENT);
            return Some(step("unlinks", Some(Name::Link(link)), Event::LinkRemoved, next));
        }
        if collector.to_sync != 0 {
            for link in each(collector.to_sync) {
                if !self.is(Mutant::LinksNotSynced) {
                    next.disk.sync(Name::Link(link));
                }
            }
            collector.candidates &= !collector.to_sync;
            collector.to_sync = 0;
            collector.held = Held::default();
            return Some(step(
                "fsyncs what it has unlinked, lets go",
                None,
                Event::None,
                next,
            ));
        }
        if collector.candidates == 0 {
            collector.phase = Phase::SweepingContents;
            return self.sweep_contents(&next);
        }
        let batch = self.scenario.edges.wave(collector.candidates);
        let wanted = Held {
            exclusive: objects(batch),
            shared: self.shared_by(batch) & !objects(batch),
            tags: 0,
        };
        if !state.is_free(None, wanted) {
            return None;
        }
        let event = self.drain(&mut next, batch);
        let collector = &mut next.collector;
        collector.to_unlink = batch & collector.candidates;
        collector.to_sync = collector.to_unlink;
        next.promises.condemned |= collector.to_unlink & !OF_LAYERS;
        if collector.to_unlink != 0 {
            collector.held = wanted;
        }
        Some(step(
            "takes the stripes of a batch, closes over what was added",
            None,
            event,
            next,
        ))
    }

    /// The stripes that a batch only shares: subjects, so that none is acknowledged while its referrer goes, and what
    /// the members name, so that nobody deletes that while the members may come back.
    fn shared_by(&self, batch: u8) -> u8 {
        let (edges, mut stripes) = (self.scenario.edges, 0);
        for Link(_, object) in each(batch) {
            if !self.is(Mutant::SubjectsNotHeld) {
                stripes |= edges.subject_of(object);
            }
            if !self.is(Mutant::SweptNamesNotHeld) {
                stripes |= blobs_of(object) | edges.children_of(object);
            }
        }
        stripes
    }

    /// Takes what clients have added and keeps all that follows from it; of the batch also links renewed meanwhile.
    fn drain(&self, next: &mut State, batch: u8) -> Event {
        let (edges, present) = (self.scenario.edges, next.disk.links());
        let renewed = each(batch & OF_LAYERS)
            .filter(|link| next.disk.read(Name::Link(*link)) == FRESH)
            .fold(0, |set, link| set | link.bit());
        let collector = &mut next.collector;
        collector.kept = if self.is(Mutant::DirectReferences) {
            collector.kept | edges.direct(collector.additions, present)
        } else {
            edges.closure(collector.kept | collector.additions, present)
        };
        collector.additions = 0;
        if !self.is(Mutant::RenewedContentForgotten) {
            collector.kept |= renewed;
        }
        let saved = collector.candidates & (collector.kept | renewed);
        collector.candidates &= !saved;
        if saved == 0 {
            Event::None
        } else {
            Event::CandidateSaved
        }
    }

    /// Looks at one content after the other, each under its stripe.
    fn sweep_contents(&self, state: &State) -> Option<Move> {
        let mut next = *state;
        let Some(object) = OBJECTS.get(usize::from(state.collector.cursor)).copied() else {
            next.collector = Collector::idle(state.collector.runs_left);
            return Some(step("ends", None, Event::RunEnded, next));
        };
        if state.collector.held != Held::default() {
            next.disk.write(Name::Content(object), ABSENT);
            next.collector.held = Held::default();
            next.collector.cursor += 1;
            return Some(step(
                "unlinks",
                Some(Name::Content(object)),
                Event::ContentRemoved,
                next,
            ));
        }
        let wanted = Held {
            exclusive: object.bit(),
            ..Held::default()
        };
        let is_candidate = |state: &State| {
            state.disk.has(Name::Content(object)) && objects(state.collector.kept) & object.bit() == 0
        };
        if is_candidate(state) {
            if !state.is_free(None, wanted) {
                return None;
            }
            self.drain(&mut next, 0);
            if is_candidate(&next) {
                next.collector.held = wanted;
                return Some(step(
                    "takes the stripe of",
                    Some(Name::Content(object)),
                    Event::None,
                    next,
                ));
            }
        }
        next.collector.cursor += 1;
        Some(step("leaves", Some(Name::Content(object)), Event::None, next))
    }
}

fn arm(state: &State) -> Option<Move> {
    let mut next = *state;
    next.collector.runs_left = state.collector.runs_left.checked_sub(1)?;
    next.collector.phase = Phase::Arming;
    for client in &mut next.clients {
        if client.permit == Permit::Current {
            client.permit = Permit::Older;
        }
    }
    Some(step("arms itself", None, Event::None, next))
}

fn step(what: &'static str, name: Option<Name>, event: Event, next: State) -> Move {
    Move {
        actor: Actor::Collector,
        operation: None,
        what,
        name,
        event,
        next,
    }
}

/// Every name that exists at the start or that an operation may make, in the order in which a run reads them.
pub(crate) fn reading_order(is_used: impl Fn(Name) -> bool) -> Vec<Name> {
    let mut names = Vec::new();
    for repository in super::disk::REPOSITORIES {
        let tags = TAGS.into_iter().filter(|tag| tag.repository() == repository);
        names.extend(tags.map(Name::Tag));
        let objects = OBJECTS.into_iter().rev();
        names.extend(objects.map(|object| Name::Link(Link(repository, object))));
    }
    names.retain(|name| is_used(*name));
    names
}
