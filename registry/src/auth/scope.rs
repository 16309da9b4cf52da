//! Token scopes: `repository:team/app:pull,push` or `registry:catalog:*` in, what is asked for out; and back as the claim
//! of a token. Pure.

use portolan_config::Action;
use portolan_oci::RepositoryName;
use serde::{Deserialize, Serialize};

/// Some actions in one repository, or the list of repositories: an entry of a token's `access` claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    #[serde(rename = "type")]
    kind: String,
    name: String,
    actions: Vec<Granted>,
}

/// What stands in the last part of a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum Granted {
    Action(Action),
    Listing(Listing),
}

/// The only right there is on the catalog.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Listing {
    #[serde(rename = "*")]
    All,
}

const REPOSITORY: &str = "repository";
const REGISTRY: &str = "registry";
const CATALOG: &str = "catalog";

impl Scope {
    /// Actions in a repository.
    pub fn new(repository: &RepositoryName, actions: impl IntoIterator<Item = Action>) -> Self {
        Self {
            kind: REPOSITORY.to_owned(),
            name: repository.as_str().to_owned(),
            actions: actions.into_iter().map(Granted::Action).collect(),
        }
    }

    /// The list of repositories.
    pub fn catalog() -> Self {
        Self {
            kind: REGISTRY.to_owned(),
            name: CATALOG.to_owned(),
            actions: vec![Granted::Listing(Listing::All)],
        }
    }

    /// Reads one scope; `None` for a kind that this registry grants nothing of, and for what is misspelled: asking
    /// for something unknown gets a token without it, not an error. The name may hold colons (`host:5000/app` of some
    /// clients is then no repository name and also grants nothing).
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once(':')?;
        let (name, actions) = rest.rsplit_once(':')?;
        let kind = kind.split('(').next()?;
        if (kind, name, actions) == (REGISTRY, CATALOG, "*") {
            return Some(Self::catalog());
        }
        if kind != REPOSITORY {
            return None;
        }
        let repository: RepositoryName = name.parse().ok()?;
        let mut known: Vec<Action> = Vec::new();
        for action in actions.split(',') {
            let more: &[Action] = match action {
                "pull" => &[Action::Pull],
                "push" => &[Action::Push],
                "delete" => &[Action::Delete],
                "*" => &[Action::Pull, Action::Push, Action::Delete],
                _ => &[],
            };
            for action in more {
                if !known.contains(action) {
                    known.push(*action);
                }
            }
        }
        Some(Self::new(&repository, known))
    }

    /// Reads every scope of a request: parameters may repeat, and each may hold several with blanks between.
    pub fn parse_all<'a>(parameters: impl Iterator<Item = &'a str>) -> Vec<Self> {
        parameters
            .flat_map(str::split_whitespace)
            .filter_map(Self::parse)
            .collect()
    }

    /// What is left of this scope when only some actions are granted; `None` when nothing is. The catalog is everybody's:
    /// it lists to each what each may read.
    pub fn narrowed(&self, mut granted: impl FnMut(&str, Action) -> bool) -> Option<Self> {
        let actions: Vec<_> = self
            .actions
            .iter()
            .copied()
            .filter(|it| match it {
                Granted::Action(action) => granted(&self.name, *action),
                Granted::Listing(Listing::All) => true,
            })
            .collect();
        (!actions.is_empty()).then(|| Self {
            actions,
            ..self.clone()
        })
    }

    /// Does this scope allow that?
    pub fn covers(&self, repository: &RepositoryName, action: Action) -> bool {
        self.kind == REPOSITORY
            && self.name == repository.as_str()
            && self.actions.contains(&Granted::Action(action))
    }

    /// Does this scope allow to list repositories?
    pub fn covers_catalog(&self) -> bool {
        *self == Self::catalog()
    }
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:", self.kind, self.name)?;
        for (n, action) in self.actions.iter().enumerate() {
            let comma = if n > 0 { "," } else { "" };
            let action = match action {
                Granted::Action(action) => action.as_str(),
                Granted::Listing(Listing::All) => "*",
            };
            write!(f, "{comma}{action}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// P26.
    #[test]
    fn scopes_may_repeat_and_be_joined_by_blanks() {
        let scopes =
            Scope::parse_all(["repository:a:pull repository:b/c:push,pull", "repository:d:*"].into_iter());
        let texts: Vec<_> = scopes.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "repository:a:pull",
                "repository:b/c:push,pull",
                "repository:d:pull,push,delete"
            ]
        );
    }

    /// P26: the name of a scope may hold a colon, and is no repository of ours then.
    #[test]
    fn what_is_unknown_grants_nothing() {
        for text in [
            "registry:catalog:pull",
            "registry:other:*",
            "repository::pull",
            "repository:a",
            "repository:host:5000/a:pull",
            "x",
            "",
        ] {
            assert_eq!(Scope::parse(text), None, "{text}");
        }
        let scope = Scope::parse("repository:a:pull,admin,pull").unwrap();
        assert_eq!(scope.to_string(), "repository:a:pull");
    }

    /// P33.
    #[test]
    fn the_catalog_is_a_scope_of_its_own_and_survives_a_token() {
        let scope = Scope::parse("registry:catalog:*").unwrap();
        assert!(scope.covers_catalog());
        assert_eq!(scope.to_string(), "registry:catalog:*");
        assert_eq!(scope.narrowed(|_, _| false), Some(scope.clone()));
        let claim = serde_json::to_string(&scope).unwrap();
        assert_eq!(claim, r#"{"type":"registry","name":"catalog","actions":["*"]}"#);
        assert_eq!(serde_json::from_str::<Scope>(&claim).unwrap(), scope);
    }

    #[test]
    fn a_scope_is_narrowed_to_what_is_granted() {
        let scope = Scope::parse("repository:a:pull,push").unwrap();
        let narrowed = scope.narrowed(|_, action| action == Action::Pull).unwrap();
        assert_eq!(narrowed.to_string(), "repository:a:pull");
        assert_eq!(scope.narrowed(|_, _| false), None);
        let a = "a".parse().unwrap();
        assert!(narrowed.covers(&a, Action::Pull) && !narrowed.covers(&a, Action::Push));
        assert!(!narrowed.covers(&"b".parse().unwrap(), Action::Pull));
    }
}
