//! Who asks, and may they? A request's headers come in; an [`Identity`] goes out, then a [`Decision`] about an
//! operation. The two are separate steps, always both taken, in this order, before any handler runs.
//!
//! What is in force (users, keys) is swapped as a whole when its file changes; a request sees one state throughout.

pub mod authenticate;
pub mod authorize;
pub mod basic;
pub mod challenge;
pub mod hosts;
pub mod scope;
pub mod token;
pub mod users;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use portolan_config::Action;
use portolan_oci::RepositoryName;

pub use authorize::{Decision, decide};

use crate::reload::Current;
use scope::Scope;
use token::TokenKeys;
use users::{UserInForce, UsersInForce};

/// Access control, when it is configured at all.
#[derive(Debug)]
pub struct Auth {
    /// The users file, as last read without an error.
    pub users: Arc<Current<UsersInForce>>,
    /// The token service; without it only Basic credentials are taken.
    pub tokens: Option<Tokens>,
}

/// The built-in token service.
#[derive(Debug)]
pub struct Tokens {
    /// The keys, as last read without an error.
    pub keys: Arc<Current<TokenKeys>>,
    /// Audience and issuer of the tokens, `service` of the challenge.
    pub service: String,
    /// How long a token is good for.
    pub lifetime: Duration,
}

/// Who asks.
#[derive(Clone, Debug)]
pub enum Identity {
    /// Access control is off: everybody may do everything.
    Everybody,
    /// No credentials came along.
    Anonymous,
    /// A user of the users file, as it is now.
    User {
        /// Name and permissions.
        user: Arc<UserInForce>,
        /// What a token narrows them to; `None` with a password.
        scopes: Option<Vec<Scope>>,
    },
}

impl Identity {
    /// The name for logs; a user's own, or none.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Everybody | Self::Anonymous => None,
            Self::User { user, .. } => Some(&user.name),
        }
    }

    /// May this request, with this token, do that?
    pub fn may(&self, repository: &RepositoryName, action: Action) -> bool {
        match self {
            Self::Everybody => true,
            Self::Anonymous => false,
            Self::User { user, scopes } => {
                user.holds(repository.as_str(), action)
                    && scopes
                        .as_ref()
                        .is_none_or(|scopes| scopes.iter().any(|s| s.covers(repository, action)))
            }
        }
    }

    /// Is this repository to be listed for this request? A token for the catalog lists what its user may read, another
    /// one what it may read itself.
    pub fn may_list(&self, repository: &RepositoryName) -> bool {
        match self {
            Self::User {
                scopes: Some(scopes), ..
            } if !scopes.iter().any(Scope::covers_catalog) => self.may(repository, Action::Pull),
            _ => self.holds(repository, Action::Pull),
        }
    }

    /// Can anything below a path, which ends with a slash, be listed for this request?
    pub fn may_list_below(&self, path: &str) -> bool {
        match self {
            Self::Everybody => true,
            Self::Anonymous => false,
            Self::User { user, .. } => user.may_hold_below(path, Action::Pull),
        }
    }

    /// Does the user file grant that, whatever the token says?
    pub fn holds(&self, repository: &RepositoryName, action: Action) -> bool {
        match self {
            Self::Everybody => true,
            Self::Anonymous => false,
            Self::User { user, .. } => user.holds(repository.as_str(), action),
        }
    }
}

/// The time as the caller's clock has it, in whole seconds since 1970.
pub(crate) fn unix_seconds(now: Timestamp) -> u64 {
    u64::try_from(now.as_second()).unwrap_or_default()
}
