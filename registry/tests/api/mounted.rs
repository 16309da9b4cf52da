//! File systems of their own for tests: small ones, and ones that cannot be trusted. They are mounted where only the
//! programs of the test see them, and are gone with it, however it ends.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::program::program;

/// A mount namespace, kept by a process that ends when its input does.
pub(crate) struct Mounted {
    keeper: Child,
    directory: tempfile::TempDir,
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

impl Mounted {
    /// Lets the shell mount something at `$1`; `$2` is a file that it may use for that.
    pub(crate) fn new(script: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let volume = directory.path().join("volume");
        std::fs::create_dir(&volume).unwrap();
        let mut command = Command::new("unshare");
        if !is_root() {
            command.arg("--map-root-user");
        }
        let script = format!("{script}\necho mounted\nexec cat");
        command.args(["--mount", "sh", "-ec", &script, "sh"]);
        command.args([volume, directory.path().join("image")]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut keeper = command.spawn().unwrap();
        let mut line = String::new();
        let said = keeper.stdout.take().unwrap();
        BufReader::new(said).read_line(&mut line).unwrap();
        let mounted = Self { keeper, directory };
        assert_eq!(line, "mounted\n", "cannot mount: {script}");
        mounted
    }

    /// Where the file system is for programs that run in it.
    pub(crate) fn volume(&self) -> PathBuf {
        self.directory.path().join("volume")
    }

    /// Where it is for this process.
    pub(crate) fn seen_from_outside(&self) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.keeper.id()));
        root.join(self.volume().strip_prefix("/").unwrap())
    }

    /// A command that runs where the file system is mounted.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--mount", "--target", &self.keeper.id().to_string()]);
        if !is_root() {
            command.args(["--user", "--preserve-credentials"]);
        }
        command.arg("--").args(arguments);
        command.stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// The registry, over the file system.
    pub(crate) fn registry(&self, arguments: &[&str]) -> Command {
        let executable = program(&[]).get_program().to_str().unwrap().to_owned();
        let mut command = self.command(&[&[executable.as_str()], arguments].concat());
        command.env_clear();
        command.env("REGISTRY_HTTP_ADDR", "127.0.0.1:0");
        command.env("REGISTRY_STORAGE_DELETE_ENABLED", "true");
        command.env("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", self.volume());
        command
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take()); // it ends, and with it what was mounted
        let _ = self.keeper.wait();
    }
}
