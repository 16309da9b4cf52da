//! The steps of a sweep: links in waves, then contents, batch by batch. A batch takes its stripes, then takes what the
//! run was told and keeps what follows from it, then unlinks the rest. Pure.

use super::collector::step;
use super::disk::{ABSENT, FRESH, Link, Name, OBJECTS, Object};
use super::edges::{OF_LAYERS, blobs_of, each, objects};
use super::explorer::{Event, Move};
use super::mutants::Mutant;
use super::state::{Collector, Held, Model, Phase, State};

impl Model {
    pub(super) fn sweep_links(&self, state: &State) -> Option<Move> {
        let (mut next, collector) = (*state, &state.collector);
        if collector.batch == 0 {
            return self.lock_batch(state);
        }
        if !collector.has_drained {
            return Some(self.drain_links(state));
        }
        if let Some(link) = each(collector.to_unlink).next() {
            next.collector.to_unlink &= !link.bit();
            next.disk.write(Name::Link(link), ABSENT);
            return Some(step("unlinks", Some(Name::Link(link)), Event::LinkRemoved, next));
        }
        // Links of layers wait until all are gone.
        for link in each(collector.batch & !OF_LAYERS) {
            if !self.is(Mutant::LinksNotSynced) {
                next.disk.sync(Name::Link(link));
            }
        }
        next.collector.candidates &= !collector.batch;
        end_batch(&mut next);
        Some(step(
            "fsyncs what it has unlinked, lets go",
            None,
            Event::None,
            next,
        ))
    }

    fn lock_batch(&self, state: &State) -> Option<Move> {
        let (mut next, candidates) = (*state, state.collector.candidates);
        if candidates == 0 {
            next.collector.phase = Phase::SweepingContents;
            if !self.is(Mutant::LinksNotSynced) {
                // Also what a run has unlinked that was given up.
                each(OF_LAYERS).for_each(|link| next.disk.sync(Name::Link(link)));
            }
            return Some(step(
                "fsyncs that links of layers are gone",
                None,
                Event::None,
                next,
            ));
        }
        let batch = self.scenario.edges.wave(candidates);
        let removed = objects(batch) | self.subjects_of(batch);
        let wanted = Held {
            exclusive: removed,
            shared: self.named_by_batch(batch) & !removed,
            tags: 0,
        };
        next.collector.batch = batch;
        next.collector.held = wanted;
        let what = "takes the stripes of a batch";
        state
            .is_free(None, wanted)
            .then(|| step(what, None, Event::None, next))
    }

    /// None of them can be acknowledged while its referrer goes.
    fn subjects_of(&self, batch: u8) -> u8 {
        let held = !self.is(Mutant::SubjectsNotHeld);
        let subjects = each(batch).map(|Link(_, object)| self.scenario.edges.subject_of(object));
        subjects
            .filter(|_| held)
            .fold(0, |stripes, subject| stripes | subject)
    }

    /// Nobody can delete that while a power cut may bring back what names it.
    fn named_by_batch(&self, batch: u8) -> u8 {
        let held = !self.is(Mutant::SweptNamesNotHeld);
        let edges = self.scenario.edges;
        let named =
            each(batch & !OF_LAYERS).map(|Link(_, object)| blobs_of(object) | edges.children_of(object));
        named.filter(|_| held).fold(0, |stripes, named| stripes | named)
    }

    fn drain_links(&self, state: &State) -> Move {
        let mut next = *state;
        if self.ends_when_dropped(state) {
            return step(
                "sees that its run is over, lets go",
                None,
                Event::None,
                idle(state),
            );
        }
        let batch = state.collector.batch;
        let event = self.drain(&mut next, batch);
        let going = batch & next.collector.candidates;
        next.collector.batch = going;
        next.collector.to_unlink = going;
        next.collector.has_drained = true;
        next.promises.condemned |= going & !OF_LAYERS;
        if going == 0 {
            end_batch(&mut next);
        }
        step("keeps what it was told, and what follows", None, event, next)
    }

    fn ends_when_dropped(&self, state: &State) -> bool {
        state.collector.is_dropped && !self.is(Mutant::GoesOnWhenDropped)
    }

    /// Takes what clients have told and keeps all that follows from it; of the batch also links renewed meanwhile.
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
    pub(super) fn sweep_contents(&self, state: &State) -> Option<Move> {
        let mut next = *state;
        let Some(object) = OBJECTS.get(usize::from(state.collector.cursor)).copied() else {
            return Some(step("ends", None, Event::RunEnded, idle(state)));
        };
        let name = Name::Content(object);
        let is_locked = state.collector.held != Held::default();
        if state.collector.has_drained {
            next.disk.write(name, ABSENT);
            leave(&mut next);
            return Some(step("unlinks", Some(name), Event::ContentRemoved, next));
        }
        if is_locked && self.ends_when_dropped(state) {
            return Some(step(
                "sees that its run is over, lets go",
                None,
                Event::None,
                idle(state),
            ));
        }
        if is_locked {
            self.drain(&mut next, 0);
        }
        if !is_garbage(&next, object) {
            leave(&mut next);
            return Some(step("leaves", Some(name), Event::None, next));
        }
        if is_locked {
            next.collector.has_drained = true;
            return Some(step(
                "was told of nothing that needs",
                Some(name),
                Event::None,
                next,
            ));
        }
        next.collector.held = Held {
            exclusive: object.bit(),
            ..Held::default()
        };
        state
            .is_free(None, next.collector.held)
            .then(|| step("takes the stripe of", Some(name), Event::None, next))
    }
}

/// Content that no link that stays points at.
fn is_garbage(state: &State, object: Object) -> bool {
    state.disk.has(Name::Content(object)) && objects(state.collector.kept) & object.bit() == 0
}

/// Goes on to the next content.
fn leave(next: &mut State) {
    next.collector.cursor += 1;
    end_batch(next);
}

fn end_batch(next: &mut State) {
    if next.collector.is_dropped {
        *next = idle(next);
        return;
    }
    next.collector.batch = 0;
    next.collector.has_drained = false;
    next.collector.held = Held::default();
}

fn idle(state: &State) -> State {
    State {
        collector: Collector::idle(state.collector.runs_left),
        ..*state
    }
}
