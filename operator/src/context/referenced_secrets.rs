//! Secrets of `tls.secretRef`, as they were last read. Their watch shows only names and versions; a version that was not
//! read yet sends the next pass to the API server, any other costs no request. No IO here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k8s_openapi::api::core::v1::Secret;

type Key = (String, String);

/// Bounded by what Registries refer to: other Secrets are not remembered.
#[derive(Debug, Default)]
pub struct ReferencedSecrets(Mutex<HashMap<Key, Entry>>);

#[derive(Debug, Default)]
struct Entry {
    seen_version: Option<String>,
    read: Option<Arc<Secret>>,
}

impl ReferencedSecrets {
    /// The Secret as it was read, unless the watch has shown another version since. Who gets nothing reads it now; what the
    /// watch shows meanwhile is noted, since the answer may be older.
    pub fn current(&self, namespace: &str, name: &str) -> Option<Arc<Secret>> {
        let mut entries = self.entries();
        let entry = entries.entry(key(namespace, name)).or_default();
        let read = entry.read.clone()?;
        let is_current = entry.seen_version.is_none() || entry.seen_version == read.metadata.resource_version;
        is_current.then_some(read)
    }

    /// Remembers what a pass read.
    pub fn remember(&self, namespace: &str, name: &str, secret: Arc<Secret>) {
        self.entries().entry(key(namespace, name)).or_default().read = Some(secret);
    }

    /// Notes what the watch showed; no version means that it is gone. Only what was asked for before needs the note.
    pub fn saw(&self, namespace: &str, name: &str, version: Option<String>) {
        if let Some(entry) = self.entries().get_mut(&key(namespace, name)) {
            if version.is_none() {
                entry.read = None;
            }
            entry.seen_version = version;
        }
    }

    /// Forgets a Secret that is absent or that nobody refers to.
    pub fn forget(&self, namespace: &str, name: &str) {
        self.entries().remove(&key(namespace, name));
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<Key, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(namespace: &str, name: &str) -> Key {
    (namespace.to_owned(), name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(version: &str) -> Arc<Secret> {
        let mut secret = Secret::default();
        secret.metadata.resource_version = Some(version.to_owned());
        Arc::new(secret)
    }

    #[test]
    fn secret_is_read_again_only_after_its_watch_showed_another_version() {
        let secrets = ReferencedSecrets::default();
        assert!(secrets.current("team-a", "cert").is_none());
        secrets.remember("team-a", "cert", secret("1"));
        assert!(secrets.current("team-a", "cert").is_some());
        secrets.saw("team-a", "cert", Some("1".to_owned()));
        assert!(secrets.current("team-a", "cert").is_some());
        secrets.saw("team-a", "cert", Some("2".to_owned()));
        assert!(secrets.current("team-a", "cert").is_none());
        secrets.remember("team-a", "cert", secret("2"));
        assert!(secrets.current("team-a", "cert").is_some());
    }

    #[test]
    fn answer_that_is_older_than_what_the_watch_showed_meanwhile_does_not_count() {
        let secrets = ReferencedSecrets::default();
        assert!(secrets.current("team-a", "cert").is_none());
        secrets.saw("team-a", "cert", Some("2".to_owned()));
        secrets.remember("team-a", "cert", secret("1"));
        assert!(secrets.current("team-a", "cert").is_none());
        secrets.remember("team-a", "cert", secret("2"));
        assert!(secrets.current("team-a", "cert").is_some());
    }

    #[test]
    fn secret_that_vanished_is_read_again() {
        let secrets = ReferencedSecrets::default();
        secrets.remember("team-a", "cert", secret("1"));
        secrets.saw("team-a", "cert", None);
        assert!(secrets.current("team-a", "cert").is_none());
    }

    #[test]
    fn secrets_that_nobody_read_are_not_remembered() {
        let secrets = ReferencedSecrets::default();
        secrets.saw("team-a", "other", Some("1".to_owned()));
        assert!(secrets.entries().is_empty());
    }
}
