//! Cutting the power: a record comes in, a store is opened on every volume that may be left at every point of it, and
//! out comes the first thing that a client would complain about.

use std::collections::{BTreeSet, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use super::super::*;
use super::record::{Phase, Record};
use super::states::{MOST_PENDING, State, States};
use super::view::{contents, dangling, findings, incomplete, look};

/// What was looked at: the state and the phase. Records of the same operations on the same volume can share it.
pub(super) type Seen = HashSet<(u64, u64)>;

fn fingerprint(state: &State, phase: &Phase) -> (u64, u64) {
    let hash = |seed: u8| {
        let mut hasher = DefaultHasher::new();
        hasher.write_u8(seed);
        state.hash(&mut hasher);
        phase.hash(&mut hasher);
        hasher.finish()
    };
    (hash(0), hash(1))
}

/// Cuts the power after every event, and looks into every volume that is not among those seen.
pub(super) async fn survive(name: &str, record: &Record, seen: &mut Seen) {
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
            if seen.insert(fingerprint(&state, &phase))
                && let Err(complaint) = look_into(record, &state, &phase).await
            {
                panic!("{name}: power cut after {event:?} (event {position}): {complaint}\n{state:#?}");
            }
        }
    }
}

/// Cuts the power of an engine that leaves these events out. Returns what shows that it is broken. What was seen is
/// known to be sound.
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
    for is_thorough in [false, true] {
        for (model, phase) in &points {
            let states = States::of(model);
            let found: Box<dyn Iterator<Item = State> + '_> = match is_thorough {
                false => Box::new(states.extremes()),
                true if states.pending <= MOST_PENDING => Box::new(states.all()),
                true => continue,
            };
            for state in found {
                let fingerprint = fingerprint(&state, phase);
                if seen.contains(&fingerprint) {
                    continue;
                }
                match look_into(record, &state, phase).await {
                    Ok(()) => drop(seen.insert(fingerprint)),
                    Err(complaint) => return Some(complaint),
                }
            }
        }
    }
    None
}

/// Opens a store on what is left, and does everything again.
async fn look_into(record: &Record, state: &State, phase: &Phase) -> Result<(), String> {
    let owes_format = record.had_format || !phase.acknowledged.is_empty();
    if owes_format && !state.has("portolan/v1/FORMAT") {
        return Err("nothing says which format the volume has".into());
    }
    if let Some(link) = dangling(state) {
        return Err(link);
    }
    let volume = Volume::in_memory();
    state.write_to(volume.path());
    let findings = findings(volume.path());
    if let Some(new) = findings.difference(&record.findings).next() {
        return Err(format!("{new:?}"));
    }
    let opened = Store::open(volume.options()).await;
    let store = opened.map_err(|error| format!("cannot be opened: {error}"))?;
    if let Some(reason) = store.read_only() {
        return Err(format!("is read-only: {reason:?}"));
    }
    let view = look(&store).await;
    for (thing, answers) in record.allowed(phase) {
        if !answers.contains(&view[thing].as_str()) {
            return Err(format!("{thing} is {:?}, allowed are {answers:?}", view[thing]));
        }
    }
    if let Some(problem) = incomplete(&view) {
        return Err(problem);
    }
    for (name, operation) in record.to_be_done_again(phase) {
        let done = operation(store.clone()).await;
        done.map_err(|error| format!("{name} again: {error}"))?;
    }
    let view = look(&store).await;
    let differing: BTreeSet<_> = record.last().iter().filter(|it| view[it.0] != *it.1).collect();
    if !differing.is_empty() {
        return Err(format!("done again, {differing:?} came out differently"));
    }
    let contents = contents(volume.path());
    if contents != record.contents {
        return Err(format!("done again, the volume has contents {contents:?}"));
    }
    Ok(())
}
