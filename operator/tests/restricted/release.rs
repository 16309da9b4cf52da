//! What the chart grants for a list of namespaces: a namespace to watch comes in; `ServiceAccount`, Roles and a kubeconfig
//! with a token of that account come out, and what the API server answered to it. IO.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::scene::Scene;

/// The operator's own namespace.
pub(crate) struct Release {
    pub(crate) namespace: String,
    pub(crate) kubeconfig: PathBuf,
}

/// A request that the API server answered.
pub(crate) struct Request {
    /// Verb and resource.
    pub(crate) what: String,
    pub(crate) is_forbidden: bool,
}

impl Release {
    pub(crate) async fn install(scene: &Scene) -> Self {
        let namespace = format!("{}-operator", scene.namespace);
        scene.create_namespace(&namespace).await;
        let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/portolan");
        let watched = format!("watchNamespaces={{{}}}", scene.namespace);
        let rendered = run(Command::new("helm")
            .args(["template", "portolan"])
            .arg(chart)
            .args(["--namespace", &namespace, "--set", &watched])
            .args(["--show-only", "templates/serviceaccount.yaml"])
            .args(["--show-only", "templates/role.yaml"]));
        applied(&rendered);
        let token = run(Command::new("kubectl").args([
            "create",
            "token",
            "portolan-operator",
            "--namespace",
            &namespace,
        ]));
        let view = run(Command::new("kubectl").args(["config", "view", "--raw", "--minify", "-o", "json"]));
        let mut config: Value = serde_json::from_str(&view).unwrap();
        config["users"][0]["user"] = json!({"token": token.trim()});
        let kubeconfig = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{namespace}.kubeconfig.json"));
        fs::write(&kubeconfig, config.to_string()).unwrap();
        Self {
            namespace,
            kubeconfig,
        }
    }

    /// All that its account asked for until now.
    pub(crate) fn requests(&self) -> Vec<Request> {
        let state = std::env::var_os("PORTOLAN_CLUSTER_STATE").unwrap();
        let log = fs::read_to_string(Path::new(&state).join("log/audit.log")).unwrap();
        let user = format!("system:serviceaccount:{}:portolan-operator", self.namespace);
        // The last line may be half-written.
        let entries = log
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        entries
            .filter(|entry| entry["user"]["username"] == user.as_str())
            .map(|entry| {
                let word = |pointer| entry.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
                Request {
                    what: format!("{} {}", word("/verb"), word("/objectRef/resource")),
                    is_forbidden: entry["annotations"]["authorization.k8s.io/decision"] == "forbid",
                }
            })
            .collect()
    }
}

impl Drop for Release {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.kubeconfig);
    }
}

fn run(command: &mut Command) -> String {
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .expect("helm and kubectl must be on PATH");
    assert!(output.status.success(), "{command:?}: {}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

fn applied(objects: &str) {
    let mut kubectl = Command::new("kubectl")
        .args(["apply", "-f", "-"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = kubectl.stdin.take().unwrap();
    input.write_all(objects.as_bytes()).unwrap();
    drop(input);
    assert!(
        kubectl.wait().unwrap().success(),
        "kubectl apply refuses:\n{objects}"
    );
}
