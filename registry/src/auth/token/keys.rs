//! The keys of the token service: PEM text in, keys that have proved to work out. Pure.

use std::collections::HashMap;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject as _;

use super::ring_provider;

/// Every key verifies; one of them signs.
pub struct TokenKeys {
    active: String,
    signing: EncodingKey,
    verifying: HashMap<String, DecodingKey>,
}

/// Why a set of keys cannot be used. The directory's name is the caller's to add.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// There is no key at all.
    #[error(
        "it has no <id>.pem; put a P-256 key there, as the README shows, and its id into a file \"active\""
    )]
    Empty,
    /// Nothing says which key signs.
    #[error("file active is empty; write the id of one of the .pem files, without .pem")]
    NothingActive,
    /// The key that should sign is not there.
    #[error(
        "file active names key \"{active}\", but there is no {active}.pem; write the id of one of the .pem files"
    )]
    NoActiveKey {
        /// What `active` says.
        active: String,
    },
    /// A file holds no usable key.
    #[error(
        "file {id}.pem is no P-256 private key in PKCS#8 PEM; write what `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256` prints"
    )]
    BadKey {
        /// The name of the file without `.pem`.
        id: String,
    },
}

impl TokenKeys {
    /// `active` is the text of that file, `keys` pairs of key id and PEM text.
    pub fn new(active: &str, keys: Vec<(String, Vec<u8>)>) -> Result<Self, KeysError> {
        ring_provider::install();
        let active = active.trim().to_owned();
        if active.is_empty() {
            return Err(KeysError::NothingActive);
        }
        let mut signing = None;
        let mut verifying = HashMap::new();
        for (id, pem) in keys {
            let bad = || KeysError::BadKey { id: id.clone() };
            let der = PrivatePkcs8KeyDer::from_pem_slice(&pem).map_err(|_| bad())?;
            let random = SystemRandom::new();
            let pair =
                EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der.secret_pkcs8_der(), &random)
                    .map_err(|_| bad())?;
            if id == active {
                let key = EncodingKey::from_ec_der(der.secret_pkcs8_der());
                jsonwebtoken::crypto::sign(b"probe", &key, Algorithm::ES256).map_err(|_| bad())?;
                signing = Some(key);
            }
            verifying.insert(id, DecodingKey::from_ec_der(pair.public_key().as_ref()));
        }
        let signing = signing.ok_or(KeysError::NoActiveKey {
            active: active.clone(),
        })?;
        Ok(Self {
            active,
            signing,
            verifying,
        })
    }

    /// The id of the key that signs, and the key.
    pub fn active(&self) -> (&str, &EncodingKey) {
        (&self.active, &self.signing)
    }

    /// The key of that id.
    pub fn verifying(&self, id: &str) -> Option<&DecodingKey> {
        self.verifying.get(id)
    }

    /// The ids of all keys, sorted.
    pub fn ids(&self) -> Vec<String> {
        let mut ids: Vec<_> = self.verifying.keys().cloned().collect();
        ids.sort();
        ids
    }
}

impl std::fmt::Debug for TokenKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenKeys")
            .field("active", &self.active)
            .field("ids", &self.ids())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_active_key_must_be_there() {
        let pem = rcgen::KeyPair::generate().unwrap().serialize_pem().into_bytes();
        let error = TokenKeys::new("k2\n", vec![("k1".into(), pem.clone())]).unwrap_err();
        assert!(error.to_string().contains("k2.pem"), "{error}");
        let keys = TokenKeys::new("k1\n", vec![("k1".into(), pem)]).unwrap();
        assert_eq!((keys.active().0, keys.ids()), ("k1", vec!["k1".to_owned()]));
    }

    #[test]
    fn keys_of_other_kinds_are_named() {
        let p384 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384)
            .unwrap()
            .serialize_pem();
        for text in ["", "garbage", p384.as_str()] {
            let error = TokenKeys::new("k1", vec![("k1".into(), text.into())]).unwrap_err();
            assert!(error.to_string().contains("k1.pem is no P-256"), "{error}");
        }
    }
}
