//! The operator's command line as a person meets it: flags come in, exit status and sentences go out. No cluster.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::{Command, Output};

fn operator(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portolan-operator"));
    command
        .env_clear()
        .env("KUBECONFIG", "/nonexistent/kubeconfig")
        .args(args);
    command.output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn wrong_command_line_ends_with_status_2_and_names_the_flag() {
    let output = operator(&["run"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("--registry-image"),
        "{}",
        stderr(&output)
    );
    let output = operator(&["run", "--registry-image", "x", "--concurrency", "0"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("--concurrency"), "{}", stderr(&output));
}

#[test]
fn missing_cluster_ends_with_status_1_and_a_sentence() {
    let output = operator(&["run", "--registry-image", "x"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("cannot find out how to reach the Kubernetes API"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn help_shows_an_example_and_the_exit_statuses() {
    let output = operator(&["run", "--help"]);
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8_lossy(&output.stdout);
    for word in [
        "Example",
        "--watch-namespaces",
        "PORTOLAN_REGISTRY_IMAGE",
        "4 leadership lost",
    ] {
        assert!(text.contains(word), "{word}\n{text}");
    }
}
