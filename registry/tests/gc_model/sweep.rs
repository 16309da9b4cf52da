//! The steps of a sweep: links in waves, then contents, batch by batch. A batch takes its stripes, then takes what the
//! run was told and keeps what follows from it, then unlinks the rest. Pure.

use super::client::{Operation, exclusive};
use super::collector::step;
use super::disk::{ABSENT, FRESH, Link, Name, OBJECTS, Object, Repository};
use super::edges::{OF_LAYERS, each, objects, of_repository};
use super::explorer::{Event, Move};
use super::mutants::Mutant;
use super::state::{At, Collector, Held, Model, Phase, State};

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
        let batch = self.next_batch(candidates);
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

    /// A wave of one repository: manifests of all repositories come before links.
    fn next_batch(&self, candidates: u8) -> u8 {
        let manifests = candidates & !OF_LAYERS;
        let next = if manifests == 0 { candidates } else { manifests };
        let first = each(next)
            .next()
            .map_or(Repository::A, |Link(repository, _)| repository);
        self.scenario.edges.wave(next & of_repository(first))
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
        let named = each(batch & !OF_LAYERS).map(|Link(_, object)| edges.named_by(object));
        named.filter(|_| held).fold(0, |stripes, named| stripes | named)
    }

    fn drain_links(&self, state: &State) -> Move {
        if let Some(waits) = self.listen(state, Locked::Yes) {
            return waits;
        }
        let mut next = *state;
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
        step(
            "keeps that and what follows, looks at its batch",
            None,
            event,
            next,
        )
    }

    /// Takes what it was told, which it will keep in its next step: with one look at the volume after the other, while
    /// others go on. None: there is nothing that it was told, or it has taken it.
    fn listen(&self, state: &State, locked: Locked) -> Option<Move> {
        let mut next = *state;
        if state.collector.taken != 0 {
            return None;
        }
        if locked == Locked::Yes && self.ends_when_dropped(state) {
            let what = "sees that its run is over, lets go";
            return Some(step(what, None, Event::None, idle(state)));
        }
        if state.collector.additions == 0 || locked == Locked::Yes && self.is(Mutant::ToldOnlyBetween) {
            return None;
        }
        next.collector.taken = std::mem::take(&mut next.collector.additions);
        Some(step("takes what it was told", None, Event::None, next))
    }

    fn ends_when_dropped(&self, state: &State) -> bool {
        state.collector.is_dropped && !self.is(Mutant::GoesOnWhenDropped)
    }

    /// Keeps what was told while the run has read: nobody waits for it now.
    pub(super) fn take_notes(&self, state: &State) -> Move {
        if let Some(waits) = self.listen(state, Locked::No) {
            return waits;
        }
        let mut next = *state;
        let event = self.keep_told(&mut next);
        next.collector.phase = Phase::SweepingLinks;
        step("keeps what it was told so far, without locks", None, event, next)
    }

    /// Of a batch: keeps what clients have told, and looks what somebody has asked for.
    fn drain(&self, next: &mut State, batch: u8) -> Event {
        let told = self.keep_told(next);
        let renewed = each(batch & next.collector.candidates)
            .filter(|link| next.disk.read(Name::Link(*link)) == FRESH && !self.is(Mutant::GraceForgotten))
            .fold(0, |set, link| set | link.bit());
        let asked = if self.is(Mutant::RenewedManifestAlone) {
            next.collector.kept |= renewed & !OF_LAYERS;
            next.collector.candidates &= !renewed;
            Event::CandidateSaved
        } else {
            self.keep(next, renewed & !OF_LAYERS)
        };
        let layers = renewed & OF_LAYERS;
        if !self.is(Mutant::RenewedContentForgotten) {
            next.collector.kept |= layers;
        }
        next.collector.candidates &= !layers;
        if [told, asked].contains(&Event::CandidateSaved) || layers != 0 {
            Event::CandidateSaved
        } else {
            Event::None
        }
    }

    fn keep_told(&self, next: &mut State) -> Event {
        let told = std::mem::take(&mut next.collector.taken);
        self.keep(next, told)
    }

    /// Keeps roots and all that follows from them.
    fn keep(&self, next: &mut State, roots: u8) -> Event {
        let (mut edges, present) = (self.scenario.edges, next.disk.links());
        let candidates = next.collector.candidates;
        if self.is(Mutant::SignatureAlone) {
            edges.with_layer &= !Object::Referrer.bit();
        }
        next.collector.kept |= roots;
        // What a manifest names is known as long as its PUT goes on; later it is read.
        let known = roots & (present | self.being_put(next));
        next.collector.kept |= if self.is(Mutant::DirectReferences) {
            edges.direct(known, present)
        } else {
            edges.closure_of_new(known, candidates, present)
        };
        next.collector.candidates &= !next.collector.kept;
        if next.collector.candidates == candidates {
            Event::None
        } else {
            Event::CandidateSaved
        }
    }

    fn being_put(&self, state: &State) -> u8 {
        let clients = self.scenario.programs.iter().zip(&state.clients);
        let put = clients.filter_map(|(program, client)| {
            let has_told = !matches!(client.at, At::Begin | At::Permitted);
            match program.get(usize::from(client.operation)) {
                Some(Operation::PutManifest(repository, object, _)) if has_told => {
                    Some(Link(*repository, *object).bit())
                }
                _ => None,
            }
        });
        put.fold(0, |set, link| set | link)
    }

    /// Looks at one content after the other: first without locks, then at what seems garbage under its stripe.
    pub(super) fn sweep_contents(&self, state: &State) -> Option<Move> {
        let (mut next, collector) = (*state, &state.collector);
        let Some(object) = OBJECTS.get(usize::from(collector.cursor)).copied() else {
            return Some(step("ends", None, Event::RunEnded, idle(state)));
        };
        let name = Name::Content(object);
        if collector.has_drained {
            next.disk.write(name, ABSENT);
            leave(&mut next);
            return Some(step("unlinks", Some(name), Event::ContentRemoved, next));
        }
        let is_locked = collector.held != Held::default();
        if collector.batch != 0 && !is_locked {
            next.collector.held = exclusive(object.bit());
            return state
                .is_free(None, next.collector.held)
                .then(|| step("takes the stripe of", Some(name), Event::None, next));
        }
        let listened = self.listen(state, if is_locked { Locked::Yes } else { Locked::No });
        if listened.is_some() {
            return listened;
        }
        self.keep_told(&mut next);
        if !is_garbage(&next, object) {
            leave(&mut next);
            return Some(step("leaves", Some(name), Event::None, next));
        }
        next.collector.batch = object.bit();
        next.collector.has_drained = is_locked;
        let what = "knows of nothing that needs";
        Some(step(what, Some(name), Event::None, next))
    }
}

/// Whether somebody keeps the locks of what is about to go.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Locked {
    Yes,
    No,
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
