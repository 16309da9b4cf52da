//! Breadth-first search over all states that a model can reach, each visited once. A model comes in; what was reached,
//! or the shortest way to a broken promise, goes out. Visited states are kept as 128-bit fingerprints. Pure.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasherDefault, Hash, Hasher};

use super::client::Operation;
use super::disk::Name;
use super::state::{Model, Phase, State};

/// What makes a run of the model worth something: a model that never gets there proves nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Event {
    None,
    AcknowledgedDuringSweep,
    CandidateSaved,
    LinkRemoved,
    ContentRemoved,
    CutDuringSweep,
    KilledDuringSweep,
    Refused,
    RunEnded,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Actor {
    Client(usize),
    Collector,
    Server,
}

/// One step of somebody.
#[derive(Clone, Copy)]
pub(crate) struct Move {
    pub(crate) actor: Actor,
    pub(crate) operation: Option<Operation>,
    pub(crate) what: &'static str,
    pub(crate) name: Option<Name>,
    pub(crate) event: Event,
    pub(crate) next: State,
}

/// What a search has found.
pub(crate) struct Findings {
    pub(crate) states: usize,
    events: u16,
    /// The shortest way to a broken promise, step by step, with the promise last.
    pub(crate) counter_example: Option<Vec<String>>,
}

impl Findings {
    pub(crate) fn reached(&self) -> Vec<Event> {
        let all = [
            Event::AcknowledgedDuringSweep,
            Event::CandidateSaved,
            Event::LinkRemoved,
            Event::ContentRemoved,
            Event::CutDuringSweep,
            Event::KilledDuringSweep,
            Event::Refused,
            Event::RunEnded,
        ];
        all.into_iter()
            .filter(|event| self.events >> *event as u16 & 1 != 0)
            .collect()
    }
}

/// Where a state was first reached from, and by which of the moves there.
struct Origin {
    parent: u32,
    choice: u8,
}

impl Model {
    pub(crate) fn explore(&self, most_states: usize) -> Findings {
        let start = self.start();
        let mut seen: HashSet<u128, BuildHasherDefault<Passing>> = HashSet::default();
        let mut origins = vec![Origin { parent: 0, choice: 0 }];
        let mut queue = VecDeque::from([(0, start)]);
        let mut findings = Findings {
            states: 1,
            events: 0,
            counter_example: None,
        };
        seen.insert(fingerprint(&start));
        while let Some((id, state)) = queue.pop_front() {
            let moves = self.moves(&state);
            if moves.iter().all(|it| it.actor == Actor::Server) && !self.is_over(&state) {
                findings.counter_example = Some(self.told(&origins, id, None, "nobody can go on".into()));
                return findings;
            }
            for (choice, found) in moves.iter().enumerate() {
                let (next, _) = self.canonical(found.next);
                findings.events |= 1 << found.event as u16;
                if !seen.insert(fingerprint(&next)) {
                    continue;
                }
                if let Some(broken) = self.broken_promise(&next) {
                    findings.counter_example = Some(self.told(&origins, id, Some(choice), broken));
                    return findings;
                }
                findings.states += 1;
                assert!(
                    findings.states <= most_states,
                    "more than {most_states} states: make the scenario smaller"
                );
                let new_id = u32::try_from(origins.len()).expect("fewer states than that");
                let choice = u8::try_from(choice).expect("a handful of moves");
                origins.push(Origin { parent: id, choice });
                queue.push_back((new_id, next));
            }
        }
        findings
    }

    fn moves(&self, state: &State) -> Vec<Move> {
        let mut moves = Vec::with_capacity(8);
        moves.extend((0..2).filter_map(|who| self.client_move(state, who)));
        moves.extend(self.collector_moves(state));
        moves.extend(self.crashes(state));
        moves
    }

    fn is_over(&self, state: &State) -> bool {
        let programs = self.scenario.programs.iter().zip(&state.clients);
        let clients_are_through = |(program, client): (&&[Operation], &super::state::Client)| {
            usize::from(client.operation) == program.len()
        };
        programs.into_iter().all(clients_are_through)
            && state.collector.phase == Phase::Idle
            && state.collector.runs_left == 0
    }

    /// Two clients that do the same are the same pair when they change places. Tells whether they did.
    fn canonical(&self, mut state: State) -> (State, bool) {
        let changes =
            self.scenario.programs[0] == self.scenario.programs[1] && state.clients[0] > state.clients[1];
        if changes {
            state.clients.swap(0, 1);
        }
        (state, changes)
    }

    /// The steps that lead to a state, and one more.
    fn told(&self, origins: &[Origin], mut id: u32, last: Option<usize>, end: String) -> Vec<String> {
        let mut choices: Vec<usize> = last.into_iter().collect();
        while id != 0 {
            let origin = &origins[id as usize];
            choices.push(usize::from(origin.choice));
            id = origin.parent;
        }
        let (mut state, mut lines, mut numbers) = (self.start(), Vec::new(), [1, 2]);
        for choice in choices.into_iter().rev() {
            let taken = self.moves(&state)[choice];
            lines.push(line(&taken, numbers));
            let (next, changes) = self.canonical(taken.next);
            state = next;
            if changes {
                numbers.swap(0, 1);
            }
        }
        lines.push(end);
        lines
    }
}

fn line(taken: &Move, numbers: [u8; 2]) -> String {
    let actor = match taken.actor {
        Actor::Client(who) => format!("client {}", numbers[who]),
        Actor::Collector => "collector".into(),
        Actor::Server => "server".into(),
    };
    let operation = taken.operation.map(|it| format!(" ({it:?})")).unwrap_or_default();
    let name = taken.name.map(|it| format!(" {it}")).unwrap_or_default();
    format!("{actor}{operation} {}{name}", taken.what)
}

fn fingerprint(state: &State) -> u128 {
    let mut mixer = Mixer {
        low: 0x9E37_79B9_7F4A_7C15,
        high: 0xD1B5_4A32_D192_ED03,
    };
    state.hash(&mut mixer);
    u128::from(mixer.low) << 64 | u128::from(mixer.high)
}

/// Two independent multiplicative hashes, fed a word at a time.
struct Mixer {
    low: u64,
    high: u64,
}

impl Mixer {
    fn feed(&mut self, word: u64) {
        self.low = (self.low ^ word).wrapping_mul(0xFF51_AFD7_ED55_8CCD);
        self.low ^= self.low >> 32;
        self.high = (self.high ^ word).wrapping_mul(0xC4CE_B9FE_1A85_EC53);
        self.high ^= self.high >> 29;
    }
}

impl Hasher for Mixer {
    fn finish(&self) -> u64 {
        self.low
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            self.feed(chunk.iter().fold(1, |word, byte| word << 8 | u64::from(*byte)));
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.feed(u64::from(value));
    }

    fn write_u128(&mut self, value: u128) {
        self.write_u64(u64::try_from(value >> 64).expect("64 bits are left"));
        self.write_u64(u64::try_from(value & u128::from(u64::MAX)).expect("64 bits are left"));
    }

    fn write_u64(&mut self, value: u64) {
        self.feed(value);
    }
}

/// Fingerprints need no second hash.
#[derive(Default)]
struct Passing(u64);

impl Hasher for Passing {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte));
    }

    fn write_u128(&mut self, value: u128) {
        self.0 = u64::try_from(value & u128::from(u64::MAX)).expect("64 bits are left");
    }
}
