//! Writes children of a Registry: what we intend and what the watch shows come in, the least write that makes both
//! agree goes out. IO.
//!
//! An absent object is created by POST, so that a foreign one of that name is never taken over. An object that
//! the Registry controls is patched by forced server-side apply that carries the observed UID: an object that was
//! replaced meanwhile is not touched. Nothing is written when every field that we would send already holds and nothing
//! was added where the object is ours whole. An object without our controller reference is never written.

mod claimant;
mod compare;
mod contest;
mod failure;
mod frozen;
mod handover;
mod intent;
mod places;
mod surplus;

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::NamespaceResourceScope;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams, Preconditions, PropagationPolicy};
use kube::{Client, Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

pub use contest::Contest;
use contest::Contests;
pub use failure::ApplyError;
use failure::{request, serialize};
pub use intent::APPLIED;
use surplus::Surplus;

/// What came of one object.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome<K> {
    /// It was absent and is there now.
    Created(K),
    /// It differed and was written.
    Updated(K),
    /// It already said what we intend; nothing was sent.
    Unchanged(K),
    /// Somebody undoes each repair: it differs, and the next one is not due yet; nothing was sent.
    Postponed {
        object: K,
        /// When it is due.
        due_in: Duration,
        /// Whether this was found only now.
        is_new: bool,
    },
    /// Somebody else's object has the name; nothing was sent.
    Foreign(Foreign),
    /// What we had seen is no longer so (it exists already, was replaced or is being deleted): the next pass sees more.
    Stale,
}

/// An object of a name that we need, which is not controlled by the Registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreign {
    /// Such as `Service`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Kind and name of what controls it, such as `Deployment/web`; nothing when nobody does.
    pub controller: Option<String>,
}

/// What came of a deletion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// Accepted; the object is gone or terminating.
    Accepted,
    /// It was gone already.
    Absent,
    /// It changed or was replaced since we saw it; nothing was deleted.
    Stale,
}

/// Kinds that can be children: namespaced, and known at compile time.
pub trait Child:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Serialize + DeserializeOwned + Clone + Debug
{
}

impl<K> Child for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Serialize
        + DeserializeOwned
        + Clone
        + Debug
{
}

/// Applies objects under one field manager.
pub struct Applier {
    client: Client,
    field_manager: &'static str,
    /// By UID: what the API server made of an intent that it does not write back as it was sent.
    normalized: Mutex<HashMap<String, Normalized>>,
    contests: Mutex<Contests>,
}

/// Remembers that `intent` reads back as `reading`, both hashes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Normalized {
    intent: String,
    reading: String,
}

impl Normalized {
    fn new(body: &Value, seen: &Value, surplus: Option<&Surplus>) -> Self {
        let surplus = surplus.map(|surplus| &surplus.seen);
        Self {
            intent: intent::hash(body),
            reading: intent::hash(&json!([compare::reading(body, seen), surplus])),
        }
    }
}

/// The answers to a patch.
struct Patched<K> {
    object: K,
    /// What the very answer to its removal still had: the server, or a webhook of it, puts it there.
    kept: Option<Surplus>,
}

impl Debug for Applier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Applier")
            .field("field_manager", &self.field_manager)
            .finish_non_exhaustive()
    }
}

impl Applier {
    /// `field_manager` names us in managedFields and must never change between releases.
    pub fn new(client: Client, field_manager: &'static str) -> Self {
        Self {
            client,
            field_manager,
            normalized: Mutex::default(),
            contests: Mutex::default(),
        }
    }

    /// Makes the object as `intent` says, if it is ours: controlled by the Registry with `owner_uid`. `observed` is what the
    /// watch last showed, with its managedFields. `intent` must carry name and namespace and hold only what we own.
    pub async fn apply<K: Child>(
        &self,
        intent: &K,
        observed: Option<&K>,
        owner_uid: &str,
    ) -> Result<Outcome<K>, ApplyError> {
        let body = intent::body(intent)?;
        let Some(observed) = observed else {
            return self.create(intent, &body).await;
        };
        if let Some(foreign) = foreign(observed, owner_uid) {
            return Ok(Outcome::Foreign(foreign));
        }
        if observed.meta().deletion_timestamp.is_some() {
            return Ok(Outcome::Stale);
        }
        let seen = intent::to_value(observed)?;
        let uid = observed.uid().unwrap_or_default();
        let is_frozen = frozen::is_frozen(&body, &seen);
        if !is_frozen && self.agrees(&uid, &body, &seen) {
            return Ok(Outcome::Unchanged(observed.clone()));
        }
        let surplus = surplus::find(&body, &seen);
        let difference = Normalized::new(&body, &seen, surplus.as_ref());
        let due_in = self.contests().due_in(&uid, &difference, Instant::now());
        if let Some(due_in) = due_in {
            let field = compare::first_difference(&body, &seen).or(surplus.map(|surplus| surplus.field));
            let field = field.or_else(|| Some(vec![frozen::IMMUTABLE.to_owned()]));
            let contest = claimant::contest(observed.meta(), &field.unwrap_or_default(), self.field_manager);
            return Ok(Outcome::Postponed {
                object: observed.clone(),
                due_in,
                is_new: self.contests().postponed(&uid, contest),
            });
        }
        if is_frozen {
            return self.replace(intent, &body, (observed, difference)).await;
        }
        let Some(patched) = self.patch(observed, &body, surplus).await? else {
            return Ok(Outcome::Stale);
        };
        let answer = intent::to_value(&patched.object)?;
        self.remember(&uid, &body, &answer, patched.kept.as_ref());
        Ok(match patched.object {
            applied if applied.resource_version() == observed.resource_version() => {
                Outcome::Unchanged(applied)
            }
            applied => {
                let version = applied.resource_version().unwrap_or_default();
                self.contests().written(&uid, difference, version, Instant::now());
                Outcome::Updated(applied)
            }
        })
    }

    /// Whether somebody undoes the repairs of the object with that UID; also right after one.
    pub fn contest(&self, uid: &str) -> Option<Contest> {
        self.contests().of(uid, Instant::now())
    }

    /// Deletes exactly the object that was observed: not one that replaced it, not one that changed since.
    pub async fn delete<K: Child>(
        &self,
        observed: &K,
        propagation: PropagationPolicy,
    ) -> Result<Deletion, ApplyError> {
        let params = DeleteParams {
            propagation_policy: Some(propagation),
            preconditions: Some(Preconditions {
                uid: observed.uid(),
                resource_version: observed.resource_version(),
            }),
            ..DeleteParams::default()
        };
        match self.api(observed).delete(&observed.name_any(), &params).await {
            Ok(_) => Ok(Deletion::Accepted),
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(Deletion::Absent),
            Err(kube::Error::Api(status)) if status.is_conflict() => Ok(Deletion::Stale),
            Err(source) => Err(request("delete", observed, source)),
        }
    }

    /// No write changes an immutable object, so another one takes its place. The content is in `intent`.
    async fn replace<K: Child>(
        &self,
        intent: &K,
        body: &Value,
        (observed, difference): (&K, Normalized),
    ) -> Result<Outcome<K>, ApplyError> {
        if self.delete(observed, PropagationPolicy::Background).await? != Deletion::Accepted {
            return Ok(Outcome::Stale);
        }
        Ok(match self.create(intent, body).await? {
            Outcome::Created(created) => {
                let (former, uid) = (
                    observed.uid().unwrap_or_default(),
                    created.uid().unwrap_or_default(),
                );
                let version = created.resource_version().unwrap_or_default();
                let mut contests = self.contests();
                contests.moved(&former, &uid);
                contests.written(&uid, difference, version, Instant::now());
                Outcome::Updated(created)
            }
            other => other,
        })
    }

    async fn create<K: Child>(&self, intent: &K, body: &Value) -> Result<Outcome<K>, ApplyError> {
        let params = PostParams {
            field_manager: Some(self.field_manager.to_owned()),
            dry_run: false,
        };
        let object: K = serde_json::from_value(body.clone()).map_err(|source| serialize(intent, source))?;
        match self.api(intent).create(&params, &object).await {
            Ok(created) => {
                self.remember(
                    &created.uid().unwrap_or_default(),
                    body,
                    &intent::to_value(&created)?,
                    None,
                );
                Ok(Outcome::Created(created))
            }
            Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(Outcome::Stale),
            Err(source) => Err(request("create", intent, source)),
        }
    }

    /// `None` when the object changed under us in a way that needs another look.
    async fn patch<K: Child>(
        &self,
        observed: &K,
        body: &Value,
        surplus: Option<Surplus>,
    ) -> Result<Option<Patched<K>>, ApplyError> {
        let uid = observed.uid().unwrap_or_default();
        let api: Api<K> = self.api(observed);
        let name = observed.name_any();
        let stale_or_error = |error| match error {
            kube::Error::Api(status) if is_replaced(&status) || status.is_not_found() => Ok(None),
            source => Err(request("update", observed, source)),
        };
        let handover = handover::patch(observed.meta(), self.field_manager);
        let mut kept = None;
        if let Some(patch) = surplus::removed(handover, observed.meta(), surplus.as_ref()) {
            let params = PatchParams {
                field_manager: Some(self.field_manager.to_owned()),
                ..PatchParams::default()
            };
            match api.patch(&name, &params, &Patch::Merge(patch)).await {
                Ok(answer) if surplus.is_some() => kept = surplus::find(body, &intent::to_value(&answer)?),
                Ok(_) => {}
                Err(error) => return stale_or_error(error),
            }
        }
        let params = PatchParams::apply(self.field_manager).force();
        match api
            .patch(&name, &params, &Patch::Apply(intent::with_uid(body, &uid)))
            .await
        {
            Ok(object) => Ok(Some(Patched { object, kept })),
            Err(error) => stale_or_error(error),
        }
    }

    fn agrees(&self, uid: &str, body: &Value, seen: &Value) -> bool {
        let surplus = surplus::find(body, seen);
        if surplus.is_none() && compare::holds(body, seen) {
            return true;
        }
        self.memory().get(uid) == Some(&Normalized::new(body, seen, surplus.as_ref()))
    }

    /// `kept` is what the answer to its removal had; anything else that is there was added since and is not remembered.
    fn remember(&self, uid: &str, body: &Value, answer: &Value, kept: Option<&Surplus>) {
        let surplus = surplus::find(body, answer);
        let was_added_since = surplus.as_ref() != kept && surplus.is_some();
        if was_added_since || (surplus.is_none() && compare::holds(body, answer)) {
            self.memory().remove(uid);
            return;
        }
        let normalized = Normalized::new(body, answer, surplus.as_ref());
        self.memory().insert(uid.to_owned(), normalized);
    }

    fn memory(&self) -> MutexGuard<'_, HashMap<String, Normalized>> {
        self.normalized.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn contests(&self) -> MutexGuard<'_, Contests> {
        self.contests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn api<K: Child>(&self, object: &K) -> Api<K> {
        Api::namespaced(self.client.clone(), &object.namespace().unwrap_or_default())
    }
}

/// Whether a write was refused because the object is no longer the one that was seen: the API server answers 409 to another
/// resourceVersion, and 422 to a UID that is not that of the object.
pub fn is_replaced(status: &kube::core::Status) -> bool {
    let is_about_uid = || {
        let causes = status.details.iter().flat_map(|details| &details.causes);
        causes.into_iter().any(|cause| cause.field == "metadata.uid")
    };
    status.is_conflict() || (status.is_invalid() && is_about_uid())
}

/// Says whose the object is, when it is not the Registry's with `owner_uid`.
pub fn foreign<K: Resource<DynamicType = ()>>(observed: &K, owner_uid: &str) -> Option<Foreign> {
    let controller = observed
        .meta()
        .owner_references
        .iter()
        .flatten()
        .find(|reference| reference.controller == Some(true));
    if controller.is_some_and(|reference| reference.uid == owner_uid) {
        return None;
    }
    Some(Foreign {
        kind: K::kind(&()).into_owned(),
        name: observed.name_any(),
        controller: controller.map(|reference| format!("{}/{}", reference.kind, reference.name)),
    })
}

#[cfg(test)]
mod tests;
