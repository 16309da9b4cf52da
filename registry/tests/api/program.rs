//! The program itself: its environment, its signals and its log. What it refuses is in `refusals`.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use http::Method;

use crate::client::Target;
use crate::fixture::{PASSWORD, usual_users, write_token_keys, write_users};

pub(crate) fn program(arguments: &[&str]) -> Command {
    prepared(env!("CARGO_BIN_EXE_portolan-registry"), arguments)
}

fn prepared(executable: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(executable);
    command
        .env_clear()
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// A server in a process of its own; killed when dropped.
pub(crate) struct Served {
    child: Child,
    log: BufReader<ChildStderr>,
    /// What it said before it served.
    pub(crate) said: String,
    pub(crate) target: Target,
    pub(crate) health: Option<Target>,
}

/// The address that a line of the log has under this name.
fn told(line: &str, name: &str) -> Option<Target> {
    let (_, rest) = line.split_once(name)?;
    let rest = rest.trim_start_matches(['=', '"', ':']);
    let host: String = rest.chars().take_while(|c| !"\" ,".contains(*c)).collect();
    Some(Target {
        address: host.parse().ok()?,
        host,
        tls: None,
    })
}

impl Served {
    /// Waits for the line that says where it listens.
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let (mut line, mut said) = (String::new(), String::new());
        while !line.contains("serving") {
            said.push_str(&line);
            line.clear();
            assert_ne!(log.read_line(&mut line).unwrap(), 0, "it ended: {said}");
        }
        let target = told(&line, "address").unwrap();
        let health = told(&line, "health");
        Self {
            child,
            log,
            said,
            target,
            health,
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it says from now on, line by line; it need not wait until somebody reads that.
    pub(crate) fn listen(&self) -> Receiver<String> {
        let log = File::from(self.log.get_ref().as_fd().try_clone_to_owned().unwrap());
        let (sender, receiver) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(log).lines() {
                drop(sender.send(line.unwrap())); // nobody may want to know
            }
        });
        receiver
    }

    /// Asks it to stop and returns its exit status and the rest of its log.
    pub(crate) fn stop(mut self, signal: &str) -> (Option<i32>, String) {
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

pub(crate) fn plain(directory: &Path) -> Command {
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
fn variables_that_are_no_settings_are_warned_of_without_their_values() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = plain(directory.path());
    command
        .env("REGISTRY_STORAGE_DELETE_ENABLE", "s3cret-value")
        .env("REGISTRY_HTTP_SECRET", "s3cret-value")
        .env("REGISTRY_PORT", "tcp://198.19.0.9:5000")
        .env("REGISTRY_PORT_5000_TCP", "tcp://198.19.0.9:5000")
        .env("REGISTRY_SERVICE_HOST", "198.19.0.9");
    let served = Served::start(&mut command);
    let warned: Vec<_> = served
        .said
        .lines()
        .filter(|line| line.contains("has no effect"))
        .collect();
    assert_eq!(warned.len(), 2, "{}", served.said);
    for (line, name) in warned
        .iter()
        .zip(["\"REGISTRY_HTTP_SECRET\"", "\"REGISTRY_STORAGE_DELETE_ENABLE\""])
    {
        for part in ["WARN", name, "REGISTRY_STORAGE_DELETE_ENABLED", "--config"] {
            assert!(line.contains(part), "no {part} in: {line}");
        }
    }
    assert!(!served.said.contains("s3cret-value"), "{}", served.said);
    assert!(!served.said.contains("198.19.0.9"), "{}", served.said);
}

/// The user of the image, if this process may become somebody else.
pub(crate) fn other_user() -> Option<u32> {
    rustix::process::geteuid().is_root().then_some(65532)
}

/// The program as that user, who need not be allowed to go where it is.
pub(crate) fn program_as(user: Option<u32>, executable: &File, arguments: &[&str]) -> Command {
    let mut command = prepared(&format!("/proc/self/fd/{}", executable.as_raw_fd()), arguments);
    if let Some(user) = user {
        command.uid(user).gid(user);
    }
    command.current_dir("/");
    command
}

pub(crate) fn executable() -> File {
    File::open(env!("CARGO_BIN_EXE_portolan-registry")).unwrap()
}

#[tokio::test]
async fn a_plain_directory_of_the_user_is_served_without_a_mount() {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let volume = directory.path().join("registry");
    fs::create_dir(&volume).unwrap();
    let user = other_user();
    chown(&volume, user, user).unwrap();
    let executable = executable();
    let mut command = program_as(user, &executable, &["serve"]);
    command.env("REGISTRY_HTTP_ADDR", "127.0.0.1:0");
    command.env("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", &volume);
    let digest = "sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";
    let served = Served::start(&mut command);
    assert!(!served.said.contains("storage.volume.path"), "{}", served.said);
    let path = format!("/v2/a/blobs/uploads/?digest={digest}");
    let push = served.target.asking(Method::POST, &path).body(b"x".to_vec());
    push.send().await.expect(201);
    assert_eq!(served.stop("-TERM").0, Some(0));

    let served = Served::start(&mut command);
    let answer = served.target.get(&format!("/v2/a/blobs/{digest}")).await;
    assert_eq!(answer.expect(200).text(), "x");
}

#[test]
fn help_has_examples() {
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

#[test]
fn a_reader_that_has_seen_enough_of_the_output_is_no_error() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let volume = tempfile::tempdir().unwrap();
    let config = volume.path().join("config.yaml");
    fs::write(
        &config,
        format!("storage: {{volume: {{path: {}}}}}", volume.path().display()),
    )
    .unwrap();
    let output = program(&["check-config", config.to_str().unwrap()])
        .stdout(writer)
        .output()
        .unwrap();
    assert_eq!(
        (output.status.code(), output.stderr.as_slice()),
        (Some(0), &b""[..])
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
    let warning = "passwords over plain HTTP";
    assert!(served.said.contains(warning), "{}", served.said);
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
