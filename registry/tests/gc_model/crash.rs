//! What ends all actors at once: a kill, after which everything that was seen is still there, and a power cut, after
//! which each change that was not fsynced is there or not. Then the server starts again. Pure.

use super::disk::Disk;
use super::explorer::{Actor, Event, Move};
use super::mutants::Mutant;
use super::state::{At, Collector, Model, State};

impl Model {
    pub(crate) fn crashes(&self, state: &State) -> Vec<Move> {
        let mut moves = Vec::new();
        let is_at_rest =
            state.clients.iter().all(|client| client.at == At::Begin) && !state.collector.is_armed();
        if state.kills_left > 0 && !is_at_rest {
            let mut disk = state.disk;
            if !self.is(Mutant::NoSyncAtStart) {
                disk.sync_all(); // no write is acknowledged before that
            }
            let mut next = restarted(state, disk);
            next.kills_left -= 1;
            moves.push(crash(
                "is killed and starts again",
                Event::KilledDuringSweep,
                state,
                next,
            ));
        }
        if state.cuts_left > 0 && !(is_at_rest && state.disk.is_durable()) {
            for disk in state.disk.after_cut() {
                let mut next = restarted(state, disk);
                next.cuts_left -= 1;
                next.promises.asked_for = 0; // no fsync makes a time durable
                moves.push(crash(
                    "loses power and starts again",
                    Event::CutDuringSweep,
                    state,
                    next,
                ));
            }
        }
        moves
    }
}

/// Memory and locks are gone. Clients whose operation was under way got no answer and turn to their next one.
fn restarted(state: &State, disk: Disk) -> State {
    let mut next = *state;
    next.disk = disk;
    for client in &mut next.clients {
        if client.at != At::Begin {
            client.finish();
        }
    }
    next.collector = Collector::idle(state.collector.runs_left);
    next
}

fn crash(what: &'static str, event: Event, state: &State, next: State) -> Move {
    Move {
        actor: Actor::Server,
        operation: None,
        what,
        name: None,
        event: if state.collector.is_sweeping() {
            event
        } else {
            Event::None
        },
        next,
    }
}
