//! Where a listener binds: text such as `0.0.0.0:5000`, `[::1]:5000` or `:5000` in, an address out. Pure.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An address to listen on. Without an IP (`:5000`) every interface is meant, IPv6 and IPv4; names other than
/// `localhost` are refused because a name may stand for several addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// The interface; `None` is all of them.
    pub ip: Option<IpAddr>,
    /// The port; 0 lets the system choose a free one, which the server logs.
    pub port: u16,
}

/// Why a text is no listen address.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum AddressError {
    /// No colon, or nothing after it.
    #[error("\"{0}\" has no port; write an address such as 0.0.0.0:5000 or :5000")]
    NoPort(String),
    /// The part behind the last colon is no port.
    #[error("\"{port}\" in \"{text}\" is no port; write a number from 0 to 65535")]
    Port {
        /// The whole text.
        text: String,
        /// The part that is wrong.
        port: String,
    },
    /// The part before the port is neither an IP address nor `localhost`.
    #[error("\"{host}\" in \"{text}\" is no IP address; write one such as 0.0.0.0, [::1] or localhost")]
    Host {
        /// The whole text.
        text: String,
        /// The part that is wrong.
        host: String,
    },
}

impl Address {
    /// Every interface on `port`.
    pub const fn any(port: u16) -> Self {
        Self { ip: None, port }
    }

    /// One interface.
    pub const fn on(ip: IpAddr, port: u16) -> Self {
        Self { ip: Some(ip), port }
    }

    /// True when both cannot be bound at once: the same port on interfaces that overlap.
    pub fn collides_with(self, other: Self) -> bool {
        let covers_all = |ip: Option<IpAddr>| ip.is_none_or(|ip| ip.is_unspecified());
        self.port != 0
            && self.port == other.port
            && (self.ip == other.ip || covers_all(self.ip) || covers_all(other.ip))
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::on(address.ip(), address.port())
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (host, port) = text
            .rsplit_once(':')
            .ok_or_else(|| AddressError::NoPort(text.to_owned()))?;
        if port.is_empty() {
            return Err(AddressError::NoPort(text.to_owned()));
        }
        let digits = port.bytes().all(|b| b.is_ascii_digit());
        let port = match port.parse() {
            Ok(port) if digits => port,
            _ => {
                return Err(AddressError::Port {
                    text: text.to_owned(),
                    port: port.to_owned(),
                });
            }
        };
        let ip = match host {
            "" => None,
            "localhost" => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            _ => Some(parse_ip(host).ok_or_else(|| AddressError::Host {
                text: text.to_owned(),
                host: host.to_owned(),
            })?),
        };
        Ok(Self { ip, port })
    }
}

fn parse_ip(host: &str) -> Option<IpAddr> {
    match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(v6) => v6.parse().ok().map(IpAddr::V6),
        None => host.parse().ok().map(IpAddr::V4),
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ip {
            None => write!(f, ":{}", self.port),
            Some(ip) => SocketAddr::new(ip, self.port).fmt(f),
        }
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}
