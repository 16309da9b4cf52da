//! Every name that follows from a Registry's own: its children, the hosts that its certificate and its clients know.
//! In: namespace, name, cluster domain. Out: strings. Pure; the names are API and never change.

use thiserror::Error;

/// The longest name that leaves room for the longest suffix of a child (`-config-` and ten characters) in a DNS label,
/// and for the revision hash that a `StatefulSet` puts into a label of its pods.
pub const MAX_REGISTRY_NAME: usize = 40;

/// Why a Registry's name cannot carry the names of its children.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NameError {
    #[error("metadata.name {name:?} has {length} characters: use at most {MAX_REGISTRY_NAME}")]
    TooLong { name: String, length: usize },
    #[error(
        "metadata.name {name:?} is no DNS label: use lower-case letters, digits and '-', and start with a letter"
    )]
    NotALabel { name: String },
}

/// The names around one Registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    namespace: String,
    name: String,
    cluster_domain: String,
}

impl Names {
    pub fn new(namespace: &str, name: &str, cluster_domain: &str) -> Result<Self, NameError> {
        if name.len() > MAX_REGISTRY_NAME {
            return Err(NameError::TooLong {
                name: name.to_owned(),
                length: name.len(),
            });
        }
        let starts_well = name.starts_with(|first: char| first.is_ascii_lowercase());
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if !starts_well || name.ends_with('-') || !name.bytes().all(plain) {
            return Err(NameError::NotALabel {
                name: name.to_owned(),
            });
        }
        Ok(Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            cluster_domain: cluster_domain.to_owned(),
        })
    }

    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    pub fn registry(&self) -> &str {
        &self.name
    }

    pub fn service(&self) -> String {
        self.name.clone()
    }

    pub fn headless_service(&self) -> String {
        format!("{}-pods", self.name)
    }

    pub fn stateful_set(&self) -> String {
        self.name.clone()
    }

    pub fn service_account(&self) -> String {
        self.name.clone()
    }

    /// The claim that we create; an adopted one keeps the name that `existingClaimName` gives.
    pub fn claim(&self) -> String {
        format!("{}-data", self.name)
    }

    pub fn ca_config_map(&self) -> String {
        format!("{}-ca", self.name)
    }

    pub fn tls_secret(&self) -> String {
        format!("{}-tls", self.name)
    }

    pub fn ca_key_secret(&self) -> String {
        format!("{}-ca-key", self.name)
    }

    pub fn token_keys_secret(&self) -> String {
        format!("{}-token-keys", self.name)
    }

    pub fn admin_secret(&self) -> String {
        format!("{}-admin", self.name)
    }

    pub fn users_secret(&self) -> String {
        format!("{}-users", self.name)
    }

    pub fn config_secret(&self, hash: &str) -> String {
        format!("{}{hash}", self.config_secret_prefix())
    }

    /// What the names of all configuration Secrets, also of older ones, begin with.
    pub fn config_secret_prefix(&self) -> String {
        format!("{}-config-", self.name)
    }

    pub fn credentials_secret(&self) -> String {
        format!("{}-credentials", self.name)
    }

    pub fn push_secret(&self) -> String {
        format!("{}-push", self.name)
    }

    pub fn pull_secret(&self) -> String {
        format!("{}-pull", self.name)
    }

    /// `R.ns.svc`: the name that clients inside the cluster use, and the SNI of our own probes.
    pub fn internal_host(&self) -> String {
        format!("{}.{}.svc", self.name, self.namespace)
    }

    /// All names of Service R as the cluster's DNS answers them, the preferred one first.
    pub fn service_hosts(&self) -> Vec<String> {
        let (name, namespace, domain) = (&self.name, &self.namespace, &self.cluster_domain);
        vec![
            self.internal_host(),
            format!("{name}.{namespace}.svc.{domain}"),
            format!("{name}.{namespace}"),
            name.clone(),
        ]
    }

    /// The pods' own names below the headless Service, as one wildcard.
    pub fn pod_hosts_wildcard(&self) -> String {
        format!("*.{}.{}.svc", self.headless_service(), self.namespace)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all_children(names: &Names) -> Vec<String> {
        vec![
            names.service(),
            names.headless_service(),
            names.stateful_set(),
            names.service_account(),
            names.claim(),
            names.ca_config_map(),
            names.tls_secret(),
            names.ca_key_secret(),
            names.token_keys_secret(),
            names.admin_secret(),
            names.users_secret(),
            names.config_secret("0123456789"),
            names.credentials_secret(),
            names.push_secret(),
            names.pull_secret(),
        ]
    }

    proptest! {
        #[test]
        fn every_child_of_an_accepted_name_is_a_dns_label(name in "[a-z][a-z0-9-]{0,38}[a-z0-9]") {
            let names = Names::new("team-a", &name, "cluster.local").unwrap();
            for child in all_children(&names) {
                prop_assert!(child.len() <= 63, "{child} is too long");
            }
            // A StatefulSet labels its pods with its own name and a hash of ten characters.
            prop_assert!(names.stateful_set().len() + 11 <= 63);
        }

        #[test]
        fn any_text_gives_names_or_an_error(name in ".{0,60}") {
            let _ = Names::new("team-a", &name, "cluster.local");
        }
    }

    #[test]
    fn names_that_no_service_can_have_are_refused() {
        for name in ["", "1st", "-a", "a-", "A", "a.b", "a_b"] {
            assert!(
                matches!(Names::new("ns", name, "x"), Err(NameError::NotALabel { .. })),
                "{name}"
            );
        }
        assert!(matches!(
            Names::new("ns", &"a".repeat(41), "x"),
            Err(NameError::TooLong { length: 41, .. })
        ));
    }

    #[test]
    fn secrets_of_one_registry_never_share_a_name() {
        let mut children = all_children(&Names::new("team-a", "depot", "cluster.local").unwrap());
        children.retain(|child| child.starts_with("depot-"));
        let count = children.len();
        children.sort();
        children.dedup();
        assert_eq!(children.len(), count);
    }
}
