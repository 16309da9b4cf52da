//! The program itself: its command line, its environment, its exit statuses, its signals and its log.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Output, Stdio};

use http::Method;

use crate::client::Target;
use crate::fixture::{PASSWORD, usual_users, write_token_keys, write_users};

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portolan-registry"));
    command
        .env_clear()
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// A server in a process of its own; killed when dropped.
struct Served {
    child: Child,
    log: BufReader<ChildStderr>,
    target: Target,
}

impl Served {
    /// Waits for the line that says where it listens.
    fn start(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("serving") {
            line.clear();
            assert_ne!(log.read_line(&mut line).unwrap(), 0, "it ended");
        }
        let address = line
            .split("address")
            .nth(1)
            .unwrap()
            .trim_start_matches(['=', '"', ':']);
        let address: String = address.chars().take_while(|c| !"\" ,".contains(*c)).collect();
        let target = Target {
            address: address.parse().unwrap(),
            host: address,
            tls: None,
        };
        Self { child, log, target }
    }

    /// Asks it to stop and returns its exit status and the rest of its log.
    fn stop(mut self, signal: &str) -> (Option<i32>, String) {
        let kill = Command::new("kill")
            .args([signal, &self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(kill.success());
        let mut rest = String::new();
        std::io::Read::read_to_string(&mut self.log, &mut rest).unwrap();
        (self.child.wait().unwrap().code(), rest)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn refused(command: &mut Command) -> (i32, String) {
    let Output { status, stderr, .. } = command.output().unwrap();
    (status.code().unwrap(), String::from_utf8(stderr).unwrap())
}

fn plain(directory: &Path) -> Command {
    let mut command = program(&["serve"]);
    command.env("REGISTRY_HTTP_ADDR", "127.0.0.1:0");
    command.env("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", directory);
    command
}

#[tokio::test]
async fn the_variables_of_registry_2_are_enough_to_serve() {
    let directory = tempfile::tempdir().unwrap();
    let served = Served::start(&mut plain(directory.path()));
    served.target.get("/v2/").await.expect(200);
    served.target.post("/v2/a/blobs/uploads/").await.expect(202);
    served.target.delete("/v2/a/manifests/v1").await.expect(405);
    let (status, log) = served.stop("-TERM");
    assert_eq!(status, Some(0));
    assert!(log.contains("stopped"), "{log}");

    let served = Served::start(plain(directory.path()).env("REGISTRY_STORAGE_DELETE_ENABLED", "true"));
    served.target.delete("/v2/a/manifests/v1").await.expect(404);
    assert_eq!(served.stop("-INT").0, Some(0));
}

#[test]
fn variables_that_cannot_be_are_named_in_one_sentence() {
    for (name, value) in [
        ("REGISTRY_HTTP_ADDR", "nonsense"),
        ("REGISTRY_HTTP_ADDR", ":99999"),
        ("REGISTRY_STORAGE_DELETE_ENABLED", "perhaps"),
        ("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", ""),
    ] {
        let (status, sentence) = refused(program(&["serve"]).env(name, value));
        assert_eq!(status, 1);
        assert!(
            sentence.contains(name) && sentence.contains("write") && sentence.lines().count() == 1,
            "{sentence}"
        );
    }
}

#[test]
fn a_wrong_command_line_ends_with_status_2_and_help_with_0() {
    assert_eq!(refused(&mut program(&[])).0, 2);
    assert_eq!(refused(&mut program(&["sreve"])).0, 2);
    assert_eq!(refused(&mut program(&["serve", "--port", "1"])).0, 2);
    for arguments in [
        &["--help"][..],
        &["serve", "--help"],
        &["check-config", "--help"],
        &["hash-password", "--help"],
    ] {
        let output = program(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        assert!(
            String::from_utf8_lossy(&output.stdout).contains("Example"),
            "{arguments:?}"
        );
    }
}

#[test]
fn a_configuration_that_cannot_be_is_named_with_file_line_and_key() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("config.yaml");
    let file = path.to_str().unwrap();
    for (text, parts) in [
        (
            "http:\n  adress: :5000\n",
            &["line 2", "\"adress\"", "write one of"][..],
        ),
        ("http: [\n", &["line "]),
        ("http: {address: ':70000'}\n", &["line 1", "70000", "0 to 65535"]),
        ("http: {maxConnections: 0}\n", &["http.maxConnections", "write"]),
    ] {
        fs::write(&path, text).unwrap();
        for arguments in [["serve", "--config", file].as_slice(), &["check-config", file]] {
            let (status, sentence) = refused(&mut program(arguments));
            assert_eq!(status, 1);
            assert!(
                sentence.contains(file) && sentence.lines().count() == 1,
                "{sentence}"
            );
            assert!(parts.iter().all(|part| sentence.contains(part)), "{sentence}");
        }
    }
    let (status, sentence) = refused(&mut program(&["serve", "--config", "/nowhere/config.yaml"]));
    assert_eq!(status, 1);
    assert!(
        sentence.contains("/nowhere/config.yaml") && sentence.contains("No such file"),
        "{sentence}"
    );
}

#[test]
fn files_that_cannot_be_used_are_named_with_their_key() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("garbage"), "garbage").unwrap();
    fs::create_dir(path("keys")).unwrap();
    fs::write(path("keys/active"), "k1").unwrap();
    write_users(directory.path(), usual_users());
    for (text, key, named) in [
        (
            format!(
                "http: {{tls: {{certificateFile: {}, keyFile: x}}}}",
                path("missing")
            ),
            "http.tls",
            "missing",
        ),
        (
            format!(
                "http: {{tls: {{certificateFile: {0}, keyFile: {0}}}}}",
                path("garbage")
            ),
            "http.tls",
            "holds no PEM",
        ),
        (
            format!("auth: {{usersFile: {}}}", path("garbage")),
            "auth.usersFile",
            "line 1",
        ),
        (
            format!(
                "auth: {{usersFile: {}, token: {{keysDirectory: {}, service: s}}}}",
                path("users.yaml"),
                path("keys")
            ),
            "auth.token.keysDirectory",
            "no k1.pem",
        ),
    ] {
        fs::write(path("config.yaml"), text).unwrap();
        let (status, sentence) = refused(&mut program(&["serve", "--config", &path("config.yaml")]));
        assert_eq!(status, 1);
        assert!(
            sentence.contains(key) && sentence.contains(named) && sentence.lines().count() == 1,
            "{sentence}"
        );
        let (status, sentence) = refused(&mut program(&["check-config", "--files", &path("config.yaml")]));
        assert_eq!(status, 1);
        assert!(sentence.contains(named), "{sentence}");
        assert_eq!(
            refused(&mut program(&["check-config", &path("config.yaml")])).0,
            0
        );
    }
}

#[test]
fn a_port_that_is_taken_is_named_with_its_key() {
    let directory = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (status, sentence) = refused(plain(directory.path()).env("REGISTRY_HTTP_ADDR", &address));
    assert_eq!(status, 1);
    let parts = [
        "http.address",
        &address,
        "in use by another process",
        "REGISTRY_HTTP_ADDR",
    ];
    assert!(parts.iter().all(|part| sentence.contains(part)), "{sentence}");
}

#[test]
fn a_password_is_hashed_as_users_yaml_wants_it() {
    let run = |input: &str| {
        let mut child = program(&["hash-password"]).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    };
    let output = run(&format!("{PASSWORD}\n"));
    assert_eq!(output.status.code(), Some(0));
    let hash = String::from_utf8(output.stdout).unwrap();
    assert_eq!(hash.trim_end(), usual_users()[0].password_sha256[0]);
    let output = run("short\n");
    assert_eq!(output.status.code(), Some(1));
    let sentence = String::from_utf8(output.stderr).unwrap();
    assert!(
        sentence.contains("5 characters") && !sentence.contains("short\n"),
        "{sentence}"
    );
}

#[tokio::test]
async fn the_log_has_a_line_for_each_request_and_no_secret() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    fs::create_dir(path("volume")).unwrap();
    fs::create_dir(path("keys")).unwrap();
    write_users(directory.path(), usual_users());
    write_token_keys(Path::new(&path("keys")), "k1", &["k1"]);
    let text = format!(
        "http: {{address: '127.0.0.1:0'}}\nstorage: {{volume: {{path: {}}}}}\nauth:\n  usersFile: {}\n  token: {{keysDirectory: {}, service: svc}}\nlog: {{level: trace, format: json}}\n",
        path("volume"),
        path("users.yaml"),
        path("keys")
    );
    fs::write(path("config.yaml"), text).unwrap();
    let served = Served::start(&mut program(&["serve", "--config", &path("config.yaml")]));
    let ask = |path: &str| {
        served
            .target
            .asking(Method::GET, path)
            .basic("reader", PASSWORD)
            .send_owned()
    };
    ask("/v2/team/a/tags/list").await.expect(404);
    let token = ask("/token?service=svc&scope=repository:team/a:pull")
        .await
        .expect(200);
    let token = token.json()["token"].as_str().unwrap().to_owned();
    served
        .target
        .asking(Method::GET, "/v2/")
        .bearer(&token)
        .send()
        .await
        .expect(200);
    served
        .target
        .asking(Method::GET, "/v2/")
        .basic("reader", "wrong-but-secret")
        .send()
        .await
        .expect(401);
    let (status, log) = served.stop("-TERM");
    assert_eq!(status, Some(0));
    let line = log.lines().find(|line| line.contains("list-tags")).unwrap();
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    for (key, value) in [
        ("operation", serde_json::json!("list-tags")),
        ("method", "GET".into()),
        ("path", "/v2/team/a/tags/list".into()),
        ("status", 404.into()),
        ("identity", "reader".into()),
        ("complete", true.into()),
    ] {
        assert_eq!(line[key], value, "{line}");
    }
    assert!(
        line["duration_ms"].is_number() && line["sent_bytes"].as_u64().unwrap() > 0,
        "{line}"
    );
    let signature = token.rsplit('.').next().unwrap();
    let encoded = base64::Engine::encode(
        &base64::engine::general_purpose::STANDARD,
        format!("reader:{PASSWORD}"),
    );
    for secret in [
        PASSWORD,
        "wrong-but-secret",
        signature,
        &encoded,
        &usual_users()[0].password_sha256[0],
    ] {
        assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
    }
}
