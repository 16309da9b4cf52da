//! The stock kubectl against a cluster with our definitions. IO: starts programs, and a cluster when none is there.
//!
//! Inside a throwaway cluster (`e2e/cluster/in`, as `make admission` does) and with `PORTOLAN_CLUSTER=current` kubectl
//! is used as it is found. Otherwise the cluster named by `PORTOLAN_CLUSTER_NAME` is used when it is up; else one with
//! only an API is started, and ends with this process however that ends.

use std::{
    env,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

/// For what becomes visible a moment after the definitions are there, such as `kubectl explain`.
const PATIENCE: Duration = Duration::from_mins(1);

/// The two ways to apply.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Mode {
    ClientSide,
    ServerSide,
}

impl Mode {
    pub(crate) fn options(self) -> &'static [&'static str] {
        match self {
            Self::ClientSide => &[],
            Self::ServerSide => &["--server-side", "--force-conflicts"],
        }
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::ClientSide => "client",
            Self::ServerSide => "server",
        }
    }
}

/// How kubectl is started, and the cluster that is ours alone.
pub(crate) struct Kubectl {
    command: Vec<PathBuf>,
    cluster_name: Option<String>,
    /// What was said besides success while the definitions were applied.
    pub(crate) said_about_definitions: String,
    /// Ends, and with it the cluster, when its standard input is closed.
    _cluster: Option<Child>,
}

/// What a command answered.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) success: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Said {
    pub(crate) fn expect_success(self) -> Self {
        assert!(self.success, "kubectl failed:\n{}{}", self.stdout, self.stderr);
        self
    }
}

/// The root of the clone.
pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// One for all tests of this process; the definitions are installed and served when it is returned.
pub(crate) fn kubectl() -> &'static Kubectl {
    static KUBECTL: OnceLock<Kubectl> = OnceLock::new();
    KUBECTL.get_or_init(|| {
        let mut kubectl = Kubectl::find();
        let definitions = repository().join("crds/yaml/registries.yaml");
        kubectl.said_about_definitions = kubectl
            .run(&["apply", "-f", definitions.to_str().unwrap()], "")
            .expect_success()
            .stderr;
        let established = [
            "wait",
            "--for=condition=Established",
            "crd/registries.portolan.dev",
            "--timeout=60s",
        ];
        kubectl.until_success(&established);
        kubectl.until_success(&["get", "registries", "--all-namespaces"]);
        kubectl.until_success(&["get", "namespace", "default"]);
        kubectl
    })
}

impl Kubectl {
    fn find() -> Self {
        let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
        if is_set("PORTOLAN_CLUSTER_STATE")
            || env::var("PORTOLAN_CLUSTER").is_ok_and(|which| which == "current")
        {
            return Self::new(vec!["kubectl".into()], None, None);
        }
        let name = env::var("PORTOLAN_CLUSTER_NAME").unwrap_or(format!("admit-{}", std::process::id()));
        let scripts = repository().join("e2e/cluster");
        let is_up = Command::new(scripts.join("status"))
            .env("PORTOLAN_CLUSTER_NAME", &name)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap()
            .success();
        let cluster = (!is_up).then(|| start_cluster(&scripts, &name));
        Self::new(vec![scripts.join("in"), "kubectl".into()], Some(name), cluster)
    }

    fn new(command: Vec<PathBuf>, cluster_name: Option<String>, cluster: Option<Child>) -> Self {
        Self {
            command,
            cluster_name,
            said_about_definitions: String::new(),
            _cluster: cluster,
        }
    }

    /// Runs kubectl to its end.
    pub(crate) fn run(&self, arguments: &[&str], input: &str) -> Said {
        let mut command = Command::new(&self.command[0]);
        command.args(&self.command[1..]).args(arguments);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(name) = &self.cluster_name {
            command.env("PORTOLAN_CLUSTER_NAME", name);
        }
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let output = std::thread::scope(|scope| {
            // A command that fails early does not read all of it; what it says tells then.
            scope.spawn(move || drop(stdin.write_all(input.as_bytes())));
            child.wait_with_output().unwrap()
        });
        Said {
            success: output.status.success(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Asks again until it works.
    pub(crate) fn until_success(&self, arguments: &[&str]) -> Said {
        let began = Instant::now();
        loop {
            let said = self.run(arguments, "");
            if said.success || began.elapsed() > PATIENCE {
                return said.expect_success();
            }
        }
    }
}

/// Returns when the cluster is up.
fn start_cluster(scripts: &Path, name: &str) -> Child {
    let mut child = Command::new(scripts.join("run"))
        .args(["--api", "sh", "-c", "echo up; cat > /dev/null"])
        .env("PORTOLAN_CLUSTER_NAME", name)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert_eq!(line, "up\n", "the cluster did not come up: its reason is above");
    child
}
