//! Which names are ours, and where a client finds the token service: the host it asked in, a URL out. Pure.
//!
//! A node reaches the registry by whatever name its configuration holds, perhaps only by an IP address. The realm must
//! be reachable for that very client, so it repeats the host that was asked for, if that is one of ours; a made-up
//! Host header never becomes a realm that credentials are sent to.

use std::net::IpAddr;

/// The names and addresses of this server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnHosts {
    /// From the configuration, in its order, perhaps with ports.
    pub configured: Vec<String>,
    /// DNS names of the certificate, perhaps with a wildcard.
    pub names: Vec<String>,
    /// IP addresses of the certificate.
    pub addresses: Vec<IpAddr>,
}

/// How this server is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Without TLS: there is no certificate to say what our names are, and none that vouches for any; the host that
    /// was asked is taken as it is.
    Http,
    /// With TLS: only our own names.
    Https,
}

/// The URL of the token service for a client that asked `host`; `None` when no name of ours is known.
pub fn realm(scheme: Scheme, host: Option<&str>, own: &OwnHosts) -> Option<String> {
    let asked = host.filter(|host| is_plain(host));
    match scheme {
        Scheme::Http => asked
            .map(str::to_owned)
            .or_else(|| own.first())
            .map(|host| format!("http://{host}/token")),
        Scheme::Https => asked
            .filter(|host| own.contains(host))
            .map(str::to_owned)
            .or_else(|| own.first())
            .map(|host| format!("https://{host}/token")),
    }
}

impl OwnHosts {
    /// Is that host, with or without a port, one of ours?
    pub fn contains(&self, host: &str) -> bool {
        let (name, _) = split_port(host);
        let configured =
            |ours: &String| ours.eq_ignore_ascii_case(host) || split_port(ours).0.eq_ignore_ascii_case(name);
        if self.configured.iter().any(configured) {
            return true;
        }
        match name
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse::<IpAddr>()
        {
            Ok(address) => self.addresses.contains(&address),
            Err(_) => self.names.iter().any(|pattern| matches_name(pattern, name)),
        }
    }

    /// The name for clients that asked for none of ours.
    fn first(&self) -> Option<String> {
        let plain_name = || self.names.iter().find(|name| !name.starts_with('*')).cloned();
        let address = || {
            self.addresses.first().map(|address| match address {
                IpAddr::V4(v4) => v4.to_string(),
                IpAddr::V6(v6) => format!("[{v6}]"),
            })
        };
        self.configured
            .first()
            .cloned()
            .or_else(plain_name)
            .or_else(address)
    }
}

/// `host:port`, `[v6]:port` or only a host, as name and port.
fn split_port(host: &str) -> (&str, Option<&str>) {
    match host.rsplit_once(':') {
        Some((name, port))
            if !host.ends_with(']') && !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) =>
        {
            (name, Some(port))
        }
        _ => (host, None),
    }
}

/// A wildcard stands for exactly one label.
fn matches_name(pattern: &str, name: &str) -> bool {
    let name = name.trim_end_matches('.');
    match pattern.strip_prefix("*.") {
        None => pattern.eq_ignore_ascii_case(name),
        Some(suffix) => name
            .split_once('.')
            .is_some_and(|(label, rest)| !label.is_empty() && rest.eq_ignore_ascii_case(suffix)),
    }
}

/// Only what a host and a port can consist of: it ends up between quotes in a header.
fn is_plain(host: &str) -> bool {
    !host.is_empty()
        && host.len() <= 260
        && host
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> OwnHosts {
        OwnHosts {
            configured: vec!["registry.example.com".into(), "localhost:5443".into()],
            names: vec!["registry.team-a.svc".into(), "*.registry-pods.team-a.svc".into()],
            addresses: vec!["198.19.3.4".parse().unwrap(), "fd00::7".parse().unwrap()],
        }
    }

    #[test]
    fn a_client_is_sent_to_the_host_it_asked_when_that_is_ours() {
        for host in [
            "registry.team-a.svc",
            "REGISTRY.team-a.svc:443",
            "registry-0.registry-pods.team-a.svc:5000",
            "198.19.3.4",
            "198.19.3.4:443",
            "[fd00::7]:443",
            "registry.example.com:8443",
            "localhost:5443",
        ] {
            let expected = Some(format!("https://{host}/token"));
            assert_eq!(realm(Scheme::Https, Some(host), &own()), expected, "{host}");
        }
    }

    #[test]
    fn a_host_that_is_not_ours_never_becomes_the_realm() {
        for host in [
            "evil.example",
            "a.b.registry-pods.team-a.svc",
            "198.19.3.5",
            "registry.team-a.svc.evil",
            "a\"b",
            "",
        ] {
            let expected = Some("https://registry.example.com/token".to_owned());
            assert_eq!(realm(Scheme::Https, Some(host), &own()), expected, "{host}");
        }
        assert_eq!(realm(Scheme::Https, None, &OwnHosts::default()), None);
    }

    #[test]
    fn without_configured_hosts_the_first_plain_name_of_the_certificate_is_the_fallback() {
        let own = OwnHosts {
            configured: vec![],
            names: vec!["*.x".into(), "y.z".into()],
            addresses: vec![],
        };
        assert_eq!(
            realm(Scheme::Https, Some("evil"), &own),
            Some("https://y.z/token".to_owned())
        );
        let only_ip = OwnHosts {
            addresses: vec!["::1".parse().unwrap()],
            ..OwnHosts::default()
        };
        assert_eq!(
            realm(Scheme::Https, None, &only_ip),
            Some("https://[::1]/token".to_owned())
        );
    }

    #[test]
    fn without_tls_the_realm_is_http_at_the_asked_host() {
        let none = OwnHosts::default();
        assert_eq!(
            realm(Scheme::Http, Some("127.0.0.1:5000"), &none),
            Some("http://127.0.0.1:5000/token".into())
        );
        assert_eq!(
            realm(Scheme::Http, Some("a\"b"), &own()),
            Some("http://registry.example.com/token".into())
        );
    }
}
