//! Labels and annotations of children. In: names. Out: maps for metadata and selectors. Pure.
//!
//! Nothing is copied from the Registry's own labels, and `app.kubernetes.io/instance` is never set: GitOps tools would
//! take the children for objects of their own and prune them.

use std::collections::BTreeMap;

use crate::names::Names;

/// Which Registry a child belongs to; the only label besides the role that selectors use.
pub const REGISTRY: &str = "portolan.dev/registry";
/// What a pod does; `registry` for those that serve.
pub const ROLE: &str = "portolan.dev/role";
pub const ROLE_REGISTRY: &str = "registry";
/// On the claim: the UID of the Registry whose images it holds.
pub const REGISTRY_UID: &str = "portolan.dev/registry-uid";

/// On the StatefulSet: the numbered revision that its template was rendered by.
pub const TEMPLATE_REVISION: &str = "portolan.dev/template-revision";
/// On the StatefulSet: hash of what the user may choose about the template; a change moves it to the newest revision.
pub const TEMPLATE_INPUTS: &str = "portolan.dev/template-inputs";
/// On the StatefulSet and on R-credentials: name and UID of the claim that was bound. Either outlives the claim.
pub const BOUND_CLAIM: &str = "portolan.dev/bound-claim";
/// On pods: which versions of the mounted Secrets they should have; a change makes the kubelet remount at once.
pub const MOUNTED_SECRETS: &str = "portolan.dev/mounted-secrets";

pub type Labels = BTreeMap<String, String>;

fn labels<const N: usize>(pairs: [(&str, &str); N]) -> Labels {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// What every child carries.
pub fn child_labels(names: &Names) -> Labels {
    labels([
        (REGISTRY, names.registry()),
        ("app.kubernetes.io/name", "portolan-registry"),
        ("app.kubernetes.io/component", "registry"),
        ("app.kubernetes.io/managed-by", "portolan-operator"),
        ("app.kubernetes.io/part-of", "portolan"),
    ])
}

/// What selects the serving pods; immutable in the StatefulSet, hence chosen once.
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
