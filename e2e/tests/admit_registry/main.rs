//! What a real kube-apiserver accepts and refuses as a Registry, and with which sentence, through the stock kubectl.
//! The cases are the table of `crds/tests/cases/`, put to it client-side and server-side. Needs only an API; see
//! `kubectl.rs` for how one is found or started.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cases;
mod kubectl;

use cases::{Case, cases};
use kubectl::{Kubectl, Mode, kubectl, repository};
use serde_json::{Value, json};

/// A namespace that goes when its test ends, also when it fails.
struct Namespace(String);

impl Namespace {
    fn new(purpose: &str) -> Self {
        let name = format!("admit-{purpose}-{}", std::process::id());
        kubectl()
            .run(&["create", "namespace", &name], "")
            .expect_success();
        Self(name)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        kubectl().run(&["delete", "namespace", &self.0, "--wait=false"], "");
    }
}

/// One document of a stream for `kubectl apply -f -`.
fn document(name: &str, spec: &Value) -> String {
    let object = json!({
        "apiVersion": "portolan.dev/v1alpha1",
        "kind": "Registry",
        "metadata": {"name": name},
        "spec": spec,
    });
    format!("---\n{object}\n")
}

/// Entries of new objects get names by which their answers are found again.
fn named(case: usize, kind: &str, entries: &[cases::Entry]) -> Vec<(String, Value)> {
    let name = |index, entry: &cases::Entry| entry.name.clone().unwrap_or(format!("{kind}-{case}-{index}"));
    entries
        .iter()
        .enumerate()
        .map(|(index, entry)| (name(index, entry), entry.spec.clone()))
        .collect()
}

#[test]
fn new_registries_are_refused_or_accepted_by_client_side_apply() {
    new_registries(Mode::ClientSide);
}

#[test]
fn new_registries_are_refused_or_accepted_by_server_side_apply() {
    new_registries(Mode::ServerSide);
}

fn new_registries(mode: Mode) {
    let kubectl = kubectl();
    let cases = cases();
    let (mut refused, mut accepted, mut expectations) = (String::new(), String::new(), Vec::new());
    let mut count = 0;
    for (index, case) in cases.iter().enumerate().filter(|(_, case)| case.before.is_none()) {
        for (name, spec) in named(index, "refused", &case.refused) {
            refused += &document(&name, &spec);
            expectations.push((name, case));
        }
        for (name, spec) in named(index, "accepted", &case.accepted) {
            accepted += &document(&name, &spec);
            count += 1;
        }
    }

    let said = kubectl.apply(mode, &["--dry-run=server", "--namespace=default"], &refused);
    assert!(
        !said.success && said.stdout.is_empty(),
        "something was accepted:\n{}",
        said.stdout
    );
    let wrong: Vec<String> = expectations
        .iter()
        .filter_map(|(name, case)| wrong_refusals(&said.stderr, name, case, 1, mode))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));

    let said = kubectl
        .apply(mode, &["--dry-run=server", "--namespace=default"], &accepted)
        .expect_success();
    assert_eq!(said.stdout.lines().count(), count, "{}", said.stdout);
    assert_eq!(said.stderr, "", "a warning was printed");
}

#[test]
fn changes_are_refused_or_accepted_by_client_side_apply() {
    changes(Mode::ClientSide);
}

#[test]
fn changes_are_refused_or_accepted_by_server_side_apply() {
    changes(Mode::ServerSide);
}

fn changes(mode: Mode) {
    let kubectl = kubectl();
    let namespace = Namespace::new(mode.word());
    let in_namespace = format!("--namespace={}", namespace.0);
    let cases = cases();
    let cases: Vec<(String, &Case)> = cases
        .iter()
        .filter(|case| case.before.is_some())
        .enumerate()
        .map(|(index, case)| (format!("before-{index}"), case))
        .collect();
    assert!(cases.len() > 5);

    let existing: String = cases
        .iter()
        .map(|(name, case)| document(name, &case.before.as_ref().unwrap().spec))
        .collect();
    kubectl.apply(mode, &[&in_namespace], &existing).expect_success();
    for (name, case) in &cases {
        if let Some(status) = &case.before.as_ref().unwrap().status {
            kubectl.set_status(&in_namespace, name, status);
        }
    }

    let documents = |entries: fn(&Case) -> &[cases::Entry]| -> String {
        cases
            .iter()
            .flat_map(|(name, case)| entries(case).iter().map(|entry| document(name, &entry.spec)))
            .collect()
    };
    let said = kubectl.apply(
        mode,
        &["--dry-run=server", &in_namespace],
        &documents(|case| &case.refused),
    );
    assert!(
        !said.success && said.stdout.is_empty(),
        "something was accepted:\n{}",
        said.stdout
    );
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|(name, case)| wrong_refusals(&said.stderr, name, case, case.refused.len(), mode))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));

    let accepted = documents(|case| &case.accepted);
    let said = kubectl
        .apply(mode, &["--dry-run=server", &in_namespace], &accepted)
        .expect_success();
    assert_eq!(said.stderr, "", "a warning was printed");
}

/// Why what was said about an object is not what the case promises, if so.
fn wrong_refusals(said: &str, object: &str, case: &Case, expected: usize, mode: Mode) -> Option<String> {
    let about: Vec<&str> = said
        .lines()
        .filter(|line| line.contains(&format!("\"{object}\"")) || line.contains(&format!("/{object};")))
        .filter(|line| line.contains("is invalid: ") || line.contains("typed patch object"))
        .collect();
    let right = about.iter().filter(|line| is_right(line, case, mode)).count();
    (about.len() != expected || right != expected).then(|| {
        format!(
            "{}: expected {expected} × {}: … {}\nbut about {object} was said {about:#?}",
            case.name, case.path, case.message
        )
    })
}

/// A rule says its one sentence and nothing else. Types are Kubernetes' own business: its words differ between the two
/// ways to apply, but name the field.
fn is_right(line: &str, case: &Case, mode: Mode) -> bool {
    let reasons = line
        .split_once(" is invalid: ")
        .map_or(line, |(_, reasons)| reasons);
    if case.schema {
        let (path, message) = (format!("{}: ", case.path), &case.message);
        let field = case.path.split('[').next().unwrap_or_default();
        return (reasons.contains(&path) && reasons.contains(message))
            || (mode == Mode::ServerSide && line.contains(field));
    }
    reasons.starts_with(&format!("{}: ", case.path)) && reasons.ends_with(&case.message)
}

#[test]
fn definitions_and_examples_are_applied_without_a_warning() {
    let kubectl = kubectl();
    assert_eq!(kubectl.said_about_definitions, "", "a warning was printed");
    let files: Vec<_> = std::fs::read_dir(repository().join("crds/examples"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert!(files.len() >= 6);
    for mode in [Mode::ClientSide, Mode::ServerSide] {
        for file in &files {
            let text = std::fs::read_to_string(file).unwrap();
            let said = kubectl
                .apply(mode, &["--dry-run=server", "--namespace=default"], &text)
                .expect_success();
            assert_eq!(said.stderr, "", "{mode:?} {}", file.display());
        }
    }
}

#[test]
fn the_schema_is_one_that_kubernetes_has_nothing_to_say_against() {
    let conditions = "jsonpath={range .status.conditions[*]}{.type}={.status} {end}";
    let said = kubectl()
        .run(&["get", "crd", "registries.portolan.dev", "-o", conditions], "")
        .expect_success();
    assert!(said.stdout.contains("Established=True"), "{}", said.stdout);
    assert!(
        !said.stdout.contains("NonStructuralSchema=True"),
        "{}",
        said.stdout
    );
}

#[test]
fn a_field_that_does_not_exist_is_refused_by_name() {
    let spec = json!({"replicaz": 1, "storage": {"ephemeral": {}}});
    for mode in [Mode::ClientSide, Mode::ServerSide] {
        let said = kubectl().apply(
            mode,
            &["--dry-run=server", "--namespace=default"],
            &document("typo", &spec),
        );
        assert!(
            !said.success && said.stderr.contains("spec.replicaz"),
            "{}",
            said.stderr
        );
    }
}

#[test]
fn kubectl_explain_tells_what_to_write() {
    let kubectl = kubectl();
    let storage = kubectl.until_success(&["explain", "registry.spec.storage.volume.size"]);
    assert!(
        storage.stdout.contains("for example `20Gi`"),
        "{}",
        storage.stdout
    );
    let policy = kubectl.until_success(&["explain", "reg.spec.deletionPolicy"]);
    assert!(
        policy.stdout.contains("ENUM") && policy.stdout.contains("Retain"),
        "{}",
        policy.stdout
    );
    let everything = kubectl.until_success(&["explain", "registry.spec", "--recursive"]);
    for field in [
        "existingClaimName",
        "renewBefore",
        "hostnames",
        "topologySpreadConstraints",
    ] {
        assert!(
            everything.stdout.contains(field),
            "{field} is missing in\n{}",
            everything.stdout
        );
    }
}

#[test]
fn a_registry_that_no_operator_has_seen_is_not_taken_for_ready() {
    let namespace = Namespace::new("unseen");
    let in_namespace = format!("--namespace={}", namespace.0);
    let spec = json!({"storage": {"volume": {"size": "1Gi"}}});
    kubectl()
        .apply(Mode::ClientSide, &[&in_namespace], &document("unseen", &spec))
        .expect_success();
    let said = kubectl()
        .run(&["get", "registry/unseen", &in_namespace, "-o", "json"], "")
        .expect_success();
    let object: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(object["status"]["observedGeneration"], -1, "{}", object["status"]);
    assert_eq!(object["spec"]["deletionPolicy"], "Retain");
    assert_eq!(object["spec"]["replicas"], 1);
    assert_eq!(object["spec"]["suspend"], false);
}

#[test]
fn the_table_shows_what_a_person_looks_for() {
    let kubectl = kubectl();
    let namespace = Namespace::new("table");
    let in_namespace = format!("--namespace={}", namespace.0);
    let spec = json!({"storage": {"volume": {"size": "1Gi"}}});
    kubectl
        .apply(Mode::ClientSide, &[&in_namespace], &document("registry", &spec))
        .expect_success();
    kubectl.set_status(&in_namespace, "registry", &settled_status());

    let narrow = kubectl
        .run(&["get", "reg", &in_namespace], "")
        .expect_success()
        .stdout;
    let mut lines = narrow
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    assert_eq!(
        lines.next().unwrap(),
        ["NAME", "READY", "ENDPOINT", "STORAGE", "CERT-EXPIRES", "AGE"]
    );
    let row = lines.next().unwrap();
    assert_eq!(
        row[..5],
        [
            "registry",
            "True",
            "registry.team-a.svc",
            "1Gi",
            "2027-02-21T10:00:00Z"
        ]
    );

    let wide = kubectl
        .run(&["get", "portolan", &in_namespace, "-o", "wide"], "")
        .expect_success()
        .stdout;
    for word in [
        "REASON",
        "CLAIM",
        "VERSION",
        "STATUS",
        "Succeeded",
        "registry-data",
        "0.1.0",
        "push to it",
    ] {
        assert!(wide.contains(word), "{word} is missing in\n{wide}");
    }
}

/// As the operator writes it; only what the table shows.
fn settled_status() -> Value {
    json!({
        "observedGeneration": 1,
        "conditions": [{
            "type": "Ready",
            "status": "True",
            "reason": "Succeeded",
            "message": "push to it",
            "lastTransitionTime": "2026-11-23T10:00:00Z",
            "observedGeneration": 1,
        }],
        "endpoint": "registry.team-a.svc",
        "storage": {"claimName": "registry-data", "requested": "1Gi", "capacity": "1Gi"},
        "tls": {"notAfter": "2027-02-21T10:00:00Z"},
        "version": {"running": "0.1.0"},
    })
}

impl Kubectl {
    fn apply(&self, mode: Mode, options: &[&str], documents: &str) -> kubectl::Said {
        let mut arguments = vec!["apply"];
        arguments.extend(mode.options());
        arguments.extend(options);
        arguments.extend(["-f", "-"]);
        self.run(&arguments, documents)
    }

    fn set_status(&self, in_namespace: &str, name: &str, status: &Value) {
        let patch = json!({"status": status}).to_string();
        let object = format!("registry/{name}");
        self.run(
            &[
                "patch",
                &object,
                in_namespace,
                "--subresource=status",
                "--type=merge",
                "--patch",
                &patch,
            ],
            "",
        )
        .expect_success();
    }
}
