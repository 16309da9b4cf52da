//! The rules of these packages that no compiler keeps: sources come in, broken rules go out as sentences.
//!
//! Each rule is a pure function over one file, so that the tests at the end can show it a file that breaks it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

const MAX_LINES: usize = 400;
const MAX_TEST_LINES_IN_FILE: usize = 220;
const MAX_DOC_LINES: usize = 8;
/// Names under which things pile up that have nothing to do with each other.
const DRAWERS: [&str; 8] = [
    "util", "utils", "common", "helpers", "misc", "types", "manager", "mod",
];

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

/// The server runs without Kubernetes, and the two vocabularies without a runtime.
const FOREIGN: [(&str, &[&str]); 3] = [
    (
        "Cargo.toml",
        &[
            "kube",
            "k8s-openapi",
            "portolan-crds",
            "portolan-operator",
            "openssl",
            "aws-lc-rs",
        ],
    ),
    (
        "oci/Cargo.toml",
        &[
            "tokio",
            "axum",
            "hyper",
            "kube",
            "portolan-config",
            "portolan-registry",
        ],
    ),
    (
        "config/Cargo.toml",
        &[
            "tokio",
            "axum",
            "hyper",
            "kube",
            "portolan-oci",
            "portolan-registry",
        ],
    ),
];

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
        doc_rule,
        length_rule,
        drawer_rule,
        pure_rule,
        storage_rule,
        answer_rule,
        surroundings_rule,
    ];
    let mut broken: Vec<String> = rules.iter().flat_map(|rule| rule(source)).collect();
    broken.extend(test_name_rule(source));
    broken
        .iter()
        .map(|sentence| format!("{}: {sentence}", source.path))
        .collect()
}

fn doc_rule(source: &Source<'_>) -> Vec<String> {
    let doc: Vec<&str> = source
        .text
        .lines()
        .take_while(|line| line.starts_with("//!"))
        .collect();
    // every second part is between fences: a drawing is not counted as prose
    let text = doc.join("\n");
    let prose = text.split("```").step_by(2).flat_map(str::lines);
    let lines = prose
        .filter(|line| !line.trim_start_matches("//!").trim().is_empty())
        .count();
    let is_crate_doc = source.path.ends_with("lib.rs");
    match lines {
        0 => vec!["begins with no //! line that says what comes in and what goes out".to_owned()],
        _ if lines > MAX_DOC_LINES && !is_crate_doc && !source.path.starts_with("src/store.rs") => {
            vec![format!(
                "its module doc has {lines} lines, {MAX_DOC_LINES} are the most"
            )]
        }
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

fn test_name_rule(source: &Source<'_>) -> Vec<String> {
    let lines: Vec<&str> = source.text.lines().map(str::trim).collect();
    let names = lines
        .windows(2)
        .filter(|pair| pair[0].ends_with("test]") || pair[0].contains("::test("));
    let names = names.filter_map(|pair| pair[1].split("fn ").nth(1)?.split('(').next());
    names
        .filter(|name| name.starts_with("test_") || name.ends_with("_test") || name.matches('_').count() < 2)
        .map(|name| format!("test \"{name}\" is no sentence: name it after the fact it shows"))
        .collect()
}

fn dependency_rule(path: &str, manifest: &str, foreign: &[&str]) -> Vec<String> {
    let depends = |line: &str, name: &str| {
        line.strip_prefix(name)
            .is_some_and(|rest| rest.starts_with(['.', ' ', '=']))
    };
    let named = foreign
        .iter()
        .filter(|name| manifest.lines().any(|line| depends(line, name)));
    named.map(|name| format!("{path}: depends on {name}")).collect()
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
fn every_package_depends_only_downwards() {
    for (path, foreign) in FOREIGN {
        let manifest = fs::read_to_string(package().join(path)).unwrap();
        assert_eq!(dependency_rule(path, &manifest, foreign), Vec::<String>::new());
    }
}

#[test]
fn a_file_that_breaks_a_rule_is_named() {
    let long = format!("//! Doc.\n{}", "fn f() {}\n".repeat(400));
    let tests = format!(
        "//! Doc.\n#[cfg(test)]\nmod tests {{\n{}}}",
        "fn f() {}\n".repeat(230)
    );
    for sample in [
        "src/app.rs|fn f() {}|no //! line",
        "src/utils.rs|//! D.|\"utils\" says nothing",
        "src/handlers/mod.rs|//! D.|\"mod\" says nothing",
        "src/route/query.rs|//! D.\nasync fn f() {}|\"async fn\"",
        "src/auth/authorize.rs|//! D.\nfn f() { std::fs::read(p); }|\"std::fs\"",
        "src/store/tags.rs|//! D.\nuse http::Method;|\"http::\"",
        "src/manifest/parse.rs|//! D.\nuse crate::error::ApiError;|\"crate::error\"",
        "src/auth.rs|//! D.\nfn f() { Response::new(b) }|\"Response::new\"",
        "src/store/expiry.rs|//! D.\nfn f() { SystemTime::now() }|take it as an argument",
        "src/app.rs|//! D.\n#[test]\nfn test_it_works_well() {}|is no sentence",
        "tests/api/x.rs|//! D.\n#[tokio::test]\nasync fn upload() {}|is no sentence",
        &format!("src/app.rs|{long}|401 lines"),
        &format!("src/app.rs|{tests}|lines of tests"),
    ] {
        let [path, text, part] = sample.split('|').collect::<Vec<_>>().try_into().unwrap();
        let broken = broken_rules(&Source { path, text });
        assert_eq!(broken.len(), 1, "{path}: {broken:?}");
        assert!(
            broken[0].starts_with(path) && broken[0].contains(part),
            "{broken:?}"
        );
    }
    assert_eq!(
        dependency_rule(
            "Cargo.toml",
            "kube.workspace = true\nkubera = 1",
            &["kube", "tokio"]
        )
        .len(),
        1
    );
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
        ("src/app.rs", "//! Doc.\n#[test]\nfn a_name_is_a_fact() {}"),
    ] {
        assert_eq!(
            broken_rules(&Source { path, text }),
            Vec::<String>::new(),
            "{path}"
        );
    }
}
