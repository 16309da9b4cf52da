//! Who may know whom in this package, which no compiler keeps: sources come in, broken rules go out as sentences. The
//! form of sources is the business of `e2e/tests/form.rs`, what packages depend on that of `.ci/dependencies`.
//!
//! Each rule is a pure function over one file, so that the tests at the end can show it a file that breaks it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};

/// What may touch the network; a folder stands for everything in it. The rest is pure.
const IO: [&str; 18] = [
    "admin.rs",
    "apply.rs",
    "context.rs",
    "events.rs",
    "kube_api.rs",
    "leader.rs",
    "main.rs",
    "metrics/requests.rs",
    "probe.rs",
    "process.rs",
    "registry_controller.rs",
    "registry_controller/apply.rs",
    "registry_controller/apply/",
    "registry_controller/pass.rs",
    "registry_controller/probing.rs",
    "registry_controller/probing/",
    "registry_controller/undecodable.rs",
    "streams.rs",
];
/// Steps that are IO in every controller.
const IO_STEPS: [&str; 3] = ["dereference", "update_status", "finalize"];
const MARKS_OF_IO: [&str; 6] = [
    "async fn",
    "async move",
    ".await",
    "kube::Client",
    "Api<",
    "Api::",
];

/// A source file, with its path below `src/`.
struct Source<'a> {
    path: &'a str,
    text: &'a str,
}

impl Source<'_> {
    fn is_test_file(&self) -> bool {
        self.path.ends_with("/tests.rs") || self.path.ends_with("/test_support.rs")
    }

    /// Without the unit tests, which stand last.
    fn production(&self) -> &str {
        if self.is_test_file() {
            return "";
        }
        self.text
            .split("#[cfg(test)]\nmod tests {")
            .next()
            .unwrap_or_default()
    }

    /// Production code without comments.
    fn code(&self) -> String {
        let is_code = |line: &&str| !line.trim_start().starts_with("//");
        self.production()
            .lines()
            .filter(is_code)
            .collect::<Vec<_>>()
            .join(
                "
",
            )
    }
}

fn broken_rules(source: &Source<'_>) -> Vec<String> {
    [io_rule(source), direction_rule(source)].concat()
}

fn io_rule(source: &Source<'_>) -> Vec<String> {
    let path = source.path;
    let is_step = |part: &str| IO_STEPS.contains(&part.trim_end_matches(".rs"));
    let may = path.split('/').any(is_step)
        || IO
            .iter()
            .any(|io| path == *io || (io.ends_with('/') && path.starts_with(io)));
    let code = source.code();
    MARKS_OF_IO
        .iter()
        .filter(|mark| !may && code.contains(**mark))
        .map(|mark| format!("{path}: has {mark:?} but is not one of the files that may do IO"))
        .collect()
}

/// Controllers do not know each other, and what is shared does not know controllers; what puts the process together knows
/// all of them.
fn direction_rule(source: &Source<'_>) -> Vec<String> {
    let own = source
        .path
        .split('/')
        .next()
        .unwrap_or_default()
        .trim_end_matches(".rs");
    if matches!(own, "main" | "lib" | "process") {
        return Vec::new();
    }
    let code = source.code();
    let named = code.split("crate::").skip(1).map(|rest| {
        rest.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
            .next()
            .unwrap_or_default()
    });
    named
        .filter(|module| module.ends_with("_controller") && *module != own)
        .map(|module| {
            format!(
                "{}: uses {module}; what two places need belongs to the crate's root",
                source.path
            )
        })
        .collect()
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

fn all_broken_rules(root: &Path, rules: impl Fn(&Source<'_>) -> Vec<String>) -> Vec<String> {
    let files = sources(root);
    assert!(!files.is_empty(), "{} holds no source", root.display());
    files
        .iter()
        .flat_map(|file| {
            let text = fs::read_to_string(file).unwrap();
            let path = file.strip_prefix(root).unwrap().to_string_lossy().into_owned();
            rules(&Source {
                path: &path,
                text: &text,
            })
        })
        .collect()
}

#[test]
fn sources_keep_the_rules() {
    let broken = all_broken_rules(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), broken_rules);
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn main_stays_on_one_screen() {
    let main = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/main.rs")).unwrap();
    assert!(
        main.lines().count() <= 80,
        "main.rs has {} lines",
        main.lines().count()
    );
}

mod checker {
    use super::{Source, broken_rules};

    fn broken(path: &str, text: &str) -> String {
        broken_rules(&Source { path, text }).join("\n")
    }

    #[test]
    fn good_file_breaks_no_rule() {
        assert_eq!(
            broken(
                "names.rs",
                "//! In: a name. Out: names. Pure.\n\npub fn service() {}\n"
            ),
            ""
        );
        assert_eq!(broken("probe.rs", "//! IO.\nasync fn ask() {}\n"), "");
        assert_eq!(
            broken(
                "registry_controller/apply/claim.rs",
                "//! IO.\nasync fn apply() {}\n"
            ),
            ""
        );
        assert_eq!(
            broken(
                "registry_controller/dereference.rs",
                "//! IO.\nasync fn read() {}\n"
            ),
            ""
        );
    }

    #[test]
    fn io_in_a_pure_step_is_found() {
        for line in [
            "async fn build() {}",
            "let x = y.await;",
            "use kube::Client;",
            "let api: Api<Pod> = todo;",
        ] {
            let path = "registry_controller/build/service.rs";
            assert!(
                broken(path, &format!("//! Pure.\n{line}\n")).contains("may do IO"),
                "{line}"
            );
        }
    }

    #[test]
    fn comments_and_unit_tests_are_no_io() {
        let text = "//! Pure.\n// .await\n#[cfg(test)]\nmod tests {\n    async fn call() {}\n}\n";
        assert_eq!(broken("names.rs", text), "");
    }

    #[test]
    fn controllers_that_know_each_other_are_found() {
        let text = "//! Pure.\nuse crate::registry_controller::build;\n";
        assert!(broken("access_controller/validate.rs", text).contains("uses registry_controller"));
        assert!(broken("apply/compare.rs", text).contains("uses registry_controller"));
        assert!(broken("context.rs", text).contains("uses registry_controller"));
        assert_eq!(broken("registry_controller/validate.rs", text), "");
        assert_eq!(broken("process.rs", text), "");
    }
}
