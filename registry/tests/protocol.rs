//! The checklist of `docs/protocol.md` and the tests that it names say the same: text comes in, differences go out.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const LAST: u32 = 150;

/// A row of the table.
#[derive(Debug)]
struct Row {
    number: u32,
    state: String,
    tests: Vec<String>,
}

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rows(page: &str) -> Vec<Row> {
    let row = |line: &str| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let number = cells.get(1)?.strip_prefix('P')?.parse().ok()?;
        let tests = cells[4]
            .split(',')
            .map(|name| name.trim().trim_matches('`').to_owned());
        Some(Row {
            number,
            state: cells[3].to_owned(),
            tests: tests.filter(|name| !name.is_empty()).collect(),
        })
    };
    page.lines().filter_map(row).collect()
}

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Every test of a source file, with the numbers that its comment begins with.
fn tests_in(source: &str) -> Vec<(String, BTreeSet<u32>)> {
    let (mut tests, mut numbers, mut is_test) = (Vec::new(), BTreeSet::new(), false);
    for line in source.lines().map(str::trim) {
        if let Some(comment) = line.strip_prefix("/// ") {
            let words = comment
                .split([',', ' ', '.', ':'])
                .filter(|word| !word.is_empty());
            let numbered = words.map_while(|word| word.strip_prefix('P')?.parse::<u32>().ok());
            numbers.extend(numbered);
        } else if line.starts_with("#[") {
            is_test |= line.contains("test");
        } else {
            let name = line.trim_start_matches("async ").strip_prefix("fn ");
            if let (true, Some(name)) = (is_test, name) {
                let name = name.split('(').next().unwrap_or_default();
                tests.push((name.to_owned(), std::mem::take(&mut numbers)));
            }
            numbers.clear();
            is_test = false;
        }
    }
    tests
}

fn all_tests() -> BTreeMap<String, BTreeSet<u32>> {
    let mut files = Vec::new();
    for directory in ["src", "tests", "oci", "config"] {
        sources(&here().join(directory), &mut files);
    }
    let mut tests: BTreeMap<String, BTreeSet<u32>> = BTreeMap::new();
    for file in files {
        for (name, numbers) in tests_in(&fs::read_to_string(file).unwrap()) {
            tests.entry(name).or_default().extend(numbers);
        }
    }
    tests
}

#[test]
fn every_number_is_listed_once_with_its_state() {
    let rows = rows(&fs::read_to_string(here().join("docs/protocol.md")).unwrap());
    let numbers: Vec<u32> = rows.iter().map(|row| row.number).collect();
    assert_eq!(numbers, (1..=LAST).collect::<Vec<_>>());
    for row in &rows {
        let is_shown = !row.tests.is_empty();
        match row.state.as_str() {
            "done" => assert!(is_shown, "P{} is done, and no test shows it", row.number),
            "later" => assert!(!is_shown, "P{} is for later, and has tests", row.number),
            other => panic!("P{}: unknown state \"{other}\"", row.number),
        }
    }
}

#[test]
fn the_tests_of_the_table_exist_and_name_their_numbers() {
    let tests = all_tests();
    let mut listed: BTreeMap<&str, BTreeSet<u32>> = BTreeMap::new();
    let rows = rows(&fs::read_to_string(here().join("docs/protocol.md")).unwrap());
    for row in &rows {
        for name in &row.tests {
            let found = tests.get(name);
            let found = found.unwrap_or_else(|| panic!("P{}: there is no test {name}", row.number));
            assert!(
                found.contains(&row.number),
                "the comment of {name} does not name P{}",
                row.number
            );
            listed.entry(name).or_default().insert(row.number);
        }
    }
    for (name, numbers) in &tests {
        let listed = listed.get(name.as_str()).cloned().unwrap_or_default();
        let unlisted: Vec<_> = numbers.difference(&listed).collect();
        assert!(
            unlisted.is_empty(),
            "{name} names P{unlisted:?}, and the table does not name it"
        );
    }
}

#[test]
fn tests_and_their_numbers_are_found_in_a_source() {
    let source = "/// P1, P22: some words about P3.\n#[tokio::test]\nasync fn one_fact() {\n/// P9.\n#[test]\nfn other() {\n/// P4.\nfn no_test() {\n";
    let expected = [
        ("one_fact".to_owned(), BTreeSet::from([1, 22])),
        ("other".to_owned(), BTreeSet::from([9])),
    ];
    assert_eq!(tests_in(source), expected);
}
