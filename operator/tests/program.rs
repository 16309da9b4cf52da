//! The operator's command line as a person meets it: flags come in, exit status and sentences go out. No cluster.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
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

/// One sentence on standard error, with all of these words and without the token, and not a line in the log.
fn one_sentence(output: &Output, status: i32, words: &[&str]) {
    let text = stderr(output);
    assert_eq!(output.status.code(), Some(status), "{text}");
    assert!(words.iter().all(|word| text.contains(word)), "{words:?} {text}");
    assert_eq!(text.trim().lines().count(), 1, "{text}");
    assert!(!text.contains(TOKEN), "{text}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
}

const TOKEN: &str = "t0ken-of-somebody";

/// A kubeconfig with a token, below the name of the test.
fn kubeconfig(name: &str, text: &str) -> PathBuf {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
    fs::write(&file, text).unwrap();
    file
}

fn good(server: &str) -> String {
    format!(
        "{{apiVersion: v1, kind: Config, current-context: c, contexts: [{{name: c, context: {{cluster: k, user: u}}}}], \
         clusters: [{{name: k, cluster: {{server: \"{server}\"}}}}], users: [{{name: u, user: {{token: {TOKEN}}}}}]}}"
    )
}

fn run_with(kubeconfig: &Path, flags: &[&str]) -> Output {
    let named = ["run", "--registry-image", "x", "--kubeconfig"];
    let file = kubeconfig.to_str().unwrap();
    let output = operator(&[&named, &[file][..], flags].concat());
    let _ = fs::remove_file(kubeconfig);
    output
}

#[test]
fn missing_kubeconfig_is_named_with_the_remedy() {
    let output = operator(&["run", "--registry-image", "x"]);
    one_sentence(
        &output,
        1,
        &["/nonexistent/kubeconfig does not exist", "KUBECONFIG"],
    );
    let nowhere = operator(&["run", "--registry-image", "x", "--kubeconfig", ""]);
    one_sentence(
        &nowhere,
        1,
        &["neither a kubeconfig nor a ServiceAccount", "--kubeconfig FILE"],
    );
}

#[test]
fn kubeconfig_that_cannot_be_used_is_named_and_never_quoted() {
    let good = good("https://192.0.2.1:6443");
    let cases = [
        ("cut", good.replace("users: [", "users: "), "line 1"),
        (
            "type",
            good.replace("contexts: [", "contexts: 7, x: ["),
            "is no kubeconfig",
        ),
        (
            "text",
            format!("token: {TOKEN}\n  : [ {TOKEN}"),
            "is no kubeconfig",
        ),
        (
            "context",
            good.replace("current-context: c", "current-context: d"),
            "no context \"d\"",
        ),
        (
            "none",
            good.replace("current-context: c, ", ""),
            "no current-context",
        ),
        (
            "cluster",
            good.replace("name: k,", "name: l,"),
            "no cluster \"k\"",
        ),
        (
            "server",
            good.replace("https://192", "no url"),
            "no usable server",
        ),
        (
            "ca",
            good.replace("{server", "{certificate-authority: /nonexistent/ca.crt, server"),
            "/nonexistent/ca.crt as certificate-authority",
        ),
        (
            "key",
            good.replace(
                "{token",
                &format!("{{client-certificate-data: YQ==, client-key-data: {TOKEN}, token"),
            ),
            "client-key-data",
        ),
    ];
    for (name, text, said) in cases {
        let file = kubeconfig(name, &text);
        let path = file.to_str().unwrap().to_owned();
        let output = run_with(&file, &["--leader-election=false"]);
        // Keys are decoded after the file is no longer at hand.
        let place = if name == "key" { "the kubeconfig" } else { &path };
        one_sentence(&output, 1, &[place, said]);
    }
}

#[test]
fn api_server_that_does_not_answer_is_told_with_the_cause() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = format!("http://{}", gone.local_addr().unwrap());
    drop(gone);
    let output = run_with(&kubeconfig("gone", &good(&server)), &[]);
    one_sentence(&output, 1, &["Connection refused", "check that it runs"]);
}

/// Answers every request with this, for as long as the test lives.
fn api_server(status: &'static str, body: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close");
            let answer = format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    server
}

#[test]
fn api_server_that_refuses_is_told_in_one_sentence() {
    const FORBIDDEN: &str =
        r#"{"kind":"Status","status":"Failure","reason":"Forbidden","code":403,"message":"u cannot list"}"#;
    for (status, body, code, words) in [
        ("401 Unauthorized", "", 1, ["refuses the credentials", "valid"]),
        (
            "403 Forbidden",
            FORBIDDEN,
            1,
            ["not allowed to list registries", "u cannot list"],
        ),
        (
            "404 Not Found",
            "404 page not found",
            3,
            ["registries.portolan.dev/v1alpha1", "install the CRDs"],
        ),
        (
            "500 Internal Server Error",
            "broken",
            1,
            ["does not list", "check that it runs"],
        ),
        (
            "503 Service Unavailable",
            "",
            1,
            ["does not list", "check that it runs"],
        ),
        (
            "200 OK",
            "a page for people",
            1,
            ["does not list", "the server of the kubeconfig"],
        ),
    ] {
        let file = kubeconfig(
            &format!("refusal{}", &status[..3]),
            &good(&api_server(status, body)),
        );
        one_sentence(&run_with(&file, &[]), code, &words);
    }
}

#[test]
fn address_that_is_taken_is_told_with_the_remedy() {
    let list = r#"{"kind":"RegistryList","apiVersion":"portolan.dev/v1alpha1","metadata":{},"items":[]}"#;
    let server = api_server("200 OK", list);
    for (any, listen) in [("127.0.0.1", "127.0.0.1:0"), ("", "0.0.0.0:0")] {
        let taken = TcpListener::bind(listen).unwrap();
        let address = format!("{any}:{}", taken.local_addr().unwrap().port());
        let file = kubeconfig(&format!("taken{}", any.len()), &good(&server));
        let output = run_with(&file, &["--http-address", &address]);
        let words = [
            &address,
            "another program listens there",
            "--http-address",
            "PORTOLAN_HTTP_ADDRESS",
        ];
        one_sentence(&output, 1, &words);
    }
}

#[test]
fn values_that_cannot_be_meant_end_with_status_2_and_name_flag_and_value() {
    let cases = [
        ("--log-filter", "a=b=c", "info,kube=debug"),
        ("--http-address", "8080", ":5000"),
        ("--watch-namespaces", "Team_A", "lower-case letters"),
        ("--leader-election-namespace", "Team_A", "lower-case letters"),
        ("--cluster-domain", ".cluster.local.", "such as cluster.local"),
    ];
    let image = operator(&["run", "--registry-image", "https://x y"]);
    assert_eq!(image.status.code(), Some(2));
    assert!(stderr(&image).contains("without a scheme"), "{}", stderr(&image));
    for (flag, value, remedy) in cases {
        let output = operator(&["run", "--registry-image", "x", flag, value]);
        assert_eq!(output.status.code(), Some(2), "{flag}");
        let text = stderr(&output);
        assert!(
            [flag, value, remedy].iter().all(|word| text.contains(word)),
            "{text}"
        );
    }
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
