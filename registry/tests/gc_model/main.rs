//! A model of the steps of pushes, deletes and garbage collection on a volume, explored completely: what the engine
//! does keeps every promise in every order of steps and after every crash, and each safeguard is needed.
//! `registry/docs/gc-model.md` tells how to read it, and which function of `store/` each step stands for.

#![expect(
    clippy::print_stdout,
    reason = "the shortest way to a loss is what a reader wants to see"
)]

mod client;
mod collector;
mod crash;
mod deleting;
mod disk;
mod edges;
mod explorer;
mod invariants;
mod losses;
mod mutants;
mod pushing;
mod scenario;
mod scenarios;
mod state;
mod sweep;

use self::explorer::{Event, Findings};
use self::scenario::Scenario;
use self::state::{Model, Tells};

/// A scenario that grows beyond this is to be split: it would take too long on a busy machine.
const MOST_STATES: usize = 500_000;

/// Explores the engine as it is, and fails with the way to a broken promise if there is one.
fn keeps_every_promise(scenario: Scenario) -> Findings {
    keeps_every_promise_when(scenario, Tells::BeforeItWrites)
}

fn keeps_every_promise_when(scenario: Scenario, tells: Tells) -> Findings {
    let model = Model {
        scenario,
        mutant: None,
        tells,
        only_acknowledged: false,
    };
    let findings = model.explore(MOST_STATES);
    if let Some(steps) = &findings.counter_example {
        panic!("a promise is broken:\n  {}", steps.join("\n  "));
    }
    println!("{} states, reached: {:?}", findings.states, findings.reached());
    findings
}

/// What a scenario has to reach to show that runs and clients met, and that something was removed.
const MET: [Event; 4] = [
    Event::AcknowledgedDuringSweep,
    Event::ContentRemoved,
    Event::CutDuringSweep,
    Event::KilledDuringSweep,
];

#[track_caller]
fn reaches(findings: &Findings, events: &[Event]) {
    let reached = findings.reached();
    let missing: Vec<&Event> = events.iter().filter(|event| !reached.contains(event)).collect();
    assert!(missing.is_empty(), "never reached: {missing:?}");
}

#[test]
fn pushes_lose_nothing() {
    for scenario in [
        scenarios::two_pushes_of_one_image(),
        scenarios::layer_named_while_it_is_pushed(),
        scenarios::image_over_a_pushed_layer(),
    ] {
        let findings = keeps_every_promise(scenario);
        reaches(&findings, &MET);
        reaches(&findings, &[Event::CandidateSaved, Event::Refused]);
    }
}

#[test]
fn mounts_lose_nothing() {
    for scenario in [
        scenarios::mount_of_garbage(),
        scenarios::mount_of_garbage_under_grace(),
        scenarios::mount_of_what_is_deleted(),
        scenarios::mount_from_an_expired_image(),
    ] {
        let findings = keeps_every_promise(scenario);
        reaches(&findings, &MET);
        reaches(&findings, &[Event::CandidateSaved]);
    }
}

#[test]
fn retags_of_what_expires_lose_nothing() {
    for scenario in [
        scenarios::retag_of_expired_index(),
        scenarios::retag_of_expired_signed_index(),
        scenarios::retag_of_an_expired_cycle(),
        scenarios::retag_of_expired_index_with_a_signature(),
        scenarios::index_over_an_expired_image(),
    ] {
        let findings = keeps_every_promise(scenario);
        reaches(&findings, &MET);
        reaches(&findings, &[Event::CandidateSaved]);
    }
}

#[test]
fn signatures_of_what_expires_lose_nothing() {
    let findings = keeps_every_promise(scenarios::push_and_signature_of_expired_image());
    reaches(&findings, &MET);
    reaches(&findings, &[Event::CandidateSaved, Event::Refused]);
}

#[test]
fn manifests_that_somebody_asks_for_stay_with_all_that_they_need() {
    for scenario in [
        scenarios::heads_of_expired_index_under_grace(),
        scenarios::delete_of_a_young_image(),
    ] {
        let findings = keeps_every_promise(scenario);
        reaches(&findings, &[Event::CandidateSaved, Event::CutDuringSweep]);
    }
}

#[test]
fn tags_that_move_lose_nothing() {
    reaches(&keeps_every_promise(scenarios::tags_that_move_and_go()), &MET);
    let moved = keeps_every_promise(scenarios::tag_moves_from_what_is_deleted());
    reaches(&moved, &[Event::AcknowledgedDuringSweep, Event::ContentRemoved]);
    let deleted = keeps_every_promise(scenarios::delete_of_a_manifest_whose_tag_moves());
    reaches(&deleted, &MET);
}

#[test]
fn deletes_lose_nothing_else() {
    let findings = keeps_every_promise(scenarios::deletes_where_untagged_manifests_stay());
    reaches(&findings, &MET);
    for scenario in [
        scenarios::deletes_of_index_and_child(),
        scenarios::deletes_of_tag_and_index(),
    ] {
        reaches(
            &keeps_every_promise(scenario),
            &[Event::ContentRemoved, Event::CutDuringSweep],
        );
    }
    let expired = keeps_every_promise(scenarios::deletes_of_expired_child_and_layer());
    reaches(&expired, &MET);
}

#[test]
fn order_in_which_a_run_reads_does_not_matter() {
    for mut scenario in [
        scenarios::retag_of_expired_index(),
        scenarios::tags_that_move_and_go(),
        scenarios::two_pushes_of_one_image(),
    ] {
        scenario.names.reverse();
        keeps_every_promise(scenario);
    }
}

#[test]
fn roots_may_be_told_last_under_the_locks() {
    for scenario in [
        scenarios::retag_of_expired_signed_index(),
        scenarios::heads_of_expired_index_under_grace(),
        scenarios::push_and_signature_of_expired_image(),
        scenarios::image_over_a_pushed_layer(),
    ] {
        keeps_every_promise_when(scenario, Tells::AfterItHasWritten);
    }
}
