//! The operator as a process: flags come in, a running program goes out, which ends with its handle or, at the latest,
//! with the test binary.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::scene;
use crate::wait::until;

/// Only an image reference: nothing pulls it here.
pub(crate) const IMAGE: &str = "localhost/portolan-registry:0.1.0";

/// A running operator.
pub(crate) struct Operator {
    child: Child,
    address: SocketAddr,
}

/// Starts the operator that all tests share, cluster-wide, once; the CRDs come first.
pub(crate) fn shared() {
    static STARTED: OnceLock<()> = OnceLock::new();
    STARTED.get_or_init(|| {
        // The program is told to die with the thread that started it: that must be one that lives as long as the tests.
        let (done, started) = mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            let _operator = runtime.block_on(async {
                scene::install_crds().await;
                let operator = Operator::start("shared", &["--leader-election=false"]);
                operator.ready().await;
                operator
            });
            done.send(()).unwrap();
            loop {
                std::thread::park();
            }
        });
        started
            .recv()
            .expect("the shared operator did not start; its reason is above");
    });
}

impl Operator {
    /// `name` names its log file.
    pub(crate) fn start(name: &str, flags: &[&str]) -> Self {
        Self::start_as(name, flags, None)
    }

    /// As the user of this kubeconfig, if one is given.
    pub(crate) fn start_as(name: &str, flags: &[&str], kubeconfig: Option<&Path>) -> Self {
        let address = free_address();
        let log = format!(
            "{}/operator-{name}-{}.log",
            env!("CARGO_TARGET_TMPDIR"),
            std::process::id()
        );
        let log = File::create(log).unwrap();
        let user = kubeconfig.map(|file| ("KUBECONFIG", file));
        let child = Command::new("setpriv")
            .envs(user)
            .args([
                "--pdeathsig",
                "KILL",
                env!("CARGO_BIN_EXE_portolan-operator"),
                "run",
            ])
            .args([
                "--registry-image",
                IMAGE,
                "--http-address",
                &address.to_string(),
                "--log-format",
                "text",
            ])
            .args(["--pod-name", name])
            .args(flags)
            .process_group(0)
            .stdin(Stdio::null())
            .stderr(log.try_clone().unwrap())
            .stdout(log)
            .spawn()
            .expect("setpriv (package util-linux) must be there");
        Self { child, address }
    }

    /// Waits until all its watches have their first list.
    pub(crate) async fn ready(&self) {
        until("the operator is ready", async || {
            let answer = self.get("/readyz").await?;
            answer.starts_with("HTTP/1.1 200").then_some(())
        })
        .await;
    }

    /// The value of a metric whose line starts with `series`; nothing when there is no such line.
    pub(crate) async fn metric(&self, series: &str) -> Option<f64> {
        let text = self.get("/metrics").await?;
        let line = text.lines().find(|line| line.starts_with(series))?;
        line.rsplit(' ').next()?.parse().ok()
    }

    /// Asks it to stop, as Kubernetes does.
    pub(crate) fn terminate(&self) {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &pid])
                .status()
                .unwrap()
                .success()
        );
    }

    /// How it ended, at most `limit` from now.
    pub(crate) async fn exit_within(&mut self, limit: Duration) -> ExitStatus {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(
                Instant::now() < deadline,
                "the operator still runs after {limit:?}"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn get(&self, path: &str) -> Option<String> {
        let mut connection = TcpStream::connect(self.address).await.ok()?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: operator\r\nconnection: close\r\n\r\n");
        connection.write_all(request.as_bytes()).await.ok()?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.ok()?;
        Some(answer)
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_address() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .unwrap()
        .local_addr()
        .unwrap()
}
