//! Whose the objects of our names are. In: observed children. Out: a problem for each that is not ours, and what must
//! be left as it is because of them. Pure.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;
use portolan_crds::conditions::reasons::FOREIGN_OBJECT_CONFLICT;

use super::{Concern, Problem};
use crate::names::Names;
use crate::registry_controller::observed::{Children, is_controlled_by, made_for};

/// Children that this pass neither makes nor changes, by kind and name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Withheld(BTreeSet<(&'static str, String)>);

impl Withheld {
    /// Objects of others, and what is rendered from a source that they hide: it would get new passwords or a new
    /// authority in every pass.
    pub(super) fn because_of(names: &Names, uid: &str, children: &Children) -> Self {
        let mut withheld = Self::default();
        for (kind, metadata) in others(uid, children) {
            withheld.add(kind, metadata.name.clone().unwrap_or_default());
        }
        if withheld.holds("Secret", &names.credentials_secret()) {
            withheld.add("Secret", names.users_secret());
            withheld.add_logins(names);
        }
        if withheld.holds("Secret", &names.ca_key_secret()) {
            withheld.add("Secret", names.tls_secret());
            withheld.add("ConfigMap", names.ca_config_map());
            withheld.add_logins(names);
        }
        withheld
    }

    pub(super) fn add(&mut self, kind: &'static str, name: String) {
        self.0.insert((kind, name));
    }

    /// R-push and R-pull.
    fn add_logins(&mut self, names: &Names) {
        self.add("Secret", names.push_secret());
        self.add("Secret", names.pull_secret());
    }

    /// What is rendered from names and port and exists already, so that clients and the pods that run still agree.
    pub(super) fn add_what_clients_use(&mut self, names: &Names, own: &Children) {
        let present = [
            ("Service", own.service.as_deref().map(ResourceExt::name_any)),
            ("Secret", own.push.as_deref().map(ResourceExt::name_any)),
            ("Secret", own.pull.as_deref().map(ResourceExt::name_any)),
        ];
        for (kind, name) in present {
            self.0.extend(name.map(|name| (kind, name)));
        }
        self.add("StatefulSet", names.stateful_set());
    }

    pub fn holds(&self, kind: &str, name: &str) -> bool {
        self.0
            .iter()
            .any(|(held, held_name)| *held == kind && held_name == name)
    }

    /// Whether a pod would start with something that is not ours or not there.
    pub(super) fn holds_what_pods_mount(&self, names: &Names) -> bool {
        let prefix = names.config_secret_prefix();
        let mounted = [
            names.tls_secret(),
            names.users_secret(),
            names.token_keys_secret(),
            names.admin_secret(),
        ];
        self.holds("ServiceAccount", &names.service_account())
            || mounted.iter().any(|name| self.holds("Secret", name))
            || self
                .0
                .iter()
                .any(|(kind, name)| *kind == "Secret" && name.starts_with(&prefix))
    }
}

fn others<'a>(uid: &'a str, children: &'a Children) -> impl Iterator<Item = (&'static str, &'a ObjectMeta)> {
    children
        .metadata()
        .into_iter()
        .filter(move |(_, metadata)| !is_controlled_by(metadata, uid))
}

/// Objects that others made are never touched. Those of a deleted Registry of this name are on their way out: the
/// garbage collector removes them, so waiting helps.
pub(super) fn foreign(names: &Names, uid: &str, children: &Children) -> Vec<Problem> {
    others(uid, children)
        .map(|(kind, metadata)| {
            let child = metadata.name.as_deref().unwrap_or_default();
            if made_for(metadata) == Some(names.registry()) {
                return Problem::absent(
                    Concern::Children,
                    format!(
                        "{kind} {child} belongs to a deleted Registry of this name and is still being removed"
                    ),
                );
            }
            Problem::unusable(Concern::Children, FOREIGN_OBJECT_CONFLICT, conflict(kind, child))
        })
        .collect()
}

/// What a person reads about an object that is in the way.
pub fn conflict(kind: &str, name: &str) -> String {
    format!(
        "{kind} {name} exists and does not belong to this Registry, so it is left alone: delete or rename it, or create \
         the Registry under another name"
    )
}

#[cfg(test)]
mod tests;
