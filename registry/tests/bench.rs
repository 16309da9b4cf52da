//! `make bench` itself: a small run of all of it, so that it works on the day somebody wants to know.

#[expect(
    dead_code,
    reason = "what only the program has: its beginning, and waiting for signals"
)]
#[path = "../benches/measure/main.rs"]
mod measure;

use std::time::Duration;

use self::measure::Args;
use self::measure::collection::{Spent, share_of_memory};
use self::measure::load::{PACE, waits};
use self::measure::quantiles::Quantiles;
use self::measure::scratch::Scratch;
use self::measure::table::{Figure, Table};

#[test]
fn a_small_run_has_a_figure_for_every_target() {
    let args = Args {
        parts: Vec::new(),
        blobs: 200,
        images: 20,
        directory: None,
        peer: None,
        quick: true,
        bench: false,
    };
    let scratch = Scratch::new(None).unwrap();
    let tables = measure::measure(&args, &scratch).unwrap();
    let goals: Vec<(&str, f64)> = tables
        .iter()
        .flat_map(|table| &table.rows)
        .filter_map(|row| Some((row.what.as_str(), row.used?)))
        .collect();
    assert!(goals.iter().all(|(_, used)| used.is_finite()), "{goals:?}");
    // of pushes, starts, lists, and two collections; so few blobs have no target for the memory
    assert_eq!(goals.len(), 4 + 4 + 2 + 3 + 3, "{goals:?}");
    let titles: Vec<&str> = tables.iter().map(|table| table.title.as_str()).collect();
    assert_eq!(titles.len(), 5, "{titles:?}");
}

#[test]
fn an_answer_within_the_pace_is_one_wait() {
    let took = PACE / 2;
    assert_eq!(waits(took).collect::<Vec<_>>(), [took]);
    assert_eq!(waits(PACE).collect::<Vec<_>>(), [PACE]);
}

#[test]
fn one_stop_of_a_second_is_in_the_p99_of_ten_thousand_quick_answers() {
    let quick = Duration::from_millis(1);
    let stop = Duration::from_secs(1);
    let all: Vec<Duration> = (0..10_000)
        .flat_map(|number| waits(if number == 5_000 { stop } else { quick }))
        .collect();
    assert_eq!(
        all.len(),
        9_999 + 500,
        "each 2 ms of the stop somebody came to wait"
    );
    let p99 = Quantiles::of(all).p99();
    assert!(p99 > stop / 2, "{p99:?}");
}

#[test]
fn only_pulls_that_were_answered_are_taken_off_the_time_of_a_collection() {
    let spent = |milliseconds, pulls| Spent {
        cpu: Duration::from_millis(milliseconds),
        pulls,
    };
    let alone = spent(500, 5_000);
    let slowed = spent(1_000, 1_000);
    assert_eq!(slowed.without_pulls(alone), Duration::from_millis(900));
    assert_eq!(spent(10, 1_000).without_pulls(alone), Duration::ZERO);
}

#[test]
fn memory_on_a_small_volume_is_no_share_of_the_target_for_a_large_one() {
    assert_eq!(share_of_memory(10_000_000, 100_000), None);
    assert_eq!(share_of_memory(25_000_000, 500_500), Some(0.5));
}

#[test]
fn what_both_have_measured_is_told_as_a_multiple() {
    let mut table = Table::new("Two programs".to_owned());
    let took = |seconds| Figure::Seconds(Duration::from_secs(seconds));
    table.row("both", took(3), Some(took(4)));
    table.row("one of them", took(3), Some(Figure::None("offline")));
    let told: Vec<&str> = table.rows.iter().map(|row| row.against.as_str()).collect();
    assert_eq!(told, ["0.75 ×", ""]);
}
