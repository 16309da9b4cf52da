//! The rules that no single key's type can hold: a parsed file in, every problem with its key out. Pure.

use std::collections::HashSet;
use std::fmt;

use crate::{Address, Config, Duration, Users, password_sha256};

/// Every problem of a file, each naming its key, what is wrong and what to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    problems: Vec<(String, String)>,
}

impl Invalid {
    /// Pairs of key and problem, in the order of the file; never empty.
    pub fn problems(&self) -> &[(String, String)] {
        &self.problems
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, (key, problem)) in self.problems.iter().enumerate() {
            if n > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{key}: {problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Invalid {}

#[derive(Default)]
struct Problems(Vec<(String, String)>);

impl Problems {
    fn add(&mut self, key: impl Into<String>, problem: impl Into<String>) {
        self.0.push((key.into(), problem.into()));
    }

    fn into_result(self) -> Result<(), Invalid> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(Invalid { problems: self.0 })
        }
    }
}

const SHORTEST_LIFETIME: Duration = Duration::from_secs(60);
const LONGEST_LIFETIME: Duration = Duration::from_secs(24 * 3600);
const LONGEST_DRAIN: Duration = Duration::from_secs(3600);

pub(crate) fn config(config: &Config) -> Result<(), Invalid> {
    let mut problems = Problems::default();
    listeners(config, &mut problems);
    for (n, host) in config.http.hosts.iter().enumerate() {
        if !is_host(host) {
            let problem =
                format!("\"{host}\" is no host; write a name such as registry.example.com or registry:5000");
            problems.add(format!("http.hosts[{n}]"), problem);
        }
    }
    if let Some(url) = &config.http.external_url {
        let host = url
            .strip_prefix("https://")
            .or_else(|| url.strip_prefix("http://"));
        if !host.is_some_and(is_host) {
            let problem = format!(
                "\"{url}\" is not scheme and host; write both and no path, such as https://registry.example.com"
            );
            problems.add("http.externalUrl", problem);
        }
    }
    if config.http.max_connections == 0 {
        problems.add(
            "http.maxConnections",
            "0 would serve nobody; write a number of at least 1",
        );
    }
    for (key, path) in paths(config) {
        if path.as_os_str().is_empty() {
            problems.add(key, "is empty; write a path");
        }
    }
    if let Some(token) = config.auth.as_ref().and_then(|auth| auth.token.as_ref()) {
        if token.service.is_empty()
            || token
                .service
                .chars()
                .any(|c| c.is_control() || "\"\\".contains(c))
        {
            problems.add(
                "auth.token.service",
                "must be a name without quotes, such as registry.example.com",
            );
        }
        if token.lifetime < SHORTEST_LIFETIME || token.lifetime > LONGEST_LIFETIME {
            let problem = format!("{} is out of range; write 1m to 24h, such as 5m", token.lifetime);
            problems.add("auth.token.lifetime", problem);
        }
    }
    if config.shutdown.drain_timeout > LONGEST_DRAIN {
        let problem = format!("{} is too long; write at most 1h", config.shutdown.drain_timeout);
        problems.add("shutdown.drainTimeout", problem);
    }
    problems.into_result()
}

fn listeners(config: &Config, problems: &mut Problems) {
    let mut taken: Vec<(&str, Address)> = vec![("http.address", config.http.address)];
    let admin = config
        .admin
        .as_ref()
        .map(|admin| ("admin.address", admin.address));
    let health = config
        .health
        .as_ref()
        .map(|health| ("health.address", health.address));
    for (key, address) in admin.into_iter().chain(health) {
        if let Some((other, _)) = taken.iter().find(|(_, other)| other.collides_with(address)) {
            problems.add(key, format!("{address} is what {other} uses; write another port"));
        }
        taken.push((key, address));
    }
}

fn paths(config: &Config) -> Vec<(&'static str, &std::path::Path)> {
    let mut paths = vec![("storage.volume.path", config.storage.volume.path.as_path())];
    if let Some(tls) = &config.http.tls {
        paths.push(("http.tls.certificateFile", &tls.certificate_file));
        paths.push(("http.tls.keyFile", &tls.key_file));
    }
    if let Some(admin) = &config.admin {
        paths.push(("admin.tls.certificateFile", &admin.tls.certificate_file));
        paths.push(("admin.tls.keyFile", &admin.tls.key_file));
        paths.push(("admin.tls.clientCaFile", &admin.tls.client_ca_file));
    }
    if let Some(auth) = &config.auth {
        paths.push(("auth.usersFile", &auth.users_file));
        if let Some(token) = &auth.token {
            paths.push(("auth.token.keysDirectory", &token.keys_directory));
        }
    }
    paths
}

/// A DNS name or an IP address, perhaps with a port. Generous: it only keeps out what would break a URL.
fn is_host(host: &str) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !host.ends_with(']') => (name, Some(port)),
        _ => (host, None),
    };
    let name = match name.strip_prefix('[').and_then(|v6| v6.strip_suffix(']')) {
        Some(v6) => return v6.parse::<std::net::Ipv6Addr>().is_ok() && port.is_none_or(is_port),
        None => name,
    };
    !name.is_empty()
        && name.len() <= 253
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
        && port.is_none_or(is_port)
}

fn is_port(port: &str) -> bool {
    port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0)
}

pub(crate) fn users(users: &Users) -> Result<(), Invalid> {
    let mut problems = Problems::default();
    let mut names = HashSet::new();
    for (n, user) in users.users.iter().enumerate() {
        let key = format!("users[{n}]");
        if user.name.is_empty()
            || user.name.len() > 128
            || user.name.chars().any(|c| c == ':' || c.is_control())
        {
            problems.add(
                format!("{key}.name"),
                "must have 1 to 128 characters and no colon",
            );
        }
        if !names.insert(user.name.as_str()) {
            problems.add(
                format!("{key}.name"),
                format!("\"{}\" is there twice; write each user once", user.name),
            );
        }
        if user.password_sha256.is_empty() {
            problems.add(
                format!("{key}.passwordSha256"),
                "is empty; add what `portolan-registry hash-password` prints",
            );
        }
        for (m, hash) in user.password_sha256.iter().enumerate() {
            if password_sha256(hash).is_none() {
                // the value is not repeated: somebody may have written a password here
                let problem =
                    "is not 64 hexadecimal digits; write what `portolan-registry hash-password` prints";
                problems.add(format!("{key}.passwordSha256[{m}]"), problem);
            }
        }
        for (m, permission) in user.permissions.iter().enumerate() {
            let key = format!("{key}.permissions[{m}]");
            if permission.repositories.is_empty() {
                problems.add(
                    format!("{key}.repositories"),
                    "is empty; write patterns such as team-a/** or **",
                );
            }
            if permission.actions.is_empty() {
                problems.add(
                    format!("{key}.actions"),
                    "is empty; write some of pull, push, delete",
                );
            }
        }
    }
    problems.into_result()
}
