//! The power fails at any point of any operation: on every volume that a disk may have kept, everything that was
//! acknowledged is there, what was not is whole or absent, and it can be done again. And no fsync is there for nothing.

mod cases;
mod cuts;
mod model;
mod operations;
mod record;
mod recorder;
mod sites;
mod states;
mod view;

use std::collections::{BTreeMap, BTreeSet};

use self::cases::*;
use self::cuts::{Seen, complaint_without, survive};
use self::operations as op;
use self::record::{Before, Held, Part, Setup, after_a_kill, at_once, in_turn};
use self::sites::sites_of;
use super::*;

/// Written at every start to hear whether an fsync fails, not to be kept.
const PROBE: &str = "portolan/v1/tmp/probe";
/// Is missed after a kill only, which has a test of its own.
const VOLUME: &str = "volume";

#[tokio::test]
async fn power_cut_in_an_operation_loses_nothing_acknowledged() {
    let mut states = 0;
    for (name, record) in single_operations().await {
        let mut seen = Seen::new();
        survive(name, &record, &mut seen).await;
        states += seen.len();
    }
    assert!(states > 500, "only {states} states were found");
}

#[tokio::test]
async fn power_cut_in_a_pair_of_operations_loses_nothing_acknowledged() {
    let pairs: [(Setup, [op::Operation; 2]); 9] = [
        (nothing(), [op::push_layer, op::push_layer_to_b]),
        (blobs(), [op::mount, op::delete_layer]),
        (blobs(), [op::delete_layer, op::push_layer]),
        (blobs(), [op::delete_layer, op::mount]),
        (blobs(), [op::push_first, op::push_second]),
        (first(), [op::push_second, op::delete_first]),
        (first(), [op::delete_first, op::push_first]),
        (first(), [op::delete_tag, op::push_first]),
        (signature(), [op::delete_signature, op::push_signature]),
    ];
    for (setup, [one, two]) in pairs {
        let record = in_turn(
            Before::Open(setup),
            &[Part::Do("first", one), Part::Do("second", two)],
        )
        .await;
        survive("pair", &record, &mut Seen::new()).await;
    }
}

#[tokio::test]
async fn power_cut_while_two_operations_run_at_once_loses_nothing_acknowledged() {
    let layer = digest_of(op::LAYER);
    // The last number: so far the first one is followed. What of a collection comes later has no fsync.
    let pairs: [(Setup, [op::Operation; 2], &[&Digest], usize); 4] = [
        (blobs(), [op::push_first, op::push_second_as_v2], &[], 100),
        (blobs(), [op::mount, op::push_first], &[], 100),
        (blobs(), [op::mount, op::mount], &[], 100),
        (untagged_index(), [op::collect_garbage, op::mount], &[&layer], 20),
    ];
    for (setup, [one, two], publishes, most) in pairs {
        let (mut held_before, mut whole, mut seen) = (1, 0, Seen::new());
        while held_before <= most {
            match at_once(setup, [("first", one), ("second", two)], held_before, publishes).await {
                Held::Over => break,
                Held::Locked => {}
                Held::Whole(record) => {
                    let name = format!("second while first waits for effect {held_before}");
                    survive(&name, &record, &mut seen).await;
                    whole += 1;
                }
            }
            held_before += 1;
        }
        assert!(whole > 5, "they ran at once only {whole} times");
    }
}

#[tokio::test]
async fn power_cut_after_a_kill_takes_nothing_that_the_next_process_has_acknowledged() {
    let operations = [
        (PUSH_BLOB, op::push_layer as op::Operation),
        (PUSH_MANIFEST, op::push_what_is_missing),
    ];
    let (mut ends_after, mut is_needed, mut seen) = (1, false, Seen::new());
    while let Some(record) = after_a_kill(nothing(), operations, ends_after).await {
        survive(&format!("end after effect {ends_after}"), &record, &mut seen).await;
        is_needed = is_needed
            || complaint_without(&record, &[record.from], &mut seen)
                .await
                .is_some();
        ends_after += 1;
    }
    assert!(
        is_needed,
        "nothing shows that the volume must be synced after a kill"
    );
}

#[tokio::test]
async fn every_fsync_is_missed_when_it_is_left_out() {
    let records = single_operations().await;
    let (mut proven, mut vacant, mut unproven) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
    for (_, record) in &records {
        let names: Vec<&'static str> = record.operations.iter().map(|(name, _)| *name).collect();
        let mut seen = Seen::new();
        for (site, places) in sites_of(&record.base, &record.events, &names) {
            if !places.settles {
                vacant.insert(site.what);
            } else if site.what != PROBE && !proven.contains_key(&site) {
                match complaint_without(record, &places.positions, &mut seen).await {
                    Some(complaint) => drop(proven.insert(site, complaint)),
                    None => drop(unproven.insert(site)),
                }
            }
        }
    }
    unproven.retain(|site| !proven.contains_key(site)); // missed under other circumstances
    assert!(
        unproven.is_empty(),
        "nobody would miss these fsyncs: {unproven:#?}"
    );
    // What finds nothing left to do must be there for when it does.
    vacant.retain(|what| *what != VOLUME && !proven.keys().any(|site| site.what == *what));
    assert!(vacant.is_empty(), "these fsyncs never did anything: {vacant:#?}");
    assert!(proven.len() > 40, "only {} fsyncs were found", proven.len());
}
