//! The users in force: the bytes of the users file in, look-ups by name and password out. Pure.

use std::collections::HashMap;
use std::sync::Arc;

use portolan_config::{Action, FileError, Permission, Users, password_sha256};
use portolan_oci::{Algorithm, Digest};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

/// Everything the users file says, ready to be asked.
#[derive(Debug)]
pub struct UsersInForce {
    by_name: HashMap<String, Arc<UserInForce>>,
    /// SHA-256 of the file, in hexadecimal: tells who wrote the file whether it is in force.
    pub file_sha256: String,
}

/// One user.
#[derive(Debug)]
pub struct UserInForce {
    /// As in the file.
    pub name: String,
    passwords: Vec<PasswordHash>,
    permissions: Vec<Permission>,
}

struct PasswordHash([u8; 32]);

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

/// Stands for one password of one user in a token, so that a token dies with its password. Says nothing about it.
pub type PasswordMark = String;

impl UsersInForce {
    /// Reads the users file.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FileError> {
        let text = String::from_utf8_lossy(bytes);
        let users = Users::parse(&text)?.users;
        let by_name = users
            .into_iter()
            .map(|user| {
                let passwords = user
                    .password_sha256
                    .iter()
                    .filter_map(|hex| password_sha256(hex))
                    .map(PasswordHash)
                    .collect();
                let user = UserInForce {
                    name: user.name.clone(),
                    passwords,
                    permissions: user.permissions,
                };
                (user.name.clone(), Arc::new(user))
            })
            .collect();
        Ok(Self {
            by_name,
            file_sha256: Digest::of(Algorithm::Sha256, bytes).hex().to_owned(),
        })
    }

    /// The user of that name.
    pub fn user(&self, name: &str) -> Option<&Arc<UserInForce>> {
        self.by_name.get(name)
    }

    /// The user whose name and password these are. Takes as long for a name that is not there as for one that is.
    pub fn verify(&self, name: &str, password: &[u8]) -> Option<(Arc<UserInForce>, PasswordMark)> {
        let given: [u8; 32] = Sha256::digest(password).into();
        let user = self.by_name.get(name);
        let nobody = [PasswordHash([0; 32])];
        let known = user.map_or(nobody.as_slice(), |user| &user.passwords);
        let mut found = None;
        for hash in known {
            if bool::from(hash.0.ct_eq(&given)) {
                found = Some(hash);
            }
        }
        let user = user?;
        found.map(|hash| (user.clone(), hash.mark(name)))
    }
}

impl UserInForce {
    /// Is the password that this mark stands for still one of the user's?
    pub fn has_password_of(&self, mark: &str) -> bool {
        self.passwords.iter().any(|hash| hash.mark(&self.name) == mark)
    }

    /// May the user do that?
    pub fn holds(&self, repository: &str, action: Action) -> bool {
        self.permissions.iter().any(|p| {
            p.actions.contains(&action) && p.repositories.iter().any(|glob| glob.matches(repository))
        })
    }

    /// False only when the user may do that nowhere below a path, which ends with a slash.
    pub fn may_hold_below(&self, path: &str, action: Action) -> bool {
        self.permissions.iter().any(|p| {
            p.actions.contains(&action) && p.repositories.iter().any(|glob| glob.may_match_below(path))
        })
    }
}

impl PasswordHash {
    fn mark(&self, name: &str) -> PasswordMark {
        let mut hasher = Sha256::new();
        hasher.update(b"portolan password mark\0");
        hasher.update(name.as_bytes());
        hasher.update([0]);
        hasher.update(self.0);
        let digest: [u8; 32] = hasher.finalize().into();
        crate::hex(&digest[..12])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users() -> UsersInForce {
        let hash = |password: &str| {
            Digest::of(Algorithm::Sha256, password.as_bytes())
                .hex()
                .to_owned()
        };
        let text = format!(
            "users:\n- name: ann\n  passwordSha256: ['{}', '{}']\n  permissions: [{{repositories: ['a/**'], actions: [pull]}}]\n- name: root\n  passwordSha256: ['{}']\n  permissions: [{{repositories: ['**'], actions: [pull, push]}}]\n",
            hash("old"),
            hash("new"),
            hash("r")
        );
        UsersInForce::from_bytes(text.as_bytes()).unwrap()
    }

    #[test]
    fn any_password_of_a_user_opens_and_nobody_elses() {
        let users = users();
        assert!(users.verify("ann", b"old").is_some());
        assert!(users.verify("ann", b"new").is_some());
        assert!(users.verify("ann", b"r").is_none());
        assert!(users.verify("ann", b"").is_none());
        assert!(users.verify("nobody", b"new").is_none());
    }

    #[test]
    fn a_mark_belongs_to_one_password_of_one_user() {
        let users = users();
        let (ann, old) = users.verify("ann", b"old").unwrap();
        let (_, new) = users.verify("ann", b"new").unwrap();
        assert_ne!(old, new);
        assert!(ann.has_password_of(&old) && ann.has_password_of(&new));
        assert!(!users.user("root").unwrap().has_password_of(&old));
    }

    #[test]
    fn permissions_are_those_of_the_file_and_nothing_else() {
        let users = users();
        let (ann, root) = (users.user("ann").unwrap(), users.user("root").unwrap());
        assert!(ann.holds("a/b", Action::Pull));
        assert!(!ann.holds("a/b", Action::Push) && !ann.holds("b/a", Action::Pull));
        assert!(root.holds("b/a", Action::Push) && !root.holds("a", Action::Delete));
    }

    #[test]
    fn debug_output_holds_no_hash() {
        let hash = Digest::of(Algorithm::Sha256, b"old");
        let text = format!("{:?}", users());
        assert!(!text.contains(hash.hex()));
    }
}
