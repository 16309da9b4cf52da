//! Identity and operation in, a decision out. Pure; nothing is allowed that no rule allows.

use portolan_config::Action;
use portolan_oci::RepositoryName;

use super::Identity;
use super::challenge::ChallengeError;
use super::scope::Scope;
use crate::operation::{Operation, UploadStart};

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is carried out.
    Allow,
    /// It is carried out as if it named no blob to mount: the identity may not read where the blob would come from,
    /// and must not learn whether it is there.
    AllowWithoutMount,
    /// The client is asked for credentials, or for a token that allows more.
    Challenge {
        /// What the token must allow.
        scopes: Vec<Scope>,
        /// What was wrong with the one that came along.
        error: Option<ChallengeError>,
    },
    /// Refused: whoever asks lacks this right.
    Deny {
        /// Where.
        repository: RepositoryName,
        /// What.
        action: Action,
    },
    /// Answered as if it were not there. Clients probe for what they are about to push, and take a refusal there for
    /// the end; who may push but not pull gets this instead.
    Hide,
}

/// Decides about one operation.
pub fn decide(identity: &Identity, operation: &Operation) -> Decision {
    let Some(need) = Need::of(operation) else {
        // the rest needs a known identity, and answers according to it; asking for a token is how to become known
        let known = !matches!(identity, Identity::Anonymous) || matches!(operation, Operation::IssueToken);
        return if known {
            Decision::Allow
        } else {
            let lists = matches!(operation, Operation::ListRepositories(_));
            Decision::Challenge {
                scopes: lists.then(Scope::catalog).into_iter().collect(),
                error: None,
            }
        };
    };
    if matches!(identity, Identity::Anonymous) {
        return Decision::Challenge {
            scopes: need.scopes(true),
            error: None,
        };
    }
    // not by the token's scopes: clients take 401 for the end of mounting, and few ask for both scopes ahead
    let source_held = need
        .source
        .is_none_or(|source| identity.holds(source, Action::Pull));
    if !identity.holds(need.repository, need.action) {
        let probing = need.action == Action::Pull && identity.holds(need.repository, Action::Push);
        return if probing {
            Decision::Hide
        } else {
            Decision::Deny {
                repository: need.repository.clone(),
                action: need.action,
            }
        };
    }
    if !identity.may(need.repository, need.action) {
        let error = Some(ChallengeError::InsufficientScope);
        return Decision::Challenge {
            scopes: need.scopes(source_held),
            error,
        };
    }
    // without a source it is for the handler to look only where the identity may read
    if source_held {
        Decision::Allow
    } else {
        Decision::AllowWithoutMount
    }
}

/// What an operation in a repository takes.
struct Need<'a> {
    repository: &'a RepositoryName,
    action: Action,
    /// Also to be read from: the source of a mount.
    source: Option<&'a RepositoryName>,
}

impl<'a> Need<'a> {
    fn of(operation: &'a Operation) -> Option<Self> {
        let (repository, action) = match operation {
            Operation::Ping | Operation::IssueToken | Operation::ListRepositories(_) => return None,
            Operation::ReadManifest(repository, _)
            | Operation::ReadBlob(repository, _)
            | Operation::ListTags(repository, _)
            | Operation::ListReferrers(repository, ..) => (repository, Action::Pull),
            // every tag of a manifest written by digest is in the same repository: one right covers them
            Operation::WriteManifest(repository, ..)
            | Operation::StartUpload(repository, _)
            | Operation::ReadUpload(repository, _)
            | Operation::AppendUpload(repository, _)
            | Operation::FinishUpload(repository, ..)
            | Operation::CancelUpload(repository, _) => (repository, Action::Push),
            Operation::DeleteManifest(repository, _) | Operation::DeleteBlob(repository, _) => {
                (repository, Action::Delete)
            }
        };
        let source = match operation {
            Operation::StartUpload(_, UploadStart::Mount(_, from)) => from.as_ref(),
            _ => None,
        };
        Some(Self {
            repository,
            action,
            source,
        })
    }

    /// What to ask the token service for. Who pushes is sent for pull too, because no client gets by without.
    fn scopes(&self, with_source: bool) -> Vec<Scope> {
        let actions: &[Action] = match self.action {
            Action::Pull => &[Action::Pull],
            Action::Push => &[Action::Pull, Action::Push],
            Action::Delete => &[Action::Delete],
        };
        let mut scopes = vec![Scope::new(self.repository, actions.iter().copied())];
        if let Some(source) = self.source.filter(|_| with_source) {
            scopes.push(Scope::new(source, [Action::Pull]));
        }
        scopes
    }
}

#[cfg(test)]
mod tests;
