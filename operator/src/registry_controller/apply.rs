//! Makes the cluster as the prepared objects say, in the order in which they depend on each other. In: `Prepared`
//! objects, observed children. Out: the same objects as `Applied`, and what changed. IO.

mod claim;
mod destroy;
mod nudge;
mod release;

use std::marker::PhantomData;
use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Secret};
use kube::{Api, ResourceExt as _};
use thiserror::Error;

use super::build::{Applied, Prepared, Resources, Services};
use super::observed::Children;
use super::validate::ValidatedRegistry;
use crate::apply::{self, Child, Outcome, foreign};
use crate::registry_controller::Context;

pub use destroy::{Destruction, destroy_one};
pub use nudge::nudge_pods;
pub use release::{release_claim, release_claims_of};

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
        "claim {name:?} still goes with this Registry: its owner reference to the Registry cannot be removed: find out with `kubectl get pvc {name} -o yaml --show-managed-fields` who writes it back, and stop that"
    )]
    StillOwned { name: String },
    #[error("cannot annotate pod {name:?}")]
    Nudge {
        name: String,
        #[source]
        source: Box<kube::Error>,
    },
}

impl ApplyError {
    /// Whether others may fare better: this object was refused or is in the way, the API server does answer.
    fn is_about_one_object(&self) -> bool {
        match self {
            Self::Foreign(_) | Self::Stale { .. } | Self::BeingDeleted { .. } | Self::StillOwned { .. } => {
                true
            }
            Self::Write(error) => error.status().is_some(),
            Self::Claim { source, .. } | Self::Nudge { source, .. } => {
                matches!(**source, kube::Error::Api(_))
            }
        }
    }
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
    /// Whose repairs somebody undoes, each in a sentence.
    pub contested: Vec<String>,
    /// Those of them that were found only now.
    pub newly_contested: Vec<String>,
    /// When the first repair that waits is due.
    pub repair_due_in: Option<Duration>,
}

impl Changes {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the object of that kind and name was created or updated.
    pub fn has_written(&self, kind: &str, name: &str) -> bool {
        let is_it = |written: &String| written.split_once(' ') == Some((kind, name));
        self.created.iter().chain(&self.updated).any(is_it)
    }
}

/// One child after its turn; `is_done` is false where it failed, or waits for one that did.
struct Attempt<K> {
    object: Option<K>,
    is_done: bool,
}

/// One pass's writes. A child that fails keeps back what depends on it and nothing else, on a registry that has run.
#[derive(Debug)]
pub struct Writer<'a> {
    context: &'a Context,
    registry: &'a ValidatedRegistry,
    children: &'a Children,
    pub changes: Changes,
    first_failure: Option<ApplyError>,
}

impl<'a> Writer<'a> {
    pub fn new(context: &'a Context, registry: &'a ValidatedRegistry, children: &'a Children) -> Self {
        Self {
            context,
            registry,
            children,
            changes: Changes::default(),
            first_failure: None,
        }
    }

    /// The Services come first: the certificate names their addresses. One that fails is told by `apply`.
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
        let observed = children.service.as_deref();
        let service = self.attempt(service, observed, &[]).await?;
        let observed = children.headless_service.as_deref();
        let headless_service = self.attempt(headless_service, observed, &[]).await?;
        Ok(Services {
            service: service.object,
            headless_service: headless_service.object,
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
        let applied_claim = match &claim {
            Some(claim) => match self.claim(claim).await {
                Ok(applied) => Some(applied),
                // One that is there and refuses a change, such as a size beyond a quota, keeps nothing else waiting.
                Err(error) if children.claim.is_some() => {
                    self.first_failure.get_or_insert(error);
                    None
                }
                Err(error) => return Err(error),
            },
            None => None,
        };
        let observed = children.service_account.as_deref();
        let service_account = self.attempt(service_account, observed, &[]).await?;
        let ca_key = self.attempt(ca_key, children.ca_key.as_deref(), &[]).await?;
        // Clients learn a new authority before a certificate of it is served.
        let observed = children.ca_config_map.as_deref();
        let needs = [ca_key.is_done];
        let ca_config_map = self.attempt(ca_config_map, observed, &needs).await?;
        let needs = [ca_config_map.is_done];
        let tls = self.attempt(tls, children.tls.as_deref(), &needs).await?;
        // The only source of the passwords before anything that is rendered from it.
        let observed = children.credentials.as_deref();
        let credentials = self.attempt(credentials, observed, &[]).await?;
        let observed = children.token_keys.as_deref();
        let token_keys = self.attempt(token_keys, observed, &[]).await?;
        let admin = self.attempt(admin, children.admin.as_deref(), &[]).await?;
        let needs = [credentials.is_done];
        let users = self.attempt(users, children.users.as_deref(), &needs).await?;
        // Nobody is handed a password that the registry is not told, or an authority whose key is not kept.
        let needs = [users.is_done, ca_key.is_done];
        let push = self.attempt(push, children.push.as_deref(), &needs).await?;
        let pull = self.attempt(pull, children.pull.as_deref(), &needs).await?;
        let config = self.config(config).await?;
        // What its pods cannot start without.
        let needs = [
            service_account.is_done,
            tls.is_done,
            token_keys.is_done,
            admin.is_done,
            users.is_done,
            config.is_done,
        ];
        let stateful_set = Box::pin(self.stateful_set(stateful_set, &needs)).await?;
        if let Some(error) = self.first_failure.take() {
            return Err(error);
        }
        let applied = Resources {
            claim,
            service_account: service_account.object,
            ca_key: ca_key.object,
            ca_config_map: ca_config_map.object,
            tls: tls.object,
            credentials: credentials.object,
            token_keys: token_keys.object,
            admin: admin.object,
            users: users.object,
            push: push.object,
            pull: pull.object,
            config: config.object,
            stateful_set,
            state: PhantomData,
        };
        Ok((applied, applied_claim))
    }

    async fn config(&mut self, config: Option<Secret>) -> Result<Attempt<Secret>, ApplyError> {
        let name = config.as_ref().map(Secret::name_any);
        let observed = self
            .children
            .configs
            .iter()
            .find(|existing| Some(existing.name_any()) == name);
        let observed = observed.map(|existing| &**existing);
        self.attempt(config, observed, &[]).await
    }

    async fn stateful_set(
        &mut self,
        prepared: Option<StatefulSet>,
        needs: &[bool],
    ) -> Result<Option<StatefulSet>, ApplyError> {
        let observed = self.children.stateful_set.as_deref();
        // One that is withheld stays as it is, and is what the status tells about.
        let attempt = Box::pin(self.attempt(prepared, observed, needs)).await?;
        let Some(applied) = attempt.object else {
            return Ok(observed.cloned());
        };
        let generation = |set: &StatefulSet| set.metadata.generation;
        self.changes.has_new_template =
            observed.is_some_and(|before| generation(before) != generation(&applied));
        Ok(Some(applied))
    }

    /// Writes one child, unless something that it needs is missing. An error ends the pass at once.
    async fn attempt<K: Child>(
        &mut self,
        prepared: Option<K>,
        observed: Option<&K>,
        needs: &[bool],
    ) -> Result<Attempt<K>, ApplyError> {
        let missed = Attempt {
            object: None,
            is_done: false,
        };
        let prepared = match prepared {
            Some(_) if needs.contains(&false) => return Ok(missed),
            Some(prepared) => prepared,
            None => {
                return Ok(Attempt {
                    object: None,
                    is_done: true,
                });
            }
        };
        match self.one(prepared, observed).await {
            Ok(object) => Ok(Attempt {
                object: Some(object),
                is_done: true,
            }),
            Err(error) if self.registry.has_run_before && error.is_about_one_object() => {
                self.first_failure.get_or_insert(error);
                Ok(missed)
            }
            Err(error) => Err(error),
        }
    }

    async fn one<K: Child>(&mut self, prepared: K, observed: Option<&K>) -> Result<K, ApplyError> {
        let uid = &self.registry.uid;
        let named = || format!("{} {}", K::kind(&()), prepared.name_any());
        if let Some(leaving) = observed.and_then(being_deleted) {
            return Err(leaving);
        }
        let outcome = self.context.applier.apply(&prepared, observed, uid).await?;
        let child_uid = observed.and_then(|observed| observed.meta().uid.as_deref());
        let contest = child_uid.and_then(|uid| self.context.applier.contest(uid));
        let contest = contest.map(|contest| format!("{}: {contest}", named()));
        self.changes.contested.extend(contest.clone());
        match outcome {
            Outcome::Created(object) => {
                self.changes.created.push(named());
                Ok(object)
            }
            Outcome::Updated(object) => {
                self.changes.updated.push(named());
                Ok(object)
            }
            Outcome::Unchanged(object) => Ok(object),
            Outcome::Postponed {
                object,
                due_in,
                is_new,
            } => {
                self.changes.newly_contested.extend(contest.filter(|_| is_new));
                let first = self
                    .changes
                    .repair_due_in
                    .map_or(due_in, |first| first.min(due_in));
                self.changes.repair_due_in = Some(first);
                Ok(object)
            }
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
