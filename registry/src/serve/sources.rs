//! The files that a running server watches: a configuration in, what is in force out. IO (reads only).

use std::sync::{Arc, Mutex, PoisonError};

use portolan_config::{AdminTls, Config, ServerTls};

use super::{StartError, Surroundings};
use crate::auth::{Auth, Tokens};
use crate::files;
use crate::metrics::Metrics;
use crate::reload::{Current, Poll, Watched};
use crate::tls::Tls;

/// A certificate that clients would refuse never takes the place of one that they take.
pub(super) fn public_tls(
    tls: &ServerTls,
    hosts: &[String],
    surroundings: &Surroundings,
    metrics: &Metrics,
    sources: &mut Vec<Box<dyn Poll>>,
) -> Result<Arc<Current<Tls>>, StartError> {
    let files = tls.clone();
    let (hosts, clock) = (hosts.to_vec(), surroundings.clock.clone());
    let in_force: Mutex<Option<Tls>> = Mutex::default();
    let metrics = metrics.clone();
    let watched = Watched::read(
        "certificate",
        vec![tls.certificate_file.clone(), tls.key_file.clone()],
        move || {
            let tls = files::read_server_tls(&files)?;
            let mut before = in_force.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(source) = tls.unfit(clock(), &hosts) {
                let is_fit = |before: &Tls| before.unfit(clock(), &hosts).is_none();
                let problem = files::server_tls_problem(&files, source);
                if before.as_ref().is_some_and(is_fit) {
                    return Err(problem);
                }
                let problem = crate::error_chain(&problem);
                tracing::warn!("{problem}; until then this one is served, there is none better");
            }
            *before = Some(tls.clone());
            Ok(tls)
        },
        move |tls| metrics.serves_certificate_until("registry", tls.not_after),
    )?;
    Ok(keep(watched, sources))
}

pub(super) fn admin_tls(
    tls: &AdminTls,
    metrics: &Metrics,
    sources: &mut Vec<Box<dyn Poll>>,
) -> Result<Arc<Current<Tls>>, StartError> {
    let tls = tls.clone();
    let metrics = metrics.clone();
    let watched = Watched::read(
        "admin certificate",
        vec![
            tls.certificate_file.clone(),
            tls.key_file.clone(),
            tls.client_ca_file.clone(),
        ],
        move || files::read_admin_tls(&tls),
        move |tls| metrics.serves_certificate_until("admin", tls.not_after),
    )?;
    Ok(keep(watched, sources))
}

pub(super) fn read_auth(
    config: &Config,
    sources: &mut Vec<Box<dyn Poll>>,
) -> Result<Option<Auth>, StartError> {
    let Some(auth) = &config.auth else { return Ok(None) };
    let path = auth.users_file.clone();
    let users = Watched::read(
        "users file",
        vec![path.clone()],
        move || files::read_users("auth.usersFile", &path),
        |_| {},
    )?;
    let users = keep(users, sources);
    let Some(token) = &auth.token else {
        return Ok(Some(Auth { users, tokens: None }));
    };
    let path = token.keys_directory.clone();
    let keys = Watched::read(
        "token keys",
        vec![path.clone()],
        move || files::read_token_keys("auth.token.keysDirectory", &path),
        |_| {},
    )?;
    let keys = keep(keys, sources);
    let tokens = Tokens {
        keys,
        service: token.service.clone(),
        lifetime: token.lifetime.0,
    };
    Ok(Some(Auth {
        users,
        tokens: Some(tokens),
    }))
}

fn keep<T: Send + Sync + 'static>(watched: Watched<T>, sources: &mut Vec<Box<dyn Poll>>) -> Arc<Current<T>> {
    let current = watched.current();
    sources.push(Box::new(watched));
    current
}
