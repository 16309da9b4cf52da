//! Writes a Registry's status: one server-side apply by a field manager of its own, and none when nothing differs.
//! In: the status as computed, the status as last known. IO.
//!
//! The write names the version that the status was computed from. A UID would guard nothing: the API server ignores the
//! metadata that comes with a status, so the status of a Registry that was deleted would end on the next one of its name.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::ObjectMeta;
use kube::{Client, Resource};
use portolan_crds::v1alpha1::{Registry, RegistryStatus};
use serde_json::{Value, json};
use thiserror::Error;

use crate::labels::FIELD_MANAGER_REGISTRY_STATUS;

#[derive(Debug, Error)]
#[error("cannot write the status of Registry {name:?}")]
pub struct UpdateStatusError {
    name: String,
    #[source]
    source: Box<kube::Error>,
}

/// What was written last, by UID: a watch that lags behind must not make a pass believe that it has to write again.
#[derive(Debug, Default)]
pub struct Written(Mutex<HashMap<String, (u128, RegistryStatus)>>);

impl Written {
    /// The newest status that is known: what the watch shows, or what was written after that.
    pub fn newest(&self, metadata: &ObjectMeta, shown: Option<&RegistryStatus>) -> RegistryStatus {
        let written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let newer = metadata
            .uid
            .as_ref()
            .and_then(|uid| written.get(uid))
            .filter(|(version, _)| shown.is_none() || *version > version_of(metadata));
        newer
            .map(|(_, status)| status.clone())
            .or_else(|| shown.cloned())
            .unwrap_or_default()
    }

    /// The newest version that is known: the write must find it, or what it was computed from is not so any more.
    fn newest_version(&self, metadata: &ObjectMeta) -> Option<String> {
        let written = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let newer = metadata
            .uid
            .as_ref()
            .and_then(|uid| written.get(uid))
            .map(|(version, _)| *version)
            .filter(|version| *version > version_of(metadata));
        newer
            .map(|version| version.to_string())
            .or_else(|| metadata.resource_version.clone())
    }

    /// Drops what belongs to Registries that are gone.
    pub fn retain(&self, is_alive: impl Fn(&str) -> bool) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|uid, _| is_alive(uid));
    }

    fn remember(&self, metadata: &ObjectMeta, status: &RegistryStatus) {
        if let Some(uid) = metadata.uid.clone() {
            let entry = (version_of(metadata), status.clone());
            self.0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(uid, entry);
        }
    }
}

/// `known` is what `status` was computed from. Whether something was written: not where the object has changed meanwhile,
/// which is an event and so leads to another pass.
pub async fn update_status(
    client: &Client,
    written: &Written,
    metadata: &ObjectMeta,
    known: &RegistryStatus,
    status: &RegistryStatus,
) -> Result<bool, UpdateStatusError> {
    if status == known {
        return Ok(false);
    }
    let based_on = ObjectMeta {
        resource_version: written.newest_version(metadata),
        ..metadata.clone()
    };
    let answer = apply(&statuses(client, metadata), &based_on, &json!(status)).await?;
    if let Some(answer) = &answer {
        written.remember(&answer.metadata, status);
    }
    Ok(answer.is_some())
}

/// Works for objects that do not decode, too.
pub(super) fn statuses(client: &Client, metadata: &ObjectMeta) -> Api<DynamicObject> {
    let namespace = metadata.namespace.as_deref().unwrap_or_default();
    Api::namespaced_with(client.clone(), namespace, &ApiResource::erase::<Registry>(&()))
}

/// Nothing where the object is no longer there in the version of `metadata`.
pub(super) async fn apply(
    api: &Api<DynamicObject>,
    metadata: &ObjectMeta,
    status: &Value,
) -> Result<Option<DynamicObject>, UpdateStatusError> {
    let name = metadata.name.clone().unwrap_or_default();
    let params = PatchParams::apply(FIELD_MANAGER_REGISTRY_STATUS).force();
    let body = Patch::Apply(body(metadata, status));
    match api.patch_status(&name, &params, &body).await {
        Ok(answer) => Ok(Some(answer)),
        // Deleted, changed, or deleted and created again: there is nothing to write to, or another pass will.
        Err(kube::Error::Api(refusal)) if refusal.is_not_found() || refusal.is_conflict() => Ok(None),
        Err(source) => Err(failed(name, source)),
    }
}

fn body(metadata: &ObjectMeta, status: &Value) -> Value {
    json!({
        "apiVersion": Registry::api_version(&()),
        "kind": Registry::kind(&()),
        "metadata": {"name": metadata.name, "resourceVersion": metadata.resource_version},
        "status": status,
    })
}

pub(super) fn failed(name: String, source: kube::Error) -> UpdateStatusError {
    UpdateStatusError {
        name,
        source: Box::new(source),
    }
}

/// Resource versions of built-in storage are numbers that only grow.
fn version_of(metadata: &ObjectMeta) -> u128 {
    metadata
        .resource_version
        .as_deref()
        .and_then(|version| version.parse().ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(version: &str) -> ObjectMeta {
        ObjectMeta {
            uid: Some("uid".to_owned()),
            resource_version: Some(version.to_owned()),
            ..ObjectMeta::default()
        }
    }

    fn status(endpoint: &str) -> RegistryStatus {
        RegistryStatus {
            endpoint: Some(endpoint.to_owned()),
            ..RegistryStatus::default()
        }
    }

    #[test]
    fn watch_that_lags_behind_does_not_hide_what_was_written() {
        let written = Written::default();
        written.remember(&metadata("10"), &status("written"));
        let newest = |version: &str| {
            written
                .newest(&metadata(version), Some(&status("shown")))
                .endpoint
        };
        assert_eq!(newest("9").as_deref(), Some("written"));
        assert_eq!(newest("10").as_deref(), Some("shown"));
        assert_eq!(newest("11").as_deref(), Some("shown"));
    }

    #[test]
    fn status_is_for_the_newest_version_that_is_known() {
        let written = Written::default();
        let version = |shown: &str| written.newest_version(&metadata(shown));
        assert_eq!(version("9").as_deref(), Some("9"));
        written.remember(&metadata("10"), &status("written"));
        assert_eq!(version("9").as_deref(), Some("10"));
        assert_eq!(version("11").as_deref(), Some("11"));
    }

    #[test]
    fn write_names_the_version_that_the_status_was_computed_from() {
        let body = body(&metadata("9"), &json!({}));
        assert_eq!(body["metadata"]["resourceVersion"], "9");
    }

    #[test]
    fn statuses_of_registries_that_are_gone_are_forgotten() {
        let written = Written::default();
        written.remember(&metadata("10"), &status("written"));
        written.retain(|_| false);
        assert_eq!(written.newest(&metadata("9"), None), RegistryStatus::default());
    }
}
