//! Administration: the local socket, the listener with client certificates, and the commands that use them.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use portolan_config::{Admin, AdminTls};
use serde_json::Value;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::fixture::{Authority, Registry, eventually, open, replace, started};
use crate::program::{Served, plain};

/// Runs the program beside the server under test.
async fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portolan-registry"));
    command.env_clear().args(arguments).stdin(Stdio::null());
    tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap()
}

fn socket(registry: &Registry) -> PathBuf {
    registry.directory.path().join("volume/portolan/v1/admin.sock")
}

/// Asks over the socket and expects success.
async fn asked(registry: &Registry, arguments: &[&str]) -> String {
    let path = socket(registry);
    let arguments: Vec<&str> = arguments
        .iter()
        .copied()
        .chain(["--socket", path.to_str().unwrap()])
        .collect();
    let output = run(&arguments).await;
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

async fn refused(arguments: &[&str]) -> (i32, String) {
    let output = run(arguments).await;
    assert!(output.stdout.is_empty(), "{output:?}");
    (
        output.status.code().unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

#[tokio::test]
async fn the_socket_is_open_to_the_registrys_user_alone_and_tells_the_status() {
    let registry = open().await;
    let mode = std::fs::metadata(socket(&registry)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let status: Value =
        serde_json::from_str(&asked(&registry, &["admin", "status", "--output", "json"]).await).unwrap();
    assert_eq!(status["readOnly"], false, "{status}");
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"), "{status}");
    assert!(
        status["volume"]["availableBytes"].as_u64().unwrap() > 0,
        "{status}"
    );
    let table = asked(&registry, &["admin", "status"]).await;
    assert!(table.contains("writes") && table.contains("accepted"), "{table}");
}

#[tokio::test]
async fn a_stopped_registry_leaves_no_socket_and_the_command_says_that_none_runs() {
    let mut registry = open().await;
    let path = socket(&registry);
    registry.running.take().unwrap().stop().await;
    assert!(!path.exists());
    let (status, sentence) = refused(&["gc", "--socket", path.to_str().unwrap()]).await;
    assert_eq!(status, 1);
    assert!(
        sentence.contains("no registry answers") && sentence.contains(path.to_str().unwrap()),
        "{sentence}"
    );
    assert!(
        sentence.ends_with("and is asked with --server\n"),
        "the remedy comes last: {sentence}"
    );
}

#[tokio::test]
async fn a_server_that_is_no_administration_is_told_with_the_flags_that_named_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("other.sock");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    // as the public listener answers
    let answer = "HTTP/1.1 404 Not Found\r\ncontent-length: 13\r\n\r\n{\"errors\":[]}";
    let other = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        while stream.read(&mut [0; 1024]).await.unwrap() > 0 {
            drop(stream.write_all(answer.as_bytes()).await); // it may have gone
        }
    });
    let (status, sentence) = refused(&["admin", "holds", "--socket", path.to_str().unwrap()]).await;
    assert_eq!(status, 1, "{sentence}");
    for part in [
        "status 404 Not Found",
        "no administration",
        "--server or --socket",
    ] {
        assert!(sentence.contains(part), "no {part:?} in: {sentence}");
    }
    other.await.unwrap();
}

#[tokio::test]
async fn flags_that_do_not_go_together_end_with_status_2() {
    for arguments in [
        &["gc", "--socket", "x", "--server", "https://a:1"][..],
        &["gc", "--server", "https://a:1"],
        &["gc", "--grace", "tomorrow"],
        &["admin"],
        &["admin", "hold"],
        &["admin", "hold", ""],
        &["admin", "release", ""],
    ] {
        assert_eq!(refused(arguments).await.0, 2, "{arguments:?}");
    }
}

#[tokio::test]
async fn a_server_that_is_no_address_is_a_usage_error() {
    for url in ["http://a:1", "https://a", "https://a:x", "https://:1", "a:1", ""] {
        let files = ["--ca-file", "x", "--certificate-file", "x", "--key-file", "x"];
        let arguments: Vec<&str> = ["admin", "status", "--server", url]
            .into_iter()
            .chain(files)
            .collect();
        let (status, sentence) = refused(&arguments).await;
        assert_eq!(status, 2, "{url}: {sentence}");
        for part in [
            "--server <URL>",
            &format!("\"{url}\" is no address"),
            "write https://host:port",
        ] {
            assert!(sentence.contains(part), "no {part:?} in: {sentence}");
        }
    }
}

#[tokio::test]
async fn every_help_page_has_an_example() {
    for arguments in [
        &["gc", "--help"][..],
        &["fsck", "--help"],
        &["admin", "--help"],
        &["admin", "status", "--help"],
        &["admin", "hold", "--help"],
        &["admin", "release", "--help"],
        &["admin", "holds", "--help"],
    ] {
        let output = run(arguments).await;
        assert_eq!(output.status.code(), Some(0));
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("Example"), "{arguments:?}");
    }
}

#[tokio::test]
async fn holds_are_set_listed_and_released() {
    let registry = open().await;
    asked(&registry, &["admin", "hold", "backup"]).await;
    asked(&registry, &["admin", "hold", "backup"]).await; // once more is no mistake
    assert_eq!(asked(&registry, &["admin", "holds"]).await, "backup\n");
    let status: Value =
        serde_json::from_str(&asked(&registry, &["admin", "status", "--output", "json"]).await).unwrap();
    assert_eq!(status["holds"], serde_json::json!(["backup"]));
    asked(&registry, &["admin", "release", "backup"]).await;
    assert_eq!(asked(&registry, &["admin", "holds"]).await, "There is no hold.\n");
    let path = socket(&registry);
    let path = path.to_str().unwrap();
    let (status, sentence) = refused(&["admin", "release", "backup", "--socket", path]).await;
    assert_eq!(status, 1);
    assert!(sentence.contains("no hold \"backup\""), "{sentence}");
    for verb in ["hold", "release"] {
        let (status, sentence) = refused(&["admin", verb, "../x", "--socket", path]).await;
        assert_eq!(status, 2, "{sentence}");
        assert!(sentence.contains("\"../x\" is no name of a hold"), "{sentence}");
    }
}

#[tokio::test]
async fn the_listener_answers_to_holders_of_a_client_certificate_only() {
    let (authority, strangers) = (Authority::new(), Authority::new());
    let registry = started(|config, files| {
        let tls = authority.write(files, &["127.0.0.1"]);
        replace(&files.join("ca.crt"), authority.pem().as_bytes());
        for (name, authority) in [("client", &authority), ("stranger", &strangers)] {
            let (certificate, key) = authority.issue(&["client"]);
            replace(&files.join(format!("{name}.crt")), certificate.as_bytes());
            replace(&files.join(format!("{name}.key")), key.as_bytes());
        }
        config.admin = Some(Admin {
            address: "127.0.0.1:0".parse().unwrap(),
            tls: AdminTls {
                certificate_file: tls.certificate_file,
                key_file: tls.key_file,
                client_ca_file: files.join("ca.crt"),
            },
        });
    })
    .await;
    let address = registry.running.as_ref().unwrap().admin_address.unwrap();
    let url = format!("https://{address}");
    let file = |name: &str| registry.files().join(name).to_str().unwrap().to_owned();
    let connection = |name: &str| {
        [
            "--server".to_owned(),
            url.clone(),
            "--ca-file".to_owned(),
            file("ca.crt"),
            "--certificate-file".to_owned(),
            file(&format!("{name}.crt")),
            "--key-file".to_owned(),
            file(&format!("{name}.key")),
        ]
    };
    let known = connection("client");
    let mut arguments = vec!["admin", "holds"];
    arguments.extend(known.iter().map(String::as_str));
    let output = run(&arguments).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let stranger = connection("stranger");
    let mut arguments = vec!["admin", "holds"];
    arguments.extend(stranger.iter().map(String::as_str));
    let (status, sentence) = refused(&arguments).await;
    assert_eq!(status, 1, "{sentence}");
    for part in [
        &address.to_string(),
        "--certificate-file",
        "admin.tls.clientCaFile",
    ] {
        assert!(sentence.contains(part), "no {part:?} in: {sentence}");
    }
}

#[tokio::test]
async fn a_collection_reports_in_both_forms_and_is_the_last_one_of_the_status() {
    let registry = open().await;
    registry.push_image("a", "v1", "one").await;
    let report: Value = serde_json::from_str(&asked(&registry, &["gc", "--output", "json"]).await).unwrap();
    assert_eq!(report["examined"]["repositories"], 1, "{report}");
    assert_eq!(report["dryRun"], false, "{report}");
    let table = asked(&registry, &["gc", "--dry-run"]).await;
    assert!(
        table.starts_with("Examined 1 repository, 1 manifest, 2 links"),
        "{table}"
    );
    assert!(table.contains("this was a dry run"), "{table}");
    let status: Value =
        serde_json::from_str(&asked(&registry, &["admin", "status", "--output", "json"]).await).unwrap();
    assert_eq!(status["collection"]["last"]["dryRun"], true, "{status}");
    assert_eq!(status["collection"]["running"], Value::Null, "{status}");
    let metrics = registry.metrics().await;
    for outcome in ["done", "dry-run"] {
        let line = format!("portolan_registry_collections_total{{outcome=\"{outcome}\"}} 1");
        assert!(metrics.contains(&line), "{metrics}");
    }
}

#[tokio::test]
async fn gc_with_a_grace_that_is_too_short_is_a_usage_error() {
    let directory = tempfile::tempdir().unwrap();
    let served = Served::start(&mut plain(directory.path()));
    let path = directory.path().join("portolan/v1/admin.sock");
    let (status, sentence) = refused(&["gc", "--grace", "30s", "--socket", path.to_str().unwrap()]).await;
    assert_eq!(status, 2, "{sentence}");
    assert!(
        sentence.contains("a grace of 30s is too short") && sentence.contains("say 1h or more"),
        "{sentence}"
    );
    let (_, log) = served.stop("-TERM");
    assert!(
        !log.contains("WARN"),
        "the caller's mistake is no news of the server: {log}"
    );
}

#[tokio::test]
async fn a_client_that_goes_away_does_not_stop_the_collection() {
    let registry = open().await;
    registry.push_image("a", "v1", "one").await;
    let mut stream = tokio::net::UnixStream::connect(socket(&registry)).await.unwrap();
    let request =
        "POST /v1/gc HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
    stream.write_all(request.as_bytes()).await.unwrap();
    // the run has begun when the head of the answer is here
    stream.read_u8().await.unwrap();
    drop(stream);
    eventually("the collection has ended", async || {
        let status = asked(&registry, &["admin", "status", "--output", "json"]).await;
        let status: Value = serde_json::from_str(&status).unwrap();
        !status["collection"]["last"].is_null()
    })
    .await;
}

#[tokio::test]
async fn a_request_that_is_not_understood_is_refused_with_a_sentence() {
    let registry = open().await;
    let mut stream = tokio::net::UnixStream::connect(socket(&registry)).await.unwrap();
    let body = r#"{"graze": "1h"}"#;
    let request = format!(
        "POST /v1/gc HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 400") && answer.contains("graze"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_volume_is_checked_beside_its_registry_and_repaired_only_without() {
    let mut registry = open().await;
    let manifest = registry.push_image("a", "v1", "one").await;
    let volume = registry.directory.path().join("volume");
    let directory = volume.to_str().unwrap();
    let check = ["fsck", "--directory", directory];
    let output = run(&check).await;
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(
        text.contains("not locked") && text.ends_with("Nothing is wrong.\n"),
        "{text}"
    );
    let (status, sentence) = refused(&["fsck", "--repair", "--directory", directory]).await;
    assert_eq!(status, 1);
    for part in [
        &format!("directory \"{directory}\" is in use by process"),
        "stop the registry that serves it",
        "without --repair",
    ] {
        assert!(sentence.contains(part), "no {part:?} in: {sentence}");
    }
    for part in ["0ns", "directory of its own"] {
        assert!(!sentence.contains(part), "{part:?} in: {sentence}");
    }

    registry.running.take().unwrap().stop().await;
    let hex = manifest.digest.hex();
    let link = volume.join(format!(
        "docker/registry/v2/repositories/a/_manifests/revisions/sha256/{hex}/link"
    ));
    std::fs::remove_file(link).unwrap();
    let output = run(&check).await;
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(
        text.contains("a: v1: it names manifest") && text.ends_with("1 thing is wrong.\n"),
        "{text}"
    );
    let output = run(&["fsck", "--repair", "--output", "json", "--directory", directory]).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["changes"].as_array().unwrap().len(), 1, "{report}");
    assert_eq!(run(&check).await.status.code(), Some(0));
}

#[tokio::test]
async fn commands_go_to_the_directory_that_serve_would_take() {
    const DIRECTORY: &str = "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY";
    let registry = open().await;
    registry.push_image("a", "v1", "one").await;
    let file = registry.files().join("elsewhere.yaml");
    std::fs::write(&file, "storage: {volume: {path: /nowhere}}").unwrap();
    let file = file.to_str().unwrap();
    let volume = registry.directory.path().join("volume");
    for arguments in [
        &["gc", "--dry-run", "--config", file][..],
        &["admin", "status", "--config", file],
        &["admin", "holds"],
        &["fsck", "--config", file],
        &["fsck"],
    ] {
        let asked = |directory: PathBuf| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_portolan-registry"));
            command.env_clear().args(arguments).stdin(Stdio::null());
            command.env(DIRECTORY, directory);
            tokio::task::spawn_blocking(move || command.output().unwrap())
        };
        let output = asked(volume.clone()).await.unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {output:?}");
        let output = asked(PathBuf::new()).await.unwrap();
        let sentence = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {sentence}");
        assert!(
            sentence.contains(&format!("{DIRECTORY} is empty; write a directory")),
            "{arguments:?}: {sentence}"
        );
    }
}
