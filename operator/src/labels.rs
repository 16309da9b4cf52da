//! Labels and annotations of children. In: names. Out: maps for metadata and selectors. Pure.
//!
//! Nothing is copied from the Registry's own labels, and `app.kubernetes.io/instance` is never set: `GitOps` tools would
//! take the children for objects of their own and prune them.

use std::collections::BTreeMap;

use crate::names::Names;

pub use portolan_crds::labels::{
    APP_COMPONENT, APP_MANAGED_BY, APP_MANAGED_BY_VALUE, APP_NAME, APP_NAME_VALUE, APP_PART_OF,
    APP_PART_OF_VALUE, FIELD_MANAGER_REGISTRY, FIELD_MANAGER_REGISTRY_STATUS, MOUNTED_SECRETS, REGISTRY,
    REGISTRY_UID, ROLE, ROLE_REGISTRY, TEMPLATE_REVISION,
};

/// On the `StatefulSet`: hash of what the user may choose about the template; a change moves it to the newest revision.
pub const TEMPLATE_INPUTS: &str = "portolan.dev/template-inputs";
/// On the `StatefulSet` and on R-credentials: name and UID of the claim in use. Either outlives the claim.
pub const USED_CLAIM: &str = "portolan.dev/used-claim";
/// On the `StatefulSet`: the image that the newest revision was rendered with. A newer operator keeps it.
pub const TEMPLATE_IMAGE: &str = "portolan.dev/template-image";

pub type Labels = BTreeMap<String, String>;

fn labels<const N: usize>(pairs: [(&str, &str); N]) -> Labels {
    pairs
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// What every child carries.
pub fn child_labels(names: &Names) -> Labels {
    labels([
        (REGISTRY, names.registry()),
        (APP_NAME, APP_NAME_VALUE),
        (APP_COMPONENT, ROLE_REGISTRY),
        (APP_MANAGED_BY, APP_MANAGED_BY_VALUE),
        (APP_PART_OF, APP_PART_OF_VALUE),
    ])
}

/// What selects the serving pods; immutable in the `StatefulSet`, hence chosen once.
pub fn selector(names: &Names) -> Labels {
    labels([(REGISTRY, names.registry()), (ROLE, ROLE_REGISTRY)])
}

/// Labels of serving pods: the user's own first, ours on top.
pub fn pod_labels(names: &Names, users: &Labels) -> Labels {
    let mut all = users.clone();
    all.extend(child_labels(names));
    all.extend(selector(names));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_label_lets_a_gitops_tool_adopt_children() {
        let names = Names::new("team-a", "depot", "cluster.local").unwrap();
        let all = pod_labels(&names, &Labels::new());
        assert!(!all.contains_key("app.kubernetes.io/instance"));
        assert!(!all.contains_key("app.kubernetes.io/version"));
    }

    #[test]
    fn users_labels_never_hide_pods_from_the_selector() {
        let names = Names::new("team-a", "depot", "cluster.local").unwrap();
        let users = labels([(REGISTRY, "other"), (ROLE, "other"), ("team", "a")]);
        let all = pod_labels(&names, &users);
        assert_eq!(all["team"], "a");
        assert!(selector(&names).iter().all(|(key, value)| all[key] == *value));
    }
}
