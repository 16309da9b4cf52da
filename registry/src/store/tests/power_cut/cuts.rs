//! Cutting the power: a record comes in, a store is opened on every volume that may be left at every point of it, and
//! out comes the first thing that a client would complain about.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher as _};

use super::super::*;
use super::operations::Operation;
use super::record::{Phase, Record};
use super::states::{MOST_PENDING, State, States};
use super::view::{View, contents, dangling, findings, incomplete, look};

/// What came of opening a store and doing everything again from one operation on: what clients see in between, or what
/// is wrong whenever the power fails.
type Outcome = Result<Arc<View>, String>;

/// What was looked at. Records of the same operations on the same volume can share it.
#[derive(Default)]
pub(super) struct Seen {
    /// By state, and how much is to be done again.
    outcomes: HashMap<(Fingerprint, usize), Outcome>,
    /// The same by what a start has made of states: many differ only in what it takes away.
    opened: HashMap<(Fingerprint, usize), Outcome>,
    /// Sound states, each with what was promised by then.
    pub(super) sound: HashSet<(Fingerprint, Fingerprint)>,
}

type Fingerprint = (u64, u64);

fn fingerprint(what: &impl Hash) -> Fingerprint {
    let hash = |seed: u8| {
        let mut hasher = DefaultHasher::new();
        hasher.write_u8(seed);
        what.hash(&mut hasher);
        hasher.finish()
    };
    (hash(0), hash(1))
}

/// Cuts the power after every event, and looks into every volume that is not among those seen.
pub(super) async fn survive(name: &str, record: &Record, seen: &mut Seen) -> Result<(), String> {
    let (mut model, mut phase) = (record.base.clone(), Phase::default());
    for (position, event) in record.events.iter().enumerate() {
        model.apply(event);
        phase.apply(event);
        if position < record.from {
            continue;
        }
        let states = States::of(&model);
        assert!(
            states.pending <= MOST_PENDING,
            "{name}: {} effects wait at once after {event:?}",
            states.pending
        );
        for state in states.all() {
            if let Err(complaint) = look_into(record, &state, &phase, seen).await {
                return Err(format!(
                    "{name}: power cut after {event:?} (event {position}): {complaint}\n{state:#?}"
                ));
            }
        }
    }
    Ok(())
}

/// Cuts the power of an engine that leaves these events out. Returns what shows that it is broken.
pub(super) async fn complaint_without(
    record: &Record,
    left_out: &[usize],
    seen: &mut Seen,
) -> Option<String> {
    let mut points = Vec::new();
    let (mut model, mut phase) = (record.base.clone(), Phase::default());
    for (position, event) in record.events.iter().enumerate() {
        if !left_out.contains(&position) {
            model.apply(event);
        }
        phase.apply(event);
        if position >= left_out[0] && position >= record.from {
            points.push((model.clone(), phase.clone()));
        }
    }
    points.reverse(); // most is promised at the end
    for (model, phase) in &points {
        // what shows without opening a store costs nothing
        let told = States::of(model)
            .extremes()
            .find_map(|state| tell(record, &state, phase));
        if told.is_some() {
            return told;
        }
    }
    for is_thorough in [false, true] {
        for (model, phase) in &points {
            let states = States::of(model);
            let found: Box<dyn Iterator<Item = State> + '_> = match is_thorough {
                false => Box::new(states.extremes()),
                true if states.pending <= MOST_PENDING => Box::new(states.all()),
                true => continue,
            };
            for state in found {
                if let Err(complaint) = look_into(record, &state, phase, seen).await {
                    return Some(complaint);
                }
            }
        }
    }
    None
}

/// What is wrong with a state, as far as its names and bytes tell.
fn tell(record: &Record, state: &State, phase: &Phase) -> Option<String> {
    let owes_format = record.had_format || !phase.acknowledged.is_empty();
    if owes_format && !state.has("portolan/v1/FORMAT") {
        return Some("nothing says which format the volume has".into());
    }
    dangling(state)
}

/// Opens a store on what is left unless that was seen, and compares it with what was promised by then.
async fn look_into(record: &Record, state: &State, phase: &Phase, seen: &mut Seen) -> Result<(), String> {
    let state_is = fingerprint(state);
    let cut = (state_is, fingerprint(phase));
    if seen.sound.contains(&cut) {
        return Ok(());
    }
    if let Some(problem) = tell(record, state, phase) {
        return Err(problem);
    }
    let again = record.to_be_done_again(phase);
    let outcome = match seen.outcomes.entry((state_is, again.len())) {
        Entry::Occupied(seen) => seen.into_mut(),
        Entry::Vacant(new) => new.insert(open_on(record, state, again, &mut seen.opened).await),
    };
    let view = outcome.as_ref().map_err(String::clone)?;
    for (thing, answers) in record.allowed(phase) {
        if !answers.contains(&view[thing].as_str()) {
            return Err(format!("{thing} is {:?}, allowed are {answers:?}", view[thing]));
        }
    }
    seen.sound.insert(cut);
    Ok(())
}

/// Opens a store on what is left, and does everything again unless that was done on what it has become.
async fn open_on(
    record: &Record,
    state: &State,
    again: &[(&'static str, Operation)],
    opened: &mut HashMap<(Fingerprint, usize), Outcome>,
) -> Outcome {
    let volume = Volume::in_memory();
    state.write_to(volume.path());
    let findings = findings(volume.path());
    if let Some(new) = findings.difference(&record.findings).next() {
        return Err(format!("{new:?}"));
    }
    let store = Store::open(volume.options()).await;
    let store = store.map_err(|error| format!("cannot be opened: {error}"))?;
    if let Some(reason) = store.read_only() {
        return Err(format!("is read-only: {reason:?}"));
    }
    match opened.entry((fingerprint(&State::of(volume.path())), again.len())) {
        Entry::Occupied(known) => known.get().clone(),
        Entry::Vacant(new) => new.insert(do_again(record, &volume, &store, again).await).clone(),
    }
}

async fn do_again(
    record: &Record,
    volume: &Volume,
    store: &Store,
    again: &[(&'static str, Operation)],
) -> Outcome {
    let found = look(store).await;
    if let Some(problem) = incomplete(&found) {
        return Err(problem);
    }
    for (name, operation) in again {
        let done = operation(store.clone()).await;
        done.map_err(|error| format!("{name} again: {error}"))?;
    }
    let view = look(store).await;
    let differing: BTreeSet<_> = record.last().iter().filter(|it| view[it.0] != *it.1).collect();
    if !differing.is_empty() {
        return Err(format!("done again, {differing:?} came out differently"));
    }
    let contents = contents(volume.path());
    if contents != record.contents {
        return Err(format!("done again, the volume has contents {contents:?}"));
    }
    Ok(Arc::new(found))
}
