//! Makes the cluster as the prepared objects say, in the order in which they depend on each other. In: `Prepared`
//! objects, observed children. Out: the same objects as `Applied`, and what changed. IO.

mod claim;
mod destroy;
mod nudge;
mod release;

use std::marker::PhantomData;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Secret};
use kube::{Api, ResourceExt as _};
use thiserror::Error;

use super::build::{Applied, Prepared, Resources, Services};
use super::observed::Children;
use super::validate::ValidatedRegistry;
use crate::apply::{self, Child, Outcome, foreign};
use crate::context::Context;

pub use destroy::{Destruction, destroy_one};
pub use nudge::nudge_pods;
pub use release::release_claim;

/// Why the cluster could not be made so.
#[derive(Debug, Error)]
pub enum ApplyError {
    #[error(transparent)]
    Write(#[from] apply::ApplyError),
    /// Somebody else's object; the text is for the person who reads the condition.
    #[error("{0}")]
    Foreign(String),
    /// The watches have not shown something yet; the next pass sees it.
    #[error("{kind} {name} changed meanwhile")]
    Stale { kind: String, name: String },
    /// It holds its name until whoever wrote the finalizers takes them away.
    #[error("{kind} {name} is being deleted and is made anew when it is gone; it waits for {}", finalizers.join(", "))]
    BeingDeleted {
        kind: String,
        name: String,
        finalizers: Vec<String>,
    },
    #[error("cannot {verb} claim {name:?}")]
    Claim {
        verb: &'static str,
        name: String,
        #[source]
        source: Box<kube::Error>,
    },
    /// Somebody writes the reference back.
    #[error(
        "claim {name:?} still goes with this Registry: its owner reference to the Registry cannot be removed"
    )]
    StillOwned { name: String },
    #[error("cannot annotate pod {name:?}")]
    Nudge {
        name: String,
        #[source]
        source: Box<kube::Error>,
    },
}

/// What was written, as `Kind name`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    pub created: Vec<String>,
    pub updated: Vec<String>,
    /// The pod template is another one now.
    pub has_new_template: bool,
    /// The claim asks for another size now.
    pub resized_to: Option<String>,
}

impl Changes {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// One pass's writes.
#[derive(Debug)]
pub struct Writer<'a> {
    context: &'a Context,
    registry: &'a ValidatedRegistry,
    children: &'a Children,
    pub changes: Changes,
}

impl<'a> Writer<'a> {
    pub fn new(context: &'a Context, registry: &'a ValidatedRegistry, children: &'a Children) -> Self {
        Self {
            context,
            registry,
            children,
            changes: Changes::default(),
        }
    }

    /// The Services come first: the certificate names their addresses.
    pub async fn apply_services(
        &mut self,
        prepared: Services<Prepared>,
    ) -> Result<Services<Applied>, ApplyError> {
        let Services {
            service,
            headless_service,
            state: _,
        } = prepared;
        let children = self.children;
        Ok(Services {
            service: self.maybe(service, children.service.as_deref()).await?,
            headless_service: self
                .maybe(headless_service, children.headless_service.as_deref())
                .await?,
            state: PhantomData,
        })
    }

    /// The rest. A field that is added to `Resources` does not compile until it is applied here.
    pub async fn apply(
        &mut self,
        prepared: Resources<Prepared>,
    ) -> Result<(Resources<Applied>, Option<PersistentVolumeClaim>), ApplyError> {
        let Resources {
            claim,
            service_account,
            ca_key,
            tls,
            credentials,
            token_keys,
            admin,
            ca_config_map,
            users,
            push,
            pull,
            config,
            stateful_set,
            state: _,
        } = prepared;
        let children = self.children;
        let mut refused = None;
        let applied_claim = match &claim {
            Some(claim) => match self.claim(claim).await {
                Ok(applied) => Some(applied),
                // One that is there and refuses a change, such as a size beyond a quota, keeps nothing else waiting.
                Err(error) if children.claim.is_some() => {
                    refused = Some(error);
                    None
                }
                Err(error) => return Err(error),
            },
            None => None,
        };
        let applied = Resources {
            claim,
            service_account: self
                .maybe(service_account, children.service_account.as_deref())
                .await?,
            ca_key: self.maybe(ca_key, children.ca_key.as_deref()).await?,
            // Clients learn a new authority before a certificate of it is served.
            ca_config_map: self
                .maybe(ca_config_map, children.ca_config_map.as_deref())
                .await?,
            tls: self.maybe(tls, children.tls.as_deref()).await?,
            // The only source of the passwords before anything that is rendered from it.
            credentials: self.maybe(credentials, children.credentials.as_deref()).await?,
            token_keys: self.maybe(token_keys, children.token_keys.as_deref()).await?,
            admin: self.maybe(admin, children.admin.as_deref()).await?,
            users: self.maybe(users, children.users.as_deref()).await?,
            push: self.maybe(push, children.push.as_deref()).await?,
            pull: self.maybe(pull, children.pull.as_deref()).await?,
            config: self.config(config).await?,
            stateful_set: Box::pin(self.stateful_set(stateful_set)).await?,
            state: PhantomData,
        };
        match refused {
            Some(error) => Err(error),
            None => Ok((applied, applied_claim)),
        }
    }

    async fn config(&mut self, config: Option<Secret>) -> Result<Option<Secret>, ApplyError> {
        let name = config.as_ref().map(Secret::name_any);
        let observed = self
            .children
            .configs
            .iter()
            .find(|existing| Some(existing.name_any()) == name);
        self.maybe(config, observed.map(|existing| &**existing)).await
    }

    async fn stateful_set(
        &mut self,
        prepared: Option<StatefulSet>,
    ) -> Result<Option<StatefulSet>, ApplyError> {
        let observed = self.children.stateful_set.as_deref();
        // One that is withheld stays as it is, and is what the status tells about.
        let Some(prepared) = prepared else {
            return Ok(observed.cloned());
        };
        let applied = self.one(prepared, observed).await?;
        let generation = |set: &StatefulSet| set.metadata.generation;
        self.changes.has_new_template =
            observed.is_some_and(|before| generation(before) != generation(&applied));
        Ok(Some(applied))
    }

    async fn maybe<K: Child>(
        &mut self,
        prepared: Option<K>,
        observed: Option<&K>,
    ) -> Result<Option<K>, ApplyError> {
        match prepared {
            Some(prepared) => self.one(prepared, observed).await.map(Some),
            None => Ok(None),
        }
    }

    async fn one<K: Child>(&mut self, prepared: K, observed: Option<&K>) -> Result<K, ApplyError> {
        let uid = &self.registry.uid;
        let named = || format!("{} {}", K::kind(&()), prepared.name_any());
        if let Some(leaving) = observed.and_then(being_deleted) {
            return Err(leaving);
        }
        match self.context.applier.apply(&prepared, observed, uid).await? {
            Outcome::Created(object) => {
                self.changes.created.push(named());
                Ok(object)
            }
            Outcome::Updated(object) => {
                self.changes.updated.push(named());
                Ok(object)
            }
            Outcome::Unchanged(object) => Ok(object),
            Outcome::Foreign(found) => Err(ApplyError::Foreign(super::validate::conflict(
                &found.kind,
                &found.name,
            ))),
            Outcome::Stale => Err(self.why_stale(&prepared).await),
        }
    }

    /// An object that exists although no watch shows it may be somebody else's and lack our label.
    async fn why_stale<K: Child>(&self, prepared: &K) -> ApplyError {
        let (kind, name) = (K::kind(&()).into_owned(), prepared.name_any());
        let api = Api::<K>::namespaced(self.context.client.clone(), self.registry.names.namespace());
        match api.get_opt(&name).await {
            Ok(Some(found)) if foreign(&found, &self.registry.uid).is_some() => {
                ApplyError::Foreign(super::validate::conflict(&kind, &name))
            }
            _ => ApplyError::Stale { kind, name },
        }
    }
}

fn being_deleted<K: Child>(observed: &K) -> Option<ApplyError> {
    let metadata = observed.meta();
    metadata.deletion_timestamp.as_ref()?;
    let finalizers = metadata.finalizers.clone().unwrap_or_default();
    // Without any it is gone already, and its watch is about to show that.
    (!finalizers.is_empty()).then(|| ApplyError::BeingDeleted {
        kind: K::kind(&()).into_owned(),
        name: observed.name_any(),
        finalizers,
    })
}
