//! The files that a configuration names: keys and paths in, checked values out. IO (reads only).

use std::io;
use std::path::{Path, PathBuf};

use portolan_config::{AdminTls, Config, FileError, ServerTls};
use rustls::ClientConfig;

use crate::auth::token::{KeysError, TokenKeys};
use crate::auth::users::UsersInForce;
use crate::tls::{self, Part, Tls, TlsError};

/// A file that cannot be used: which key names it, where it is, and what to do.
#[derive(Debug, thiserror::Error)]
#[error("{} \"{path}\"", prefix(.key))]
pub struct FileProblem {
    /// The key of the configuration, or the flag; empty for the configuration itself.
    pub key: &'static str,
    /// The file, or the directory if it is a problem of what is in it as a whole.
    pub path: PathBuf,
    /// What is wrong.
    pub source: Problem,
}

fn prefix(key: &str) -> String {
    if key.is_empty() {
        "file".to_owned()
    } else {
        format!("{key}:")
    }
}

/// What can be wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// It cannot be read at all.
    #[error("{}", unreadable(.0))]
    Unreadable(io::Error),
    /// A pipe, whose reader would wait for ever, or a device.
    #[error("it is no regular file; write the path of one")]
    NotRegular,
    /// It is binary, or text in another encoding.
    #[error("this is no UTF-8 text; write it as such")]
    NotText,
    /// Its text is not what it should be.
    #[error(transparent)]
    Text(FileError),
    /// It holds no PEM at all.
    #[error("it holds no PEM; write text that has -----BEGIN and -----END lines")]
    NoPem,
    /// A certificate, key or authority cannot be served.
    #[error(transparent)]
    Tls(TlsError),
    /// The keys of the token service cannot be used.
    #[error(transparent)]
    Keys(KeysError),
}

fn unreadable(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => {
            "it does not exist; create it, or write the path of one that does".to_owned()
        }
        io::ErrorKind::PermissionDenied => {
            let user = rustix::process::geteuid().as_raw();
            format!("user {user} may not read it; allow that with chmod or chown, or start as its owner")
        }
        io::ErrorKind::IsADirectory => {
            "it is a directory; put a file in its place, or write the path of one".to_owned()
        }
        io::ErrorKind::NotADirectory => {
            "a file stands where a directory should be; correct the path".to_owned()
        }
        _ => format!("it cannot be read ({error}); check its disk, or write the path of another"),
    }
}

/// Reads `config.yaml`.
pub fn read_config(path: &Path) -> Result<Config, FileProblem> {
    let text = read_text("", path)?;
    Config::parse(&text).map_err(|error| problem("", path, Problem::Text(error)))
}

/// Reads `users.yaml`.
pub fn read_users(key: &'static str, path: &Path) -> Result<UsersInForce, FileProblem> {
    let text = read_text(key, path)?;
    UsersInForce::from_bytes(text.as_bytes()).map_err(|error| problem(key, path, Problem::Text(error)))
}

/// Reads the directory of token keys: `active`, and every `<id>.pem`.
pub fn read_token_keys(key: &'static str, directory: &Path) -> Result<TokenKeys, FileProblem> {
    let unreadable = |source| problem(key, directory, Problem::Unreadable(source));
    let mut pairs = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "pem")
            && let Some(id) = path.file_stem().and_then(|stem| stem.to_str())
        {
            pairs.push((id.to_owned(), read(key, &path)?));
        }
    }
    let unusable = |error| problem(key, directory, Problem::Keys(error));
    if pairs.is_empty() {
        return Err(unusable(KeysError::Empty));
    }
    let active = read_text(key, &directory.join("active"))?;
    TokenKeys::new(&active, pairs).map_err(unusable)
}

/// Reads the certificate of the public listener with its key.
pub fn read_server_tls(tls: &ServerTls) -> Result<Tls, FileProblem> {
    let (certificate, key) = (&tls.certificate_file, &tls.key_file);
    let certificate_pem = read_pem("http.tls.certificateFile", certificate)?;
    let key_pem = read_pem("http.tls.keyFile", key)?;
    Tls::from_pem(&certificate_pem, &key_pem, None).map_err(|error| server_tls_problem(tls, error))
}

/// A problem of what is in the files of the public listener.
pub fn server_tls_problem(tls: &ServerTls, error: TlsError) -> FileProblem {
    let (key, path) = match error.part() {
        Part::Key => ("http.tls.keyFile", &tls.key_file),
        Part::Certificate | Part::ClientCa | Part::ServerCa => {
            ("http.tls.certificateFile", &tls.certificate_file)
        }
    };
    problem(key, path, Problem::Tls(error))
}

/// Reads certificate, key and client authorities of the administration listener.
pub fn read_admin_tls(tls: &AdminTls) -> Result<Tls, FileProblem> {
    let certificate = read_pem("admin.tls.certificateFile", &tls.certificate_file)?;
    let key = read_pem("admin.tls.keyFile", &tls.key_file)?;
    let client_ca = read_pem("admin.tls.clientCaFile", &tls.client_ca_file)?;
    Tls::from_pem(&certificate, &key, Some(&client_ca)).map_err(|error| {
        let (key, path) = match error.part() {
            Part::Certificate | Part::ServerCa => ("admin.tls.certificateFile", &tls.certificate_file),
            Part::Key => ("admin.tls.keyFile", &tls.key_file),
            Part::ClientCa => ("admin.tls.clientCaFile", &tls.client_ca_file),
        };
        problem(key, path, Problem::Tls(error))
    })
}

/// Reads what a command shows to an administration listener, and trusts; the flags are the keys.
pub fn read_client_tls(ca: &Path, certificate: &Path, key: &Path) -> Result<ClientConfig, FileProblem> {
    const CA: &str = "--ca-file";
    const CERTIFICATE: &str = "--certificate-file";
    const KEY: &str = "--key-file";
    let ca_pem = read_pem(CA, ca)?;
    let certificate_pem = read_pem(CERTIFICATE, certificate)?;
    let key_pem = read_pem(KEY, key)?;
    tls::client_config(&certificate_pem, &key_pem, &ca_pem).map_err(|error| {
        let (flag, path) = match error.part() {
            Part::Certificate | Part::ClientCa => (CERTIFICATE, certificate),
            Part::Key => (KEY, key),
            Part::ServerCa => (CA, ca),
        };
        problem(flag, path, Problem::Tls(error))
    })
}

fn read_pem(key: &'static str, path: &Path) -> Result<Vec<u8>, FileProblem> {
    let bytes = read(key, path)?;
    let has_pem = bytes.windows(11).any(|window| window == b"-----BEGIN ");
    if has_pem {
        Ok(bytes)
    } else {
        Err(problem(key, path, Problem::NoPem))
    }
}

fn read_text(key: &'static str, path: &Path) -> Result<String, FileProblem> {
    String::from_utf8(read(key, path)?).map_err(|_| problem(key, path, Problem::NotText))
}

fn read(key: &'static str, path: &Path) -> Result<Vec<u8>, FileProblem> {
    let unreadable = |source| problem(key, path, Problem::Unreadable(source));
    let kind = std::fs::metadata(path).map_err(unreadable)?.file_type();
    if !kind.is_file() && !kind.is_dir() {
        return Err(problem(key, path, Problem::NotRegular));
    }
    std::fs::read(path).map_err(unreadable)
}

fn problem(key: &'static str, path: &Path, source: Problem) -> FileProblem {
    FileProblem {
        key,
        path: path.to_owned(),
        source,
    }
}
