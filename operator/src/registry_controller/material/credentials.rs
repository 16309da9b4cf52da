//! The registry's passwords: Secret R-credentials in, the same passwords out. No IO.
//!
//! If R-credentials is gone or damaged, the passwords come back from R-push and R-pull, as far as R-users proves that
//! the pods accept them. Only if these are gone too are new ones made.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use portolan_config::Users;

use super::{Happening, Sources};
use crate::credentials::{Account, Credentials, InitialEntropy};
use crate::digest;
use crate::registry_controller::observed::{Children, secret_value};
use crate::registry_controller::validate::ValidatedRegistry;

pub(super) fn renew(
    registry: &ValidatedRegistry,
    children: &Children,
    sources: &mut Sources<'_>,
    happenings: &mut Vec<Happening>,
) -> Credentials {
    let data = children
        .credentials
        .as_deref()
        .and_then(|secret| secret.data.as_ref());
    if let Some(kept) = data.and_then(|data| Credentials::from_secret_data(data).ok()) {
        return kept;
    }
    let recovered = recover(children);
    if registry.has_run_before || recovered.is_some() {
        happenings.push(Happening::Lost {
            secret: registry.names.credentials_secret(),
            consequence: if recovered.is_some() {
                "the passwords were taken back from the push and pull Secrets, nothing changes for clients"
            } else {
                "new passwords are in the push and pull Secrets; copies of the old ones are no longer accepted"
            },
        });
    }
    recovered.unwrap_or_else(|| {
        let mut entropy: InitialEntropy = [0; std::mem::size_of::<InitialEntropy>()];
        sources.random.fill_bytes(&mut entropy);
        Credentials::initial(&entropy)
    })
}

fn recover(children: &Children) -> Option<Credentials> {
    let users = secret_value(children.users.as_deref()?, "users.yaml")?;
    let users = Users::parse(std::str::from_utf8(users).ok()?).ok()?;
    let mut data = BTreeMap::from([("active".to_owned(), ByteString(b"1".to_vec()))]);
    for account in Account::ALL {
        let secret: &Secret = match account {
            Account::Push => children.push.as_deref()?,
            Account::Pull => children.pull.as_deref()?,
        };
        let password = secret_value(secret, "password")?;
        let hash = digest::sha256(password);
        let user = users.users.iter().find(|user| user.name == account.user_name())?;
        if !user.password_sha256.contains(&hash) {
            return None;
        }
        data.insert(
            format!("{}-1", account.user_name()),
            ByteString(password.to_vec()),
        );
    }
    Credentials::from_secret_data(&data).ok()
}
