//! The form that every source of every package has: files come in, broken rules go out as sentences. What may know
//! what is each package's own, in its `layering`.
//!
//! Each rule is a pure function over one file, so that the tests at the end can show it a file that breaks it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

const PACKAGES: [&str; 4] = ["crds", "operator", "registry", "e2e"];
const MAX_LINES: usize = 400;
const MAX_TEST_LINES_IN_FILE: usize = 220;
const MAX_DOC_LINES: usize = 8;
/// Names under which things pile up that have nothing to do with each other.
const DRAWERS: [&str; 8] = [
    "util", "utils", "common", "helpers", "misc", "types", "manager", "mod",
];

/// A source file, with its path below the root of the repository.
struct Source<'a> {
    path: &'a str,
    text: &'a str,
}

impl Source<'_> {
    fn is_test_file(&self) -> bool {
        let ends = ["/tests.rs", "/test_support.rs"];
        self.path.contains("tests/") || ends.iter().any(|end| self.path.ends_with(end))
    }

    /// Without the unit tests, which stand last.
    fn production(&self) -> &str {
        let tests = self.text.find("#[cfg(test)]\nmod tests {");
        &self.text[..tests.unwrap_or(self.text.len())]
    }
}

fn broken_rules(source: &Source<'_>) -> Vec<String> {
    let mut broken = [doc_rule(source), length_rule(source), drawer_rule(source)].concat();
    broken.extend(test_name_rule(source));
    broken
        .iter()
        .map(|sentence| format!("{}: {sentence}", source.path))
        .collect()
}

fn doc_rule(source: &Source<'_>) -> Vec<String> {
    let doc = source.text.lines().take_while(|line| line.starts_with("//!"));
    // every second part is between fences: a drawing is not counted as prose
    let text = doc.collect::<Vec<_>>().join("\n");
    let prose = text.split("```").step_by(2).flat_map(str::lines);
    let lines = prose
        .filter(|line| !line.trim_start_matches("//!").trim().is_empty())
        .count();
    // these introduce all that is below them
    let is_long = source.path.ends_with("lib.rs") || source.path == "registry/src/store.rs";
    match lines {
        0 => vec!["begins with no //! line that says what comes in and what goes out".to_owned()],
        _ if lines > MAX_DOC_LINES && !is_long => vec![format!(
            "its module doc has {lines} lines, {MAX_DOC_LINES} are the most"
        )],
        _ => Vec::new(),
    }
}

fn length_rule(source: &Source<'_>) -> Vec<String> {
    let (all, production) = (source.text.lines().count(), source.production().lines().count());
    let mut broken = Vec::new();
    if source.is_test_file() && all > MAX_LINES || production > MAX_LINES {
        broken.push(format!("{all} lines, {MAX_LINES} are the most: split it"));
    }
    if !source.is_test_file() && all - production > MAX_TEST_LINES_IN_FILE {
        broken.push(format!(
            "{} lines of tests: move them to a tests.rs in its folder",
            all - production
        ));
    }
    broken
}

fn drawer_rule(source: &Source<'_>) -> Vec<String> {
    let parts = source.path.trim_end_matches(".rs").split('/');
    let drawers = parts.filter(|part| DRAWERS.contains(part));
    drawers
        .map(|name| format!("\"{name}\" says nothing: name it after what is in it"))
        .collect()
}

fn test_name_rule(source: &Source<'_>) -> Vec<String> {
    let lines: Vec<&str> = source.text.lines().map(str::trim).collect();
    let is_marked =
        |line: &str| line.starts_with("#[") && (line.ends_with("test]") || line.contains("::test("));
    let pairs = lines.windows(2).filter(|pair| is_marked(pair[0]));
    let names = pairs.filter_map(|pair| pair[1].split("fn ").nth(1)?.split('(').next());
    names
        .filter(|name| name.starts_with("test_") || name.ends_with("_test") || name.matches('_').count() < 2)
        .map(|name| format!("test \"{name}\" is no sentence: name it after the fact it shows"))
        .collect()
}

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if !path.ends_with("target") {
                sources(&path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_source_keeps_the_rules() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut broken = Vec::new();
    for package in PACKAGES {
        let mut paths = Vec::new();
        sources(&root.join(package), &mut paths);
        assert!(
            paths.len() > 15,
            "{package}: only {} sources were found",
            paths.len()
        );
        for path in paths {
            let text = fs::read_to_string(&path).unwrap();
            let path = path.strip_prefix(root).unwrap().to_str().unwrap();
            broken.extend(broken_rules(&Source { path, text: &text }));
        }
    }
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

#[test]
fn a_file_that_breaks_a_rule_is_named() {
    let long = format!("//! Doc.\n{}", "fn f() {}\n".repeat(400));
    let tests = format!(
        "//! Doc.\n#[cfg(test)]\nmod tests {{\n{}}}",
        "fn f() {}\n".repeat(230)
    );
    let doc = "//! word\n".repeat(9);
    for sample in [
        "registry/src/app.rs|fn f() {}|no //! line",
        "operator/src/utils.rs|//! D.|\"utils\" says nothing",
        "operator/src/registry_controller/common/names.rs|//! D.|\"common\" says nothing",
        "registry/src/handlers/mod.rs|//! D.|\"mod\" says nothing",
        "crds/src/yaml.rs|//! D.\n#[test]\nfn test_it_works_well() {}|is no sentence",
        "e2e/tests/full/x.rs|//! D.\n#[tokio::test]\nasync fn upload() {}|is no sentence",
        &format!("crds/src/yaml.rs|{doc}|9 lines, 8 are the most"),
        &format!("registry/src/app.rs|{long}|401 lines"),
        &format!("registry/src/app.rs|{tests}|lines of tests"),
    ] {
        let [path, text, part] = sample.split('|').collect::<Vec<_>>().try_into().unwrap();
        let broken = broken_rules(&Source { path, text });
        assert_eq!(broken.len(), 1, "{path}: {broken:?}");
        assert!(
            broken[0].starts_with(path) && broken[0].contains(part),
            "{broken:?}"
        );
    }
}

#[test]
fn a_file_that_keeps_the_rules_is_not_named() {
    let introduction = "//! word\n".repeat(9);
    for (path, text) in [
        (
            "operator/src/names.rs",
            "//! In: a name. Out: names. Pure.\n\npub fn service() {}\n",
        ),
        (
            "registry/src/app.rs",
            "//! Doc.\n#[test]\nfn a_name_is_a_fact() {}",
        ),
        ("registry/oci/src/lib.rs", &introduction),
    ] {
        assert_eq!(
            broken_rules(&Source { path, text }),
            Vec::<String>::new(),
            "{path}"
        );
    }
}
