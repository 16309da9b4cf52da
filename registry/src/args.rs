//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::commands::admin::AdminArgs;
use crate::commands::fsck::FsckArgs;
use crate::commands::gc::GcArgs;

/// A container registry: serves images from a directory.
#[derive(Debug, Parser)]
#[command(name = "portolan-registry", version, about, after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  Serve /var/lib/registry on port 5000, open to everybody, as registry:2 does:
    portolan-registry serve

  Serve another directory on another port:
    REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY=/srv/images REGISTRY_HTTP_ADDR=:8080 portolan-registry serve

  With users, TLS and the rest, from a file:
    portolan-registry check-config config.yaml && portolan-registry serve --config config.yaml";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve a registry until stopped.
    #[command(after_help = SERVE_HELP)]
    Serve {
        /// The configuration file; without one, plain HTTP on port 5000 over /var/lib/registry.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Say whether a configuration file can be used, without starting anything.
    #[command(after_help = CHECK_HELP)]
    CheckConfig {
        /// The configuration file.
        #[arg(value_name = "FILE")]
        config: PathBuf,
        /// Also read the files that it names: certificates, keys, users.
        #[arg(long)]
        files: bool,
    },
    /// Read a password from standard input and print what goes into users.yaml for it.
    #[command(after_help = HASH_HELP)]
    HashPassword,
    /// Remove content that nothing needs any more from the volume of a running registry, while it serves.
    #[command(after_help = GC_HELP)]
    Gc(GcArgs),
    /// Check that everything that was pushed is still there and whole, and repair what can be repaired.
    #[command(after_help = FSCK_HELP)]
    Fsck(FsckArgs),
    /// Ask a running registry how it is, or hold its garbage collection.
    #[command(after_help = ADMIN_HELP)]
    Admin(AdminArgs),
}

const GC_HELP: &str = "\
Pushes and pulls go on meanwhile. Without a flag that says where, the registry is the one on this machine over
REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY, else /var/lib/registry; run it as the same user.
Exit status: 0 done, 1 not done (the sentence says why), 2 for a wrong command line.

Examples:
  portolan-registry gc --dry-run
  portolan-registry gc --untagged-after 168h --output json
  portolan-registry gc --server https://registry.example.com:5001 --ca-file ca.crt \\
    --certificate-file client.crt --key-file client.key";

const FSCK_HELP: &str = "\
Reads the volume itself, with or without a registry running on it; run it as a user that may read everything there.
Exit status: 0 nothing is wrong, 1 something is, or cannot be checked, 2 for a wrong command line.

Examples:
  portolan-registry fsck --directory /var/lib/registry
  portolan-registry fsck --deep --repair --config config.yaml";

const ADMIN_HELP: &str = "\
Examples:
  portolan-registry admin status
  portolan-registry admin hold backup
  portolan-registry admin release backup

Between the last two, copy in the order that docs/backup.md gives: a copy in another order may lack what its tags name.";

const SERVE_HELP: &str = "\
Environment (stronger than the file):
  REGISTRY_HTTP_ADDR                         address to listen on, such as :5000 or 127.0.0.1:5000
  REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY  directory of the images
  REGISTRY_STORAGE_DELETE_ENABLED            true or false: may images be deleted?

SIGTERM and SIGINT stop it: no new connections, requests in flight are finished up to shutdown.drainTimeout.
Exit status: 0 after a stop, 1 when it cannot start, 2 for a wrong command line.

Example:
  REGISTRY_HTTP_ADDR=127.0.0.1:5000 portolan-registry serve";

const CHECK_HELP: &str = "\
Prints one sentence with line and key for what is wrong, and ends with status 1.

Example:
  portolan-registry check-config --files config.yaml";

const HASH_HELP: &str = "\
Only for generated passwords: a fast hash protects no password that somebody can guess, so that short ones are refused.

Example:
  head -c 24 /dev/urandom | base64 | tee password | portolan-registry hash-password";
