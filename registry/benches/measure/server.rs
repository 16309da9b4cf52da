//! A registry in a process of its own over a volume: ours, or registry:2. IO.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use super::process::PROGRAM;

/// Whose program it is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Whose<'a> {
    Ours,
    Theirs(&'a Path),
}

/// A running registry; killed when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    /// From its start to its first answer.
    pub(crate) took: Duration,
    log: PathBuf,
}

const PATIENCE: Duration = Duration::from_mins(2);
const RETRY: Duration = Duration::from_micros(200);

impl Server {
    /// Starts it and waits until it answers.
    pub(crate) fn start(whose: Whose<'_>, volume: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(volume)?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?; // free again at once
        let (config, log) = (volume.with_extension("yaml"), volume.with_extension("log"));
        let mut command = match whose {
            Whose::Ours => {
                std::fs::write(&config, ours(volume, address))?;
                let mut command = Command::new(PROGRAM);
                command.args(["serve", "--config"]);
                command
            }
            Whose::Theirs(program) => {
                std::fs::write(&config, theirs(volume, address))?;
                let mut command = Command::new(program);
                command.arg("serve");
                command
            }
        };
        command.env_clear().arg(&config).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(File::create(&log)?);
        let began = Instant::now();
        let child = command.spawn().context("cannot start the registry")?;
        let mut server = Self {
            child,
            address,
            took: Duration::ZERO,
            log,
        };
        while !answers(address) {
            if server.child.try_wait()?.is_some() || began.elapsed() > PATIENCE {
                let log = std::fs::read_to_string(&server.log)?;
                bail!("the registry does not start: {log}");
            }
            thread::sleep(RETRY);
        }
        server.took = began.elapsed();
        Ok(server)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it in order.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        let pid = i32::try_from(self.child.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw);
        let pid = pid.context("the registry has no process")?;
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn ours(volume: &Path, address: SocketAddr) -> String {
    format!(
        "http: {{address: '{address}'}}\nstorage: {{volume: {{path: {}}}}}\nlog: {{level: info}}\nscrub: {{interval: 0s}}\n",
        volume.display()
    )
}

/// The configuration of registry:2, also of its garbage collection.
pub(crate) fn theirs(volume: &Path, address: SocketAddr) -> String {
    format!(
        "version: 0.1\nlog: {{level: info}}\nstorage: {{filesystem: {{rootdirectory: {}}}, delete: {{enabled: true}}}}\nhttp: {{addr: '{address}'}}\n",
        volume.display()
    )
}

/// Whether `/v2/` is answered with 200. Whoever asks too early is refused at once.
fn answers(address: SocketAddr) -> bool {
    let mut answer = [0; 12];
    let asked = TcpStream::connect(address).and_then(|mut stream| {
        stream.write_all(b"GET /v2/ HTTP/1.1\r\nhost: registry\r\nconnection: close\r\n\r\n")?;
        stream.read_exact(&mut answer)
    });
    asked.is_ok() && answer == *b"HTTP/1.1 200"
}
