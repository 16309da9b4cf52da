//! The steps of a garbage collection up to its sweep: arm, wait, mark name by name. At any time whoever waits for it may
//! drop it; a batch that has begun then goes on in its thread. Which function of `store/` each stands for is listed in
//! `registry/docs/gc-model.md`. Pure.

use super::disk::{ABSENT, FRESH, Link, Name, OBJECTS, Object, REPOSITORIES, TAGS};
use super::explorer::{Actor, Event, Move};
use super::mutants::Mutant;
use super::state::{Collector, Held, Model, Permit, Phase, State};

impl Model {
    /// What the collector does next, and whether it is dropped instead.
    pub(crate) fn collector_moves(&self, state: &State) -> Vec<Move> {
        let mut moves: Vec<Move> = self.run(state).into_iter().collect();
        if state.collector.is_armed() {
            let mut next = *state;
            next.collector.is_dropped = true;
            next.collector.additions = 0;
            if state.collector.held == Held::default() {
                next.collector = Collector::idle(state.collector.runs_left);
            }
            moves.push(step("is dropped", None, Event::None, next));
        }
        moves
    }

    fn run(&self, state: &State) -> Option<Move> {
        match state.collector.phase {
            Phase::Idle => arm(state),
            Phase::Arming => self.pass_barrier(state),
            Phase::Marking => Some(self.mark(state)),
            Phase::Marked => Some(self.take_notes(state)),
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
                if value == FRESH || is_manifest && !self.scenario.collects_untagged {
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
            collector.phase = Phase::Marked;
        }
        step("reads", Some(name), Event::None, next)
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

pub(super) fn step(what: &'static str, name: Option<Name>, event: Event, next: State) -> Move {
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
    for repository in REPOSITORIES {
        let tags = TAGS.into_iter().filter(|tag| tag.repository() == repository);
        names.extend(tags.map(Name::Tag));
        let objects = OBJECTS.into_iter().rev();
        names.extend(objects.map(|object| Name::Link(Link(repository, object))));
    }
    names.retain(|name| is_used(*name));
    names
}
