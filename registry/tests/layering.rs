//! Who may know whom in these packages, which no compiler keeps: sources come in, broken rules go out as sentences. The
//! form of sources is the business of `e2e/tests/form.rs`, what packages depend on that of `.ci/dependencies`.
//!
//! Each rule is a pure function over one file, so that the tests at the end can show it a file that breaks it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "layering/volume.rs"]
mod volume;

use std::fs;
use std::path::{Path, PathBuf};

/// Decisions: what they decide depends on nothing but what they are given.
const PURE: [&str; 9] = [
    "src/route",
    "src/operation.rs",
    "src/auth",
    "src/manifest",
    "src/environment.rs",
    "src/tls.rs",
    "src/commands/hash_password.rs",
    "oci/src/",
    "config/src/",
];
const MARKS_OF_IO: [&str; 7] = [
    "async fn",
    "async move",
    ".await",
    "tokio::",
    "std::fs",
    "std::io",
    "std::process",
];

/// What keeps content knows nothing of how it is asked for.
const STORAGE: [&str; 2] = ["src/store", "src/manifest"];
const MARKS_OF_HTTP: [&str; 10] = [
    "http::",
    "axum",
    "hyper",
    "StatusCode",
    "HeaderMap",
    "crate::app",
    "crate::auth",
    "crate::error",
    "crate::handlers",
    "crate::operation",
];

/// Where answers are made; `health` and `admin` have listeners of their own.
const ANSWERS: [&str; 4] = ["src/handlers", "src/error.rs", "src/health.rs", "src/admin"];
const MARKS_OF_ANSWERS: [&str; 3] = ["Response::new", "Response::builder", "into_response("];

/// Time, chance and environment are arguments everywhere but here.
const SURROUNDINGS: &str = "src/main.rs";
const MARKS_OF_SURROUNDINGS: [&str; 5] = [
    "SystemTime::now",
    "Timestamp::now",
    "rand::random",
    "env::var",
    "SystemRandom::new",
];
/// A signature needs fresh randomness of its own, whatever else is decided.
const SIGNS: &str = "src/auth/token";

/// A source file, with its path below this package.
struct Source<'a> {
    path: &'a str,
    text: &'a str,
}

impl Source<'_> {
    fn is_test_file(&self) -> bool {
        self.path.contains("tests/") || self.path.ends_with("/tests.rs")
    }

    fn is_below(&self, places: &[&str]) -> bool {
        places.iter().any(|place| self.path.starts_with(place))
    }

    /// Without the unit tests, which stand last.
    fn production(&self) -> &str {
        let end = self
            .text
            .find("#[cfg(test)]\nmod tests {")
            .unwrap_or(self.text.len());
        if self.is_test_file() {
            ""
        } else {
            &self.text[..end]
        }
    }

    /// Production code without comments.
    fn code(&self) -> String {
        let is_code = |line: &&str| !line.trim_start().starts_with("//");
        self.production()
            .lines()
            .filter(is_code)
            .collect::<Vec<_>>()
            .join("\n")
    }

    fn found(&self, marks: &[&str]) -> Vec<String> {
        let code = self.code();
        marks
            .iter()
            .filter(|mark| code.contains(**mark))
            .map(|mark| (*mark).to_owned())
            .collect()
    }
}

fn broken_rules(source: &Source<'_>) -> Vec<String> {
    let rules = [
        pure_rule,
        storage_rule,
        volume::rule,
        answer_rule,
        surroundings_rule,
    ];
    let broken = rules.iter().flat_map(|rule| rule(source));
    broken
        .map(|sentence| format!("{}: {sentence}", source.path))
        .collect()
}

fn pure_rule(source: &Source<'_>) -> Vec<String> {
    if !source.is_below(&PURE) {
        return Vec::new();
    }
    let found = source.found(&MARKS_OF_IO);
    found
        .iter()
        .map(|mark| format!("has \"{mark}\", but is to decide without IO"))
        .collect()
}

fn storage_rule(source: &Source<'_>) -> Vec<String> {
    if !source.is_below(&STORAGE) {
        return Vec::new();
    }
    let found = source.found(&MARKS_OF_HTTP);
    found
        .iter()
        .map(|mark| format!("has \"{mark}\", but storage is to know no HTTP and no caller"))
        .collect()
}

fn answer_rule(source: &Source<'_>) -> Vec<String> {
    // the one place where an error is turned into its answer
    if source.is_below(&ANSWERS) || source.path == "src/app.rs" {
        return Vec::new();
    }
    let found = source.found(&MARKS_OF_ANSWERS);
    found
        .iter()
        .map(|mark| format!("has \"{mark}\", but only handlers and error.rs make answers"))
        .collect()
}

fn surroundings_rule(source: &Source<'_>) -> Vec<String> {
    if source.path == SURROUNDINGS || source.is_below(&[SIGNS]) {
        return Vec::new();
    }
    let found = source.found(&MARKS_OF_SURROUNDINGS);
    found
        .iter()
        .map(|mark| format!("has \"{mark}\": take it as an argument, it comes from main.rs"))
        .collect()
}

fn package() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
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

#[test]
fn every_source_keeps_the_rules() {
    let (root, mut paths) = (package(), Vec::new());
    for directory in ["src", "tests", "benches", "oci/src", "config/src"] {
        sources(&root.join(directory), &mut paths);
    }
    assert!(paths.len() > 60, "only {} sources were found", paths.len());
    let mut broken = Vec::new();
    for path in paths {
        let text = fs::read_to_string(&path).unwrap();
        let relative = path.strip_prefix(&root).unwrap().to_str().unwrap();
        if relative != "tests/layering.rs" {
            broken.extend(broken_rules(&Source {
                path: relative,
                text: &text,
            }));
        }
    }
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

#[test]
fn a_file_that_breaks_a_rule_is_named() {
    for sample in [
        "src/route/query.rs|//! D.\nasync fn f() {}|\"async fn\"",
        "src/auth/authorize.rs|//! D.\nfn f() { std::fs::read(p); }|\"std::fs\"",
        "src/store/tags.rs|//! D.\nuse http::Method;|\"http::\"",
        "src/manifest/parse.rs|//! D.\nuse crate::error::ApiError;|\"crate::error\"",
        "src/auth.rs|//! D.\nfn f() { Response::new(b) }|\"Response::new\"",
        "src/store/expiry.rs|//! D.\nfn f() { SystemTime::now() }|take it as an argument",
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
    for (path, text) in [
        (
            "src/route.rs",
            "//! Doc.\n// async fn in a comment\n#[cfg(test)]\nmod tests {\n use std::fs;\n}",
        ),
        (
            "src/store/tests.rs",
            "//! Doc.\nuse http::StatusCode; // a test may",
        ),
        ("src/main.rs", "//! Doc.\nfn f() { Timestamp::now() }"),
        (
            "src/handlers/blob.rs",
            "//! Doc.\nasync fn f() { Response::new(b) }",
        ),
    ] {
        assert_eq!(
            broken_rules(&Source { path, text }),
            Vec::<String>::new(),
            "{path}"
        );
    }
}
