//! The variables that `registry:2` users know: names and values in, a changed configuration out. Pure.

use std::ffi::OsString;

use portolan_config::{AddressError, Config, Invalid};

const ADDRESS: &str = "REGISTRY_HTTP_ADDR";
const DIRECTORY: &str = "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY";
const DELETE: &str = "REGISTRY_STORAGE_DELETE_ENABLED";

/// The variables of `registry:2` that are settings here, too.
const TAKEN: [&str; 3] = [ADDRESS, DIRECTORY, DELETE];

/// Which variable has set a key, for the sentence about what that key says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// The variable that set `http.address`.
    pub address: Option<&'static str>,
    /// The variable that set `storage.volume.path`.
    pub directory: Option<&'static str>,
}

/// A variable that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentError {
    /// No address.
    #[error("{ADDRESS}")]
    Address(#[source] AddressError),
    /// An address that another listener of the file has.
    #[error("{ADDRESS}")]
    Collision(#[source] Invalid),
    /// Bytes that are no text.
    #[error("{0} is no UTF-8 text; write it as such, or leave the variable out")]
    NotText(&'static str),
    /// Neither yes nor no.
    #[error("{DELETE} is \"{0}\"; write true or false, or leave the variable out")]
    Delete(String),
    /// An empty directory.
    #[error("{DIRECTORY} is empty; write a directory, or leave the variable out")]
    Directory,
    /// A variable of `registry:2` for something that is set otherwise here, or that this program does not do. Ignoring
    /// it could leave a registry open that its owner believes to be closed.
    #[error("{name} has no effect here: {instead}, and leave the variable out")]
    NotTaken {
        /// The variable.
        name: &'static str,
        /// What to do instead.
        instead: &'static str,
    },
}

const USERS: &str = "name the users in the file of auth.usersFile of the configuration file";
const CERTIFICATE: &str = "write http.tls.certificateFile and http.tls.keyFile in the configuration file";
const VOLUME: &str = "images are kept on a volume; set REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY";
const READ_ONLY: &str = "write storage.readOnly: true in the configuration file";
const NO_PROXY: &str = "this registry is no pull-through cache; use another for that";

/// Variables that change who gets in, or where images go. Others are only warned of ([`unknown`]).
const NOT_TAKEN: [(&str, &str); 18] = [
    ("REGISTRY_AUTH", USERS),
    ("REGISTRY_AUTH_HTPASSWD_PATH", USERS),
    ("REGISTRY_AUTH_HTPASSWD_REALM", USERS),
    ("REGISTRY_AUTH_SILLY_REALM", USERS),
    ("REGISTRY_AUTH_TOKEN_REALM", USERS),
    ("REGISTRY_AUTH_TOKEN_ROOTCERTBUNDLE", USERS),
    ("REGISTRY_HTTP_TLS_CERTIFICATE", CERTIFICATE),
    ("REGISTRY_HTTP_TLS_KEY", CERTIFICATE),
    ("REGISTRY_HTTP_TLS_CLIENTCAS", CERTIFICATE),
    ("REGISTRY_HTTP_TLS_LETSENCRYPT_EMAIL", CERTIFICATE),
    ("REGISTRY_STORAGE_AZURE_CONTAINER", VOLUME),
    ("REGISTRY_STORAGE_GCS_BUCKET", VOLUME),
    ("REGISTRY_STORAGE_INMEMORY", VOLUME),
    ("REGISTRY_STORAGE_MAINTENANCE_READONLY", READ_ONLY),
    ("REGISTRY_STORAGE_MAINTENANCE_READONLY_ENABLED", READ_ONLY),
    ("REGISTRY_STORAGE_S3_BUCKET", VOLUME),
    ("REGISTRY_STORAGE_S3_REGION", VOLUME),
    ("REGISTRY_PROXY_REMOTEURL", NO_PROXY),
];

/// Applies the variables; they are stronger than the file, as they are for `registry:2`.
pub fn apply(
    config: &mut Config,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<Overrides, EnvironmentError> {
    for (name, instead) in NOT_TAKEN {
        if variable(name).is_some() {
            return Err(EnvironmentError::NotTaken { name, instead });
        }
    }
    let text = |name: &'static str| {
        let value = variable(name).map(OsString::into_string).transpose();
        value.map_err(|_| EnvironmentError::NotText(name))
    };
    let mut overrides = Overrides::default();
    if let Some(address) = text(ADDRESS)? {
        config.http.address = address.parse().map_err(EnvironmentError::Address)?;
        config.validate().map_err(EnvironmentError::Collision)?;
        overrides.address = Some(ADDRESS);
    }
    overrides.directory = apply_directory(config, &variable)?;
    if let Some(enabled) = text(DELETE)? {
        config.storage.delete_enabled = match enabled.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" => true,
            "false" | "0" | "no" => false,
            _ => return Err(EnvironmentError::Delete(enabled)),
        };
    }
    Ok(overrides)
}

/// Applies the variable of the directory alone, for the commands that go where `serve` would: none of the others
/// concerns them. Returns its name if it is set.
pub fn apply_directory(
    config: &mut Config,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<Option<&'static str>, EnvironmentError> {
    let Some(directory) = variable(DIRECTORY) else {
        return Ok(None);
    };
    if directory.is_empty() {
        return Err(EnvironmentError::Directory);
    }
    config.storage.volume.path = directory.into();
    Ok(Some(DIRECTORY))
}

/// A sentence for each variable that looks like a setting and is none; names come in, for values may be secrets.
pub fn unknown(names: impl Iterator<Item = OsString>) -> Vec<String> {
    let names = names.map(|name| name.to_string_lossy().into_owned());
    let mut names: Vec<String> = names
        .filter(|name| name.starts_with("REGISTRY_") && !TAKEN.contains(&name.as_str()))
        .filter(|name| !is_of_a_service(name))
        .collect();
    names.sort();
    let [address, directory, delete] = TAKEN;
    let sentence = |name| {
        format!(
            "the variable {name:?} has no effect here, which knows {address}, {directory} and {delete} only; write other \
             settings in the file of --config, and leave the variable out"
        )
    };
    names.into_iter().map(sentence).collect()
}

/// Kubernetes sets variables of these shapes for each Service of a namespace, and one may be called `registry`.
fn is_of_a_service(name: &str) -> bool {
    let is_port = |text: &str| {
        let mut words = text.split('_');
        words.next().is_some_and(|number| number.parse::<u16>().is_ok())
            && matches!(words.next(), Some("TCP" | "UDP" | "SCTP"))
            && matches!(words.next(), None | Some("PROTO" | "PORT" | "ADDR"))
            && words.next().is_none()
    };
    name.ends_with("_SERVICE_HOST")
        || name.ends_with("_PORT")
        || name.contains("_SERVICE_PORT_")
        || name
            .match_indices("_PORT_")
            .any(|(at, port)| is_port(&name[at + port.len()..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(name: &'static str, value: &'static str) -> Result<Config, String> {
        let mut config = Config::standalone();
        apply(&mut config, |asked| (asked == name).then(|| value.into()))
            .map(|_| config)
            .map_err(|error| crate::error_chain(&error))
    }

    #[test]
    fn variables_are_stronger_than_the_file() {
        assert_eq!(
            applied("REGISTRY_HTTP_ADDR", ":5001")
                .unwrap()
                .http
                .address
                .to_string(),
            ":5001"
        );
        let config = applied("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", "/srv").unwrap();
        assert_eq!(config.storage.volume.path.to_str(), Some("/srv"));
        assert!(
            applied("REGISTRY_STORAGE_DELETE_ENABLED", "true")
                .unwrap()
                .storage
                .delete_enabled
        );
        assert!(
            !applied("REGISTRY_STORAGE_DELETE_ENABLED", "False")
                .unwrap()
                .storage
                .delete_enabled
        );
    }

    #[test]
    fn a_variable_that_would_have_closed_the_registry_is_never_ignored() {
        let refused = applied("REGISTRY_AUTH_HTPASSWD_PATH", "/auth/htpasswd").unwrap_err();
        assert!(
            refused.contains("REGISTRY_AUTH_HTPASSWD_PATH") && refused.contains("auth.usersFile"),
            "{refused}"
        );
        let refused = applied("REGISTRY_HTTP_TLS_CERTIFICATE", "/tls.crt").unwrap_err();
        assert!(refused.contains("http.tls.certificateFile"), "{refused}");
    }

    #[test]
    fn variables_of_a_service_are_neither_settings_nor_warned_of() {
        let of_services = [
            "REGISTRY_SERVICE_HOST",
            "REGISTRY_SERVICE_PORT",
            "REGISTRY_SERVICE_PORT_HTTPS",
            "REGISTRY_PORT",
            "REGISTRY_PORT_5000_TCP",
            "REGISTRY_PORT_5000_TCP_PROTO",
            "REGISTRY_PORT_53_UDP_PORT",
            "REGISTRY_PORT_53_SCTP_ADDR",
            "REGISTRY_HTTP_SERVICE_HOST",
            "REGISTRY_IMPORT_PORT_443_TCP_ADDR",
        ];
        for name in of_services {
            let config = applied(name, "tcp://198.19.0.9:443").unwrap();
            assert_eq!(config, Config::standalone(), "{name}");
        }
        assert_eq!(unknown(of_services.map(OsString::from).into_iter()), [""; 0]);
        let settings = TAKEN.into_iter().chain(NOT_TAKEN.map(|(name, _)| name));
        for name in settings {
            assert!(!is_of_a_service(name), "{name}");
        }
    }

    #[test]
    fn variables_that_are_no_settings_are_named_beside_those_that_are() {
        let names = [
            "REGISTRY_HTTP_ADDR",
            "REGISTRY_STORAGE_DELETE_ENABLE",
            "REGISTRY_LOG_LEVEL",
            "REGISTRY_PORT_5000",
            "REGISTRY_PORT_X_TCP",
            "REGISTRY_PORT_5000_TCP_HOST",
            "MY_REGISTRY_HOST",
        ];
        let said = unknown(names.map(OsString::from).into_iter());
        let quoted = said.iter().map(|sentence| sentence.split('"').nth(1).unwrap());
        let expected = [
            "REGISTRY_LOG_LEVEL",
            "REGISTRY_PORT_5000",
            "REGISTRY_PORT_5000_TCP_HOST",
            "REGISTRY_PORT_X_TCP",
            "REGISTRY_STORAGE_DELETE_ENABLE",
        ];
        assert_eq!(quoted.collect::<Vec<_>>(), expected);
        for name in TAKEN {
            assert!(said[0].contains(name), "{}", said[0]);
        }
    }

    #[test]
    fn a_variable_that_cannot_be_is_named() {
        assert!(
            applied("REGISTRY_HTTP_ADDR", "5000")
                .unwrap_err()
                .starts_with("REGISTRY_HTTP_ADDR: \"5000\" has no port")
        );
        assert!(
            applied("REGISTRY_STORAGE_DELETE_ENABLED", "maybe")
                .unwrap_err()
                .contains("true or false")
        );
        assert!(applied("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", "").is_err());
    }
}
