//! Whose the objects of our names are. In: observed children. Out: a problem for each that is not ours. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use portolan_crds::conditions::reasons::FOREIGN_OBJECT_CONFLICT;

use super::{Concern, Problem};
use crate::names::Names;
use crate::registry_controller::observed::{Children, is_controlled_by};

/// Objects that others made are never touched. Those of a deleted Registry of this name are on their way out: the
/// garbage collector removes them, so waiting helps.
pub(super) fn foreign(names: &Names, uid: &str, children: &Children) -> Vec<Problem> {
    children
        .metadata()
        .into_iter()
        .filter(|(_, metadata)| !is_controlled_by(metadata, uid))
        .map(|(kind, metadata)| {
            let child = metadata.name.as_deref().unwrap_or_default();
            if belonged_to_namesake(metadata, names) {
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

fn belonged_to_namesake(metadata: &ObjectMeta, names: &Names) -> bool {
    metadata.owner_references.iter().flatten().any(|owner| {
        owner.controller == Some(true)
            && owner.kind == "Registry"
            && owner.api_version.starts_with("portolan.dev/")
            && owner.name == names.registry()
    })
}
