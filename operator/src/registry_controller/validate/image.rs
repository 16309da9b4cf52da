//! By which revision the pod template is rendered, and with which image. In: what the user chose, what the `StatefulSet`
//! carries. Out: `Template`. Pure.
//!
//! A newer operator keeps revision and image of a `StatefulSet` until the user changes something that reaches the
//! template: upgrading the operator restarts no registry.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use portolan_crds::v1alpha1::RegistrySpec;
use serde::Serialize;

use super::{Expose, Storage, Tls};
use crate::context::Settings;
use crate::digest;
use crate::labels::{TEMPLATE_IMAGE, TEMPLATE_INPUTS, TEMPLATE_REVISION};
use crate::names::Names;
use crate::registry_controller::observed::{Children, annotation};

/// The newest numbered way to render template and configuration. Released ones stay as they are, pinned by tests.
pub const NEWEST_REVISION: i32 = 1;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    pub revision: i32,
    pub image: String,
    /// Hash of everything that the user may choose about the template.
    pub inputs: String,
}

impl Template {
    /// Whether the `StatefulSet` was made from the same choices.
    pub(super) fn is_that_of(&self, set: Option<&StatefulSet>) -> bool {
        set.and_then(|set| annotation(set, TEMPLATE_INPUTS)) == Some(self.inputs.as_str())
    }
}

/// What is hashed: our own shape, so that a library that writes some other type differently changes nothing.
#[derive(Serialize)]
struct Inputs<'a> {
    pod: &'a portolan_crds::v1alpha1::PodSpec,
    storage: (&'static str, Option<&'a str>),
    tls_secret: &'a str,
    hostnames: &'a [String],
    port: i32,
    cluster_domain_hosts: Vec<String>,
}

pub(super) fn template(
    spec: &RegistrySpec,
    names: &Names,
    (expose, tls, storage): (&Expose, &Tls, &Storage),
    (own, pods): (&Children, &[Arc<Pod>]),
    settings: &Settings,
) -> Template {
    let inputs = hash(&Inputs {
        pod: &spec.pod,
        storage: match storage {
            Storage::Claim(claim) => ("claim", Some(&claim.name)),
            Storage::Ephemeral { size_limit } => ("ephemeral", size_limit.as_deref()),
        },
        tls_secret: match tls {
            Tls::Managed(_) => "",
            Tls::Users(certificate) => &certificate.secret_name,
            Tls::Mounted { secret_name } => secret_name,
        },
        hostnames: &expose.hostnames,
        port: expose.port,
        cluster_domain_hosts: names.service_hosts(),
    });
    let kept = kept(&inputs, own.stateful_set.as_deref(), pods);
    let revision = kept.as_ref().map_or(NEWEST_REVISION, |(revision, _)| *revision);
    let image = spec.pod.image.clone().or(kept.map(|(_, image)| image));
    Template {
        revision,
        image: image.unwrap_or_else(|| settings.registry_image.clone()),
        inputs,
    }
}

fn kept(inputs: &str, set: Option<&StatefulSet>, pods: &[Arc<Pod>]) -> Option<(i32, String)> {
    let set = set?;
    let revision: i32 = annotation(set, TEMPLATE_REVISION)?.parse().ok()?;
    let unchanged = annotation(set, TEMPLATE_INPUTS)? == inputs && (1..=NEWEST_REVISION).contains(&revision);
    let image = annotation(set, TEMPLATE_IMAGE).filter(|image| !image.is_empty())?;
    (unchanged && !pods.iter().any(|pod| cannot_have_its_image(pod))).then(|| (revision, image.to_owned()))
}

/// Keeping an image that no node can have would keep the registry down after the operator was given a better one.
fn cannot_have_its_image(pod: &Pod) -> bool {
    let statuses = pod
        .status
        .as_ref()
        .and_then(|status| status.container_statuses.as_ref());
    statuses.into_iter().flatten().any(|status| {
        let waiting = status.state.as_ref().and_then(|state| state.waiting.as_ref());
        let reason = waiting
            .and_then(|waiting| waiting.reason.as_deref())
            .unwrap_or_default();
        [
            "ErrImagePull",
            "ImagePullBackOff",
            "InvalidImageName",
            "ErrImageNeverPull",
        ]
        .contains(&reason)
    })
}

fn hash(inputs: &Inputs<'_>) -> String {
    let bytes = serde_json::to_vec(inputs).expect("plain data always becomes JSON");
    digest::short_sha256(bytes, 8)
}
