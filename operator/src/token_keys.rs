//! The keys that sign bearer tokens: Secret `R-token-keys` in and out. Pure but for the key generator's entropy.
//!
//! The Secret holds `active`, the id of the key that signs, and `<id>.pem` (PKCS#8, P-256) for each key that is
//! accepted. The registry reads the same files from its mount.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::ByteString;
use rcgen::{KeyPair, PublicKeyData as _};
use sha2::{Digest as _, Sha256};

const ACTIVE: &str = "active";
const SUFFIX: &str = ".pem";

/// The accepted keys and which of them signs.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenKeys {
    active: String,
    pems: BTreeMap<String, String>,
}

/// What is wrong with the data of `R-token-keys`. The caller names the Secret.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenKeysError {
    /// `active` is missing or names a key that is not there.
    #[error("key \"active\" must hold the id of a key that is there as <id>.pem, and holds {found:?}")]
    Active {
        /// What is there; empty when the key is missing.
        found: String,
    },
    /// A key that cannot be used.
    #[error("key {key:?} must hold a P-256 private key as PKCS#8 PEM: {problem}")]
    Key {
        /// Key of the Secret.
        key: String,
        /// What the parser said.
        problem: String,
    },
    /// The generator failed, which means that the system has no entropy.
    #[error("cannot generate a key: {problem}")]
    Generate {
        /// What the generator said.
        problem: String,
    },
}

impl TokenKeys {
    /// One fresh key.
    pub fn generate() -> Result<Self, TokenKeysError> {
        let key = KeyPair::generate().map_err(|error| TokenKeysError::Generate {
            problem: error.to_string(),
        })?;
        let id = key_id(&key);
        Ok(Self {
            active: id.clone(),
            pems: BTreeMap::from([(id, key.serialize_pem())]),
        })
    }

    /// Reads the data of `R-token-keys`. Other keys than `active` and `*.pem` are left alone.
    pub fn from_secret_data(data: &BTreeMap<String, ByteString>) -> Result<Self, TokenKeysError> {
        let mut pems = BTreeMap::new();
        for (key, bytes) in data {
            let Some(id) = key.strip_suffix(SUFFIX) else {
                continue;
            };
            pems.insert(id.to_owned(), parse_key(key, &bytes.0)?);
        }
        let found = data.get(ACTIVE).map_or(&[][..], |bytes| bytes.0.as_slice());
        let active = String::from_utf8_lossy(found).trim().to_owned();
        if !pems.contains_key(&active) {
            return Err(TokenKeysError::Active { found: active });
        }
        Ok(Self { active, pems })
    }

    /// The data of `R-token-keys`.
    pub fn to_secret_data(&self) -> BTreeMap<String, ByteString> {
        let mut data = BTreeMap::from([(ACTIVE.to_owned(), ByteString(self.active.clone().into_bytes()))]);
        data.extend(
            self.pems
                .iter()
                .map(|(id, pem)| (format!("{id}{SUFFIX}"), ByteString(pem.clone().into_bytes()))),
        );
        data
    }

    /// Id of the key that signs.
    pub fn active_id(&self) -> &str {
        &self.active
    }

    /// Ids of all accepted keys, in order.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.pems.keys().map(String::as_str)
    }
}

impl fmt::Debug for TokenKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenKeys")
            .field("active", &self.active)
            .finish_non_exhaustive()
    }
}

fn parse_key(key: &str, bytes: &[u8]) -> Result<String, TokenKeysError> {
    let unusable = |problem: String| TokenKeysError::Key {
        key: key.to_owned(),
        problem,
    };
    let pem = std::str::from_utf8(bytes).map_err(|_| unusable("it is not text".to_owned()))?;
    let pair = KeyPair::from_pem(pem).map_err(|error| unusable(error.to_string()))?;
    if *pair.algorithm() != rcgen::PKCS_ECDSA_P256_SHA256 {
        return Err(unusable("it is of another kind".to_owned()));
    }
    Ok(pem.to_owned())
}

/// The first 64 bits of the public key's SHA-256: equal keys have equal ids on every side.
fn key_id(key: &KeyPair) -> String {
    Sha256::digest(key.subject_public_key_info())[..8]
        .iter()
        .fold(String::new(), |mut text, byte| {
            let _ = fmt::Write::write_fmt(&mut text, format_args!("{byte:02x}"));
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &str) -> ByteString {
        ByteString(text.as_bytes().to_vec())
    }

    #[test]
    fn secret_data_reads_back_as_it_was_written() {
        let keys = TokenKeys::generate().unwrap();
        assert_eq!(TokenKeys::from_secret_data(&keys.to_secret_data()), Ok(keys));
    }

    #[test]
    fn every_key_has_an_id_of_its_own() {
        assert_ne!(
            TokenKeys::generate().unwrap().active_id(),
            TokenKeys::generate().unwrap().active_id()
        );
    }

    #[test]
    fn older_keys_stay_accepted() {
        let (old, new) = (TokenKeys::generate().unwrap(), TokenKeys::generate().unwrap());
        let mut data = old.to_secret_data();
        data.extend(new.to_secret_data());
        let both = TokenKeys::from_secret_data(&data).unwrap();
        assert_eq!(both.active_id(), new.active_id());
        assert_eq!(both.ids().count(), 2);
    }

    #[test]
    fn damaged_secret_names_the_key() {
        let good = TokenKeys::generate().unwrap();
        let mut data = good.to_secret_data();
        data.insert("active".to_owned(), bytes("gone"));
        assert_eq!(
            TokenKeys::from_secret_data(&data),
            Err(TokenKeysError::Active {
                found: "gone".to_owned()
            })
        );
        let mut data = good.to_secret_data();
        data.insert("bad.pem".to_owned(), bytes("garbage"));
        assert!(
            TokenKeys::from_secret_data(&data)
                .unwrap_err()
                .to_string()
                .starts_with("key \"bad.pem\"")
        );
        let mut data = good.to_secret_data();
        let ed25519 = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        data.insert("ed.pem".to_owned(), bytes(&ed25519.serialize_pem()));
        assert!(
            TokenKeys::from_secret_data(&data)
                .unwrap_err()
                .to_string()
                .contains("another kind")
        );
    }

    #[test]
    fn private_key_stays_out_of_debug_output() {
        assert!(!format!("{:?}", TokenKeys::generate().unwrap()).contains("PRIVATE"));
    }
}
