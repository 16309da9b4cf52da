//! The generated passwords of a Registry: Secret `R-credentials` in and out, and what is rendered from it, the
//! registry's `users.yaml` and the clients' `config.json`. Pure; random bytes are an argument.
//!
//! Passwords live in two numbered slots. The active one is handed out, every filled one is accepted. A password is
//! never made again while its slot can be read: clients have it.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use k8s_openapi::ByteString;
use portolan_config::{Action, Glob, Permission, User, Users};
use sha2::{Digest as _, Sha256};

/// Random bytes behind each password: 192 bits, far beyond what anybody can search, so a plain SHA-256 hides it.
const PASSWORD_BYTES: usize = 24;
/// What [`Credentials::initial`] wants: one password per account.
pub type InitialEntropy = [u8; PASSWORD_BYTES * Account::ALL.len()];
/// Shortest text that can hold 128 random bits; what is shorter was not made here.
const PASSWORD_MIN_CHARS: usize = 22;
/// Key of the Secret that holds the number of the active slot.
const ACTIVE: &str = "active";

/// The users that every Registry has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Account {
    /// May pull and push, everywhere in the registry; may not delete.
    Push,
    /// May pull, everywhere in the registry.
    Pull,
}

/// One of the two numbered places for a generation of passwords.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Slot {
    /// Where the first generation lives.
    One,
    /// Where the next one lives.
    Two,
}

/// A generated password; only ever shown where it is rendered.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

/// The filled slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    active: Slot,
    passwords: BTreeMap<(Slot, Account), Password>,
}

/// What is wrong with the data of `R-credentials`. The caller names the Secret.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsError {
    /// No number of the active slot, or one that does not exist.
    #[error("key \"active\" must hold the number of a slot, 1 or 2, and holds {found:?}")]
    Active {
        /// What is there; empty when the key is missing.
        found: String,
    },
    /// The active slot lacks a password, or a slot holds one that was not generated here.
    #[error(
        "key {key:?} must hold a generated password of at least {PASSWORD_MIN_CHARS} URL-safe characters"
    )]
    Password {
        /// Key of the Secret.
        key: String,
    },
}

impl Account {
    /// Every account, in the order of rendering.
    pub const ALL: [Self; 2] = [Self::Push, Self::Pull];

    /// The user name that clients send.
    pub fn user_name(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::Pull => "pull",
        }
    }

    fn actions(self) -> Vec<Action> {
        match self {
            Self::Push => vec![Action::Pull, Action::Push],
            Self::Pull => vec![Action::Pull],
        }
    }
}

impl Slot {
    const ALL: [Self; 2] = [Self::One, Self::Two];

    /// 1 or 2, as status and the Secret show it.
    pub fn number(self) -> i32 {
        match self {
            Self::One => 1,
            Self::Two => 2,
        }
    }

    fn key(self, account: Account) -> String {
        format!("{}-{}", account.user_name(), self.number())
    }
}

impl Password {
    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }

    fn from_entropy(entropy: &[u8]) -> Self {
        Self(URL_SAFE_NO_PAD.encode(entropy))
    }

    fn parse(key: &str, bytes: &[u8]) -> Result<Self, CredentialsError> {
        let is_url_safe = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if bytes.len() < PASSWORD_MIN_CHARS || !bytes.iter().all(is_url_safe) {
            return Err(CredentialsError::Password { key: key.to_owned() });
        }
        Ok(Self(String::from_utf8_lossy(bytes).into_owned()))
    }

    fn sha256(&self) -> String {
        Sha256::digest(self.0.as_bytes())
            .iter()
            .fold(String::new(), |mut text, byte| {
                let _ = fmt::Write::write_fmt(&mut text, format_args!("{byte:02x}"));
                text
            })
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

impl Credentials {
    /// Slot 1 filled from fresh random bytes.
    pub fn initial(entropy: &InitialEntropy) -> Self {
        let passwords = Account::ALL
            .into_iter()
            .zip(entropy.chunks_exact(PASSWORD_BYTES))
            .map(|(account, bytes)| ((Slot::One, account), Password::from_entropy(bytes)))
            .collect();
        Self {
            active: Slot::One,
            passwords,
        }
    }

    /// Reads the data of `R-credentials`.
    pub fn from_secret_data(data: &BTreeMap<String, ByteString>) -> Result<Self, CredentialsError> {
        let found = data.get(ACTIVE).map_or(&[][..], |bytes| bytes.0.as_slice());
        let active = Slot::ALL
            .into_iter()
            .find(|slot| slot.number().to_string().as_bytes() == found.trim_ascii())
            .ok_or_else(|| CredentialsError::Active {
                found: String::from_utf8_lossy(found).into_owned(),
            })?;
        let mut passwords = BTreeMap::new();
        for slot in Slot::ALL {
            for account in Account::ALL {
                let key = slot.key(account);
                match data.get(&key) {
                    Some(bytes) => {
                        passwords.insert((slot, account), Password::parse(&key, &bytes.0)?);
                    }
                    None if slot == active => return Err(CredentialsError::Password { key }),
                    None => {}
                }
            }
        }
        Ok(Self { active, passwords })
    }

    /// The data of `R-credentials`.
    pub fn to_secret_data(&self) -> BTreeMap<String, ByteString> {
        let text = |text: &str| ByteString(text.as_bytes().to_vec());
        let mut data = BTreeMap::from([(ACTIVE.to_owned(), text(&self.active.number().to_string()))]);
        data.extend(
            self.passwords
                .iter()
                .map(|((slot, account), password)| (slot.key(*account), text(&password.0))),
        );
        data
    }

    /// The slot that is handed out.
    pub fn active_slot(&self) -> Slot {
        self.active
    }

    /// The password that is handed out.
    pub fn active_password(&self, account: Account) -> &Password {
        self.passwords
            .get(&(self.active, account))
            .expect("the active slot is filled for every account")
    }

    /// The users file of the registry: each account with the hashes of all its filled slots. The same credentials
    /// always give the same text.
    pub fn users_yaml(&self) -> String {
        let users = Account::ALL.into_iter().map(|account| User {
            name: account.user_name().to_owned(),
            password_sha256: self.accepted(account).map(Password::sha256).collect(),
            permissions: vec![Permission {
                repositories: vec![Glob::all()],
                actions: account.actions(),
            }],
        });
        Users {
            users: users.collect(),
        }
        .to_yaml()
    }

    /// The `config.json` of docker, podman and the kubelet that logs `account` in under each of the registry's names.
    pub fn docker_config_json(&self, account: Account, hosts: &[String]) -> String {
        let (user, password) = (account.user_name(), self.active_password(account).expose());
        let login = serde_json::json!({
            "username": user,
            "password": password,
            "auth": STANDARD.encode(format!("{user}:{password}")),
        });
        let logins: BTreeMap<&String, &serde_json::Value> = hosts.iter().map(|host| (host, &login)).collect();
        serde_json::json!({ "auths": logins }).to_string()
    }

    fn accepted(&self, account: Account) -> impl Iterator<Item = &Password> {
        Slot::ALL
            .into_iter()
            .filter_map(move |slot| self.passwords.get(&(slot, account)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entropy() -> InitialEntropy {
        std::array::from_fn(|index| u8::try_from(index).unwrap())
    }

    fn bytes(text: &str) -> ByteString {
        ByteString(text.as_bytes().to_vec())
    }

    #[test]
    fn secret_data_reads_back_as_it_was_written() {
        let credentials = Credentials::initial(&entropy());
        assert_eq!(
            Credentials::from_secret_data(&credentials.to_secret_data()),
            Ok(credentials)
        );
    }

    #[test]
    fn accounts_get_different_passwords_of_192_bits() {
        let credentials = Credentials::initial(&entropy());
        let (push, pull) = (
            credentials.active_password(Account::Push),
            credentials.active_password(Account::Pull),
        );
        assert_ne!(push, pull);
        assert_eq!(push.expose().len(), 32);
    }

    #[test]
    fn both_slots_are_accepted_and_the_active_one_is_handed_out() {
        let mut data = Credentials::initial(&entropy()).to_secret_data();
        let next = "abcdefghijklmnopqrstuvwxyz012345";
        data.insert("push-2".to_owned(), bytes(next));
        data.insert("pull-2".to_owned(), bytes(next));
        data.insert("active".to_owned(), bytes("2\n"));
        let credentials = Credentials::from_secret_data(&data).unwrap();
        assert_eq!(credentials.active_slot().number(), 2);
        assert_eq!(credentials.active_password(Account::Push).expose(), next);
        let users = Users::parse(&credentials.users_yaml()).unwrap();
        assert_eq!(users.users[0].password_sha256.len(), 2);
    }

    #[test]
    fn no_account_may_delete() {
        let users = Users::parse(&Credentials::initial(&entropy()).users_yaml()).unwrap();
        let may = |user: &User, action| {
            user.permissions
                .iter()
                .any(|permission| permission.actions.contains(&action))
        };
        assert!(
            users
                .users
                .iter()
                .all(|user| may(user, Action::Pull) && !may(user, Action::Delete))
        );
        assert_eq!(
            users.users.iter().filter(|user| may(user, Action::Push)).count(),
            1
        );
    }

    #[test]
    fn users_file_holds_hashes_and_no_password() {
        let credentials = Credentials::initial(&entropy());
        let text = credentials.users_yaml();
        assert_eq!(text, credentials.users_yaml());
        for account in Account::ALL {
            assert!(!text.contains(credentials.active_password(account).expose()));
            assert!(text.contains(&credentials.active_password(account).sha256()));
        }
    }

    #[test]
    fn docker_config_logs_in_under_every_name() {
        let credentials = Credentials::initial(&entropy());
        let hosts = [
            "registry.team-a.svc".to_owned(),
            "registry.example.com:8443".to_owned(),
        ];
        let config: serde_json::Value =
            serde_json::from_str(&credentials.docker_config_json(Account::Pull, &hosts)).unwrap();
        for host in &hosts {
            let auth = config["auths"][host]["auth"].as_str().unwrap();
            let decoded = String::from_utf8(STANDARD.decode(auth).unwrap()).unwrap();
            assert_eq!(
                decoded,
                format!("pull:{}", credentials.active_password(Account::Pull).expose())
            );
        }
    }

    #[test]
    fn damaged_secret_names_the_key() {
        let good = Credentials::initial(&entropy()).to_secret_data();
        let with = |key: &str, value: Option<&str>| {
            let mut data = good.clone();
            match value {
                Some(value) => data.insert(key.to_owned(), bytes(value)),
                None => data.remove(key),
            };
            Credentials::from_secret_data(&data).unwrap_err().to_string()
        };
        assert!(with("active", None).contains("\"active\""));
        assert!(with("active", Some("3")).contains("holds \"3\""));
        assert!(with("active", Some("2")).contains("\"push-2\""));
        assert!(with("push-1", Some("short")).contains("\"push-1\""));
        assert!(with("pull-1", Some("with a space, which no client sends")).contains("\"pull-1\""));
    }

    #[test]
    fn password_stays_out_of_debug_output() {
        let credentials = Credentials::initial(&entropy());
        assert!(!format!("{credentials:?}").contains(credentials.active_password(Account::Push).expose()));
    }
}
