//! Cutting the power: a record comes in, a store is opened on every volume that may be left at every point of it, and
//! out comes the first thing that a client would complain about.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{Hash, Hasher};

use sha2::{Digest as _, Sha256};

use super::super::*;
use super::cases::COLLECT;
use super::damage::{Tolerated, findings};
use super::operations::Operation;
use super::record::{Phase, Record};
use super::states::{MOST_PENDING, State, States};
use super::view::{View, contents, dangling, incomplete, look};

/// What came of opening a store and doing everything again from one operation on: what clients see in between, or what
/// is wrong whenever the power fails.
type Outcome = Result<Arc<View>, String>;

/// What was looked at. Records can share it in which what has one name is one operation.
#[derive(Default)]
pub(super) struct Seen {
    /// By state, and what is expected of it.
    outcomes: HashMap<(Fingerprint, Fingerprint), Outcome>,
    /// The same by what a start has made of states: many differ only in what it takes away.
    opened: HashMap<(Fingerprint, Fingerprint), Outcome>,
    /// Sound states, each with what was promised by then.
    pub(super) sound: HashSet<(Fingerprint, Fingerprint)>,
}

type Fingerprint = u128;

/// Bytes of what is hashed, for a hash that is optimised in builds for tests.
#[derive(Default)]
struct Bytes(Vec<u8>);

impl Hasher for Bytes {
    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn finish(&self) -> u64 {
        unreachable!("sixteen bytes are taken")
    }
}

fn fingerprint(what: &impl Hash) -> Fingerprint {
    let mut bytes = Bytes::default();
    what.hash(&mut bytes);
    let hash = Sha256::digest(&bytes.0);
    Fingerprint::from_le_bytes(*hash.first_chunk().unwrap())
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

/// Cuts the power of an engine that leaves one event out. Returns what shows that it is broken.
pub(super) async fn complaint_without(record: &Record, left_out: usize, seen: &mut Seen) -> Option<String> {
    let mut points = Vec::new();
    let (mut model, mut phase) = (record.base.clone(), Phase::default());
    for (position, event) in record.events.iter().enumerate() {
        if position != left_out {
            model.apply(event);
        }
        phase.apply(event);
        if position >= left_out && position >= record.from {
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
    if owes_format(record, phase) && !state.has("portolan/v1/FORMAT") {
        return Some("nothing says which format the volume has".into());
    }
    let tolerated = record.tolerated(phase);
    dangling(state).find(|problem| !tolerated.has(problem))
}

fn owes_format(record: &Record, phase: &Phase) -> bool {
    record.had_format || !phase.acknowledged.is_empty()
}

/// Opens a store on what is left unless that was seen, and compares it with what was promised by then.
async fn look_into(record: &Record, state: &State, phase: &Phase, seen: &mut Seen) -> Result<(), String> {
    let state_is = fingerprint(state);
    let again = record.to_be_done_again(phase);
    let names: Vec<_> = again.iter().map(|(name, _)| *name).collect();
    let tolerated = record.tolerated(phase);
    let expected = fingerprint(&(names, record.last(), &record.contents, &record.freed, &tolerated));
    let allowed = record.allowed(phase);
    let owes_format = owes_format(record, phase);
    let cut = (state_is, fingerprint(&(&allowed, expected, owes_format)));
    if seen.sound.contains(&cut) {
        return Ok(());
    }
    if let Some(problem) = tell(record, state, phase) {
        return Err(problem);
    }
    let outcome = match seen.outcomes.entry((state_is, expected)) {
        Entry::Occupied(seen) => seen.into_mut(),
        Entry::Vacant(new) => {
            let about = (record, tolerated);
            new.insert(open_on(about, state, again, expected, &mut seen.opened).await)
        }
    };
    let view = outcome.as_ref().map_err(String::clone)?;
    for (thing, answers) in allowed {
        if !answers.contains(&view[thing].as_str()) {
            return Err(format!("{thing} is {:?}, allowed are {answers:?}", view[thing]));
        }
    }
    if let Some(either) = record.either(phase)
        && !either.contains(&&**view)
    {
        return Err(format!("the delete has taken some of it, and left {view:?}"));
    }
    seen.sound.insert(cut);
    Ok(())
}

/// Opens a store on what is left, and does everything again unless that was done on what it has become.
async fn open_on(
    (record, tolerated): (&Record, Tolerated<'_>),
    state: &State,
    again: &[(&'static str, Operation)],
    expected: Fingerprint,
    opened: &mut HashMap<(Fingerprint, Fingerprint), Outcome>,
) -> Outcome {
    let volume = Volume::in_memory();
    state.write_to(volume.path());
    let findings = findings(volume.path(), record.wrong.after.is_some());
    if let Some(new) = findings.iter().find(|it| !tolerated.has(it)) {
        return Err(new.clone());
    }
    let store = Store::open(volume.options()).await;
    let store = store.map_err(|error| format!("cannot be opened: {error}"))?;
    if let Some(reason) = store.read_only() {
        return Err(format!("is read-only: {reason:?}"));
    }
    match opened.entry((fingerprint(&State::of(volume.path())), expected)) {
        Entry::Occupied(known) => known.get().clone(),
        Entry::Vacant(new) => new
            .insert(do_again((record, tolerated), &volume, &store, again).await)
            .clone(),
    }
}

async fn do_again(
    (record, tolerated): (&Record, Tolerated<'_>),
    volume: &Volume,
    store: &Store,
    again: &[(&'static str, Operation)],
) -> Outcome {
    let found = look(store).await;
    if let Some(problem) = incomplete(&found).find(|it| !tolerated.has(it)) {
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
    if let Some(after) = &record.wrong.after
        && let Some(left) = findings(volume.path(), true).difference(after).next()
    {
        return Err(format!("done again, it leaves {left}"));
    }
    let contents = contents(volume.path());
    let collects_again = again.iter().any(|(name, _)| *name == COLLECT);
    let may_remain =
        |it: &String| record.contents.contains(it) || (!collects_again && record.freed.contains(it));
    if !contents.is_superset(&record.contents) || !contents.iter().all(may_remain) {
        return Err(format!("done again, the volume has contents {contents:?}"));
    }
    Ok(Arc::new(found))
}
