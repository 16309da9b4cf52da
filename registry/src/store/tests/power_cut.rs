//! The power fails at any point of any operation: on every volume that a disk may have kept, everything that was
//! acknowledged is there, what was not is whole or absent, and it can be done again. A delete has taken all or nothing. And
//! no fsync is there for nothing.

mod at_once;
mod cases;
mod cuts;
mod damage;
mod deletes;
mod late;
mod model;
mod operations;
mod pairs;
mod record;
mod recorder;
mod sites;
mod states;
mod uploads;
mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;
use std::sync::atomic::AtomicUsize;

use self::at_once::after_a_kill;
use self::cases::*;
use self::cuts::{Seen, complaint_without, survive};
use self::operations as op;
use self::pairs::{Cut, ON_ONE_DIGEST, cut_after};
use self::record::Record;
use self::sites::{Site, covered, sites_of};
use super::*;

/// Written at every start to hear whether an fsync fails, not to be kept.
const PROBE: &str = "portolan/v1/tmp/probe";
/// Is missed after a kill only, which has a test of its own.
const VOLUME: &str = "volume";

#[test]
fn power_cut_in_an_operation_loses_nothing_acknowledged() {
    let explored = &*SINGLE_OPERATIONS;
    assert!(explored.lost.is_empty(), "{}", explored.lost.join("\n"));
    assert!(
        explored.states > 3000,
        "only {} states were found",
        explored.states
    );
}

#[test]
fn power_cut_in_a_pair_of_operations_loses_nothing_acknowledged() {
    let (next, cut) = (AtomicUsize::new(0), Mutex::new(Cut::default()));
    on_all_cores(|| {
        while let Some(first) = ON_ONE_DIGEST.get(next.fetch_add(1, Ordering::Relaxed)) {
            let row = alone(cut_after(*first));
            let mut cut = disk::lock(&cut);
            cut.lost.extend(row.lost);
            cut.both_change += row.both_change;
        }
    });
    let cut = cut.into_inner().unwrap();
    assert!(cut.lost.is_empty(), "{}", cut.lost.join("\n"));
    assert!(
        cut.both_change > 150,
        "in only {} pairs both do something",
        cut.both_change
    );
}

#[tokio::test]
async fn power_cut_while_two_operations_run_at_once_loses_nothing_acknowledged() {
    for pair in at_once::pairs() {
        let whole = pair.cut().await.unwrap();
        assert!(whole > 4, "they ran at once only {whole} times");
    }
}

#[tokio::test]
async fn power_cut_after_a_kill_takes_nothing_that_the_next_process_has_acknowledged() {
    let operations = [
        (PUSH_BLOB, op::push_layer as op::Operation),
        (PUSH_MANIFEST, op::push_what_is_missing),
    ];
    let (mut records, mut seen) = (Vec::new(), Seen::default());
    while let Some(record) = after_a_kill(nothing(), operations, records.len() + 1).await {
        let name = format!("end after effect {}", records.len() + 1);
        survive(&name, &record, &mut seen).await.unwrap();
        records.push(record);
    }
    let mut is_needed = false;
    // what ended late has left most that is not durable
    for record in records.iter().rev() {
        let complaint = complaint_without(record, record.from, &mut seen).await;
        is_needed = complaint.is_some();
        if is_needed {
            break;
        }
    }
    assert!(
        is_needed,
        "nothing shows that the volume must be synced after a kill"
    );
}

#[test]
fn every_fsync_is_missed_when_it_is_left_out() {
    let Explored {
        proven,
        unproven,
        vacant,
        ..
    } = &*SINGLE_OPERATIONS;
    let missed_nowhere = unproven.iter().filter(|site| !proven.contains_key(site));
    let missed_nowhere: BTreeSet<Site> = missed_nowhere.cloned().collect();
    assert_eq!(
        missed_nowhere,
        covered(),
        "nobody would miss some of these fsyncs"
    );
    // What finds nothing left to do must be there for when it does.
    let is_proven = |what: &str| proven.keys().any(|site| site.what == what);
    let vacant: Vec<_> = vacant
        .iter()
        .filter(|what| *what != VOLUME && !is_proven(what))
        .collect();
    assert!(vacant.is_empty(), "these fsyncs never did anything: {vacant:#?}");
    assert!(proven.len() > 120, "only {} fsyncs were found", proven.len());
}

/// What cuts in single operations have come to, with every fsync and without each of them: the states that are sound with
/// all of them need not be looked into again without one.
#[derive(Default)]
struct Explored {
    lost: Vec<String>,
    states: usize,
    proven: BTreeMap<Site, String>,
    unproven: BTreeSet<Site>,
    /// What fsyncs are of that have found nothing to do.
    vacant: BTreeSet<String>,
}

static SINGLE_OPERATIONS: LazyLock<Explored> = LazyLock::new(|| {
    let records = alone(single_operations());
    let (next, explored) = (AtomicUsize::new(0), Mutex::new(Explored::default()));
    on_all_cores(|| {
        while let Some((name, record)) = records.get(next.fetch_add(1, Ordering::Relaxed)) {
            alone(explore(name, record, &explored));
        }
    });
    explored.into_inner().unwrap()
});

fn on_all_cores(work: impl Fn() + Sync) {
    std::thread::scope(|scope| {
        for _ in 1..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(&work);
        }
        work();
    });
}

fn alone<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.unwrap().block_on(work)
}

async fn explore(name: &str, record: &Record, explored: &Mutex<Explored>) {
    let mut seen = Seen::default();
    let survived = survive(name, record, &mut seen).await;
    disk::lock(explored).lost.extend(survived.err());
    disk::lock(explored).states += seen.sound.len();
    let names: Vec<&'static str> = record.operations.iter().map(|(name, _)| *name).collect();
    for (site, position) in sites_of(&record.base, &record.events, &names) {
        if site.number == 0 {
            disk::lock(explored).vacant.insert(site.what);
        } else if site.what != PROBE && !disk::lock(explored).proven.contains_key(&site) {
            match complaint_without(record, position, &mut seen).await {
                Some(complaint) => drop(disk::lock(explored).proven.insert(site, complaint)),
                None => drop(disk::lock(explored).unproven.insert(site)), // perhaps missed elsewhere
            }
        }
    }
}
