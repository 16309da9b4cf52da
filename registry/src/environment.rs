//! The variables that `registry:2` users know: names and values in, a changed configuration out. Pure.

use portolan_config::{AddressError, Config};

/// A variable that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentError {
    /// No address.
    #[error("REGISTRY_HTTP_ADDR")]
    Address(#[source] AddressError),
    /// Neither yes nor no.
    #[error("REGISTRY_STORAGE_DELETE_ENABLED is \"{0}\"; write true or false")]
    Delete(String),
    /// An empty directory.
    #[error(
        "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY is empty; write a directory, or leave the variable out"
    )]
    Directory,
}

/// Applies the variables; they are stronger than the file, as they are for `registry:2`.
pub fn apply(config: &mut Config, variable: impl Fn(&str) -> Option<String>) -> Result<(), EnvironmentError> {
    if let Some(address) = variable("REGISTRY_HTTP_ADDR") {
        config.http.address = address.parse().map_err(EnvironmentError::Address)?;
    }
    if let Some(directory) = variable("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY") {
        if directory.is_empty() {
            return Err(EnvironmentError::Directory);
        }
        config.storage.volume.path = directory.into();
    }
    if let Some(enabled) = variable("REGISTRY_STORAGE_DELETE_ENABLED") {
        config.storage.delete_enabled = match enabled.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" => true,
            "false" | "0" | "no" => false,
            _ => return Err(EnvironmentError::Delete(enabled)),
        };
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(name: &'static str, value: &'static str) -> Result<Config, String> {
        let mut config = Config::standalone();
        apply(&mut config, |asked| (asked == name).then(|| value.to_owned()))
            .map(|()| config)
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
