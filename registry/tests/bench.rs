//! `make bench` itself: a small run of all of it, so that it works on the day somebody wants to know.

#[expect(
    dead_code,
    reason = "what only the program has: its beginning, and waiting for signals"
)]
#[path = "../benches/measure/main.rs"]
mod measure;

use self::measure::Args;
use self::measure::scratch::Scratch;

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
    let titles: Vec<&str> = tables.iter().map(|table| table.title.as_str()).collect();
    assert_eq!(titles.len(), 4, "{titles:?}");
}
