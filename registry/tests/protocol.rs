//! The checklist of `docs/protocol.md` and the tests that it names say the same: text comes in, differences go out.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const LAST: u32 = 150;

/// What may be missing: moving anything else to "later" is a decision, not an oversight.
const LATER: &[u32] = &[
    17, 25, 36, 52, 53, 105, 119, 133, 134, 135, 136, 137, 138, 139, 140, 141, 142, 143, 144, 148, 150,
];

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

/// A test of a source file.
#[derive(Debug, PartialEq, Eq)]
struct Test {
    name: String,
    /// Those that its comment begins with.
    numbers: BTreeSet<u32>,
    /// It is not run, and shows nothing.
    is_ignored: bool,
}

fn tests_in(source: &str) -> Vec<Test> {
    let (mut tests, mut numbers) = (Vec::new(), BTreeSet::new());
    let (mut is_test, mut is_ignored) = (false, false);
    for line in source.lines().map(str::trim) {
        if let Some(comment) = line.strip_prefix("/// ") {
            let words = comment
                .split([',', ' ', '.', ':'])
                .filter(|word| !word.is_empty());
            let numbered = words.map_while(|word| word.strip_prefix('P')?.parse::<u32>().ok());
            numbers.extend(numbered);
        } else if line.starts_with("#[") {
            is_test |= line.contains("test");
            is_ignored |= line.starts_with("#[ignore");
        } else {
            let name = line.trim_start_matches("async ").strip_prefix("fn ");
            if let (true, Some(name)) = (is_test, name) {
                let name = name.split('(').next().unwrap_or_default();
                tests.push(Test {
                    name: name.to_owned(),
                    numbers: std::mem::take(&mut numbers),
                    is_ignored,
                });
            }
            numbers.clear();
            (is_test, is_ignored) = (false, false);
        }
    }
    tests
}

/// Every test by its name, with the files that have one of that name: they are different tests.
fn all_tests() -> BTreeMap<String, Vec<(PathBuf, Test)>> {
    let mut files = Vec::new();
    for directory in ["src", "tests", "oci", "config"] {
        sources(&here().join(directory), &mut files);
    }
    let mut tests: BTreeMap<String, Vec<(PathBuf, Test)>> = BTreeMap::new();
    for file in files {
        for test in tests_in(&fs::read_to_string(&file).unwrap()) {
            let of_that_name = tests.entry(test.name.clone()).or_default();
            of_that_name.push((file.clone(), test));
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
    let later = rows.iter().filter(|row| row.state == "later");
    assert_eq!(later.map(|row| row.number).collect::<Vec<_>>(), LATER);
}

#[test]
fn the_tests_of_the_table_exist_and_name_their_numbers() {
    let tests = all_tests();
    let mut listed: BTreeMap<&str, BTreeSet<u32>> = BTreeMap::new();
    let rows = rows(&fs::read_to_string(here().join("docs/protocol.md")).unwrap());
    for row in &rows {
        for name in &row.tests {
            let found = tests.get(name).map_or(&[][..], Vec::as_slice);
            let [(file, test)] = found else {
                let files: Vec<_> = found.iter().map(|(file, _)| file).collect();
                panic!(
                    "P{}: the test {name} is in one file, not in {files:?}",
                    row.number
                );
            };
            let (file, number) = (file.display(), row.number);
            assert!(
                test.numbers.contains(&number),
                "the comment of {name} in {file} does not name P{number}"
            );
            assert!(!test.is_ignored, "P{number}: {name} in {file} is never run");
            listed.entry(name).or_default().insert(number);
        }
    }
    for (file, test) in tests.values().flatten() {
        let listed = listed.get(test.name.as_str()).cloned().unwrap_or_default();
        let unlisted: Vec<_> = test.numbers.difference(&listed).collect();
        assert!(
            unlisted.is_empty(),
            "{} in {} names P{unlisted:?}, and the table does not name it",
            test.name,
            file.display()
        );
    }
}

#[test]
fn tests_and_their_numbers_are_found_in_a_source() {
    let source = "/// P1, P22: some words about P3.\n#[tokio::test]\nasync fn one_fact() {\n/// P9.\n#[test]\n#[ignore = \"slow\"]\nfn other() {\n/// P4.\nfn no_test() {\n";
    let test = |name: &str, numbers, is_ignored| Test {
        name: name.to_owned(),
        numbers,
        is_ignored,
    };
    let expected = [
        test("one_fact", BTreeSet::from([1, 22]), false),
        test("other", BTreeSet::from([9]), true),
    ];
    assert_eq!(tests_in(source), expected);
}
