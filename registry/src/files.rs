//! The files that a configuration names: paths in, checked values out. IO (reads only).

use std::io;
use std::path::{Path, PathBuf};

use portolan_config::{Config, FileError};

use crate::auth::token::{KeysError, TokenKeys};
use crate::auth::users::UsersInForce;
use crate::tls::{Tls, TlsError};

/// Why a file cannot be used, with its name.
#[derive(Debug, thiserror::Error)]
pub enum FileProblem {
    /// It cannot be read at all.
    #[error("cannot read \"{path}\"")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Its text is not what it should be.
    #[error("file \"{path}\"")]
    Text {
        /// Which file.
        path: PathBuf,
        /// Where in it, and what.
        #[source]
        source: FileError,
    },
    /// It holds no PEM at all.
    #[error("file \"{path}\" holds no PEM; write text that has -----BEGIN and -----END lines")]
    NoPem {
        /// Which file.
        path: PathBuf,
    },
    /// A certificate and its key cannot be served.
    #[error("certificate \"{certificate}\" with key \"{key}\"")]
    Tls {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What is wrong.
        #[source]
        source: TlsError,
    },
    /// The keys of the token service cannot be used.
    #[error("directory \"{path}\"")]
    Keys {
        /// The directory.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: KeysError,
    },
}

/// Reads `config.yaml`.
pub fn read_config(path: &Path) -> Result<Config, FileProblem> {
    let bytes = read(path)?;
    Config::parse(&String::from_utf8_lossy(&bytes)).map_err(|source| FileProblem::Text {
        path: path.to_owned(),
        source,
    })
}

/// Reads `users.yaml`.
pub fn read_users(path: &Path) -> Result<UsersInForce, FileProblem> {
    UsersInForce::from_bytes(&read(path)?).map_err(|source| FileProblem::Text {
        path: path.to_owned(),
        source,
    })
}

/// Reads the directory of token keys: `active`, and every `<id>.pem`.
pub fn read_token_keys(directory: &Path) -> Result<TokenKeys, FileProblem> {
    let active = read(&directory.join("active"))?;
    let unreadable = |source| FileProblem::Unreadable {
        path: directory.to_owned(),
        source,
    };
    let mut keys = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "pem")
            && let Some(id) = path.file_stem().and_then(|stem| stem.to_str())
        {
            keys.push((id.to_owned(), read(&path)?));
        }
    }
    TokenKeys::new(&String::from_utf8_lossy(&active), keys).map_err(|source| FileProblem::Keys {
        path: directory.to_owned(),
        source,
    })
}

/// Reads a certificate with its key, and the authorities of client certificates if these are asked for.
pub fn read_tls(certificate: &Path, key: &Path, client_ca: Option<&Path>) -> Result<Tls, FileProblem> {
    let (certificate_pem, key_pem) = (read_pem(certificate)?, read_pem(key)?);
    let client_ca = client_ca.map(read_pem).transpose()?;
    Tls::from_pem(&certificate_pem, &key_pem, client_ca.as_deref()).map_err(|source| FileProblem::Tls {
        certificate: certificate.to_owned(),
        key: key.to_owned(),
        source,
    })
}

fn read_pem(path: &Path) -> Result<Vec<u8>, FileProblem> {
    let bytes = read(path)?;
    let has_pem = bytes.windows(11).any(|window| window == b"-----BEGIN ");
    if has_pem {
        Ok(bytes)
    } else {
        Err(FileProblem::NoPem {
            path: path.to_owned(),
        })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, FileProblem> {
    std::fs::read(path).map_err(|source| FileProblem::Unreadable {
        path: path.to_owned(),
        source,
    })
}
