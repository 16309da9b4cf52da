//! Query strings: raw text in, decoded pairs out. Pure.

use percent_encoding::percent_decode_str;

/// The parameters of a request, in order. A plus sign is a plus sign: media types have some, and no client that
/// speaks this protocol writes blanks that way outside forms.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query(Vec<(String, String)>);

/// What a request may be decided by. Anything else only comes back in the address of a next page.
const MEANT: [&str; 8] = [
    "artifactType",
    "digest",
    "digest-algorithm",
    "from",
    "last",
    "mount",
    "n",
    "tag",
];

impl Query {
    /// Decodes once; `None` when that leaves no plain text of a parameter that means something here.
    pub fn parse(query: &str) -> Option<Self> {
        let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let key = decode_lossily(key);
            let value = if MEANT.contains(&key.as_str()) {
                decode(value)?
            } else {
                decode_lossily(value)
            };
            Some((key, value))
        });
        pairs.collect::<Option<_>>().map(Self)
    }

    /// As [`Query::parse`] for what browsers and token clients send: a plus sign is a blank.
    pub fn parse_form(form: &str) -> Option<Self> {
        let pairs = form.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((
                decode_any(&key.replace('+', " "))?,
                decode_any(&value.replace('+', " "))?,
            ))
        });
        pairs.collect::<Option<_>>().map(Self)
    }

    /// The first value of a parameter.
    pub fn first(&self, key: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(k, _)| k == key)
            .map(|(_, value)| value.as_str())
    }

    /// Every parameter but these, in order.
    pub fn without<'a>(&'a self, keys: &'a [&str]) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0
            .iter()
            .filter(move |(k, _)| !keys.contains(&k.as_str()))
            .map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Every value of a parameter.
    pub fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(k, _)| k == key)
            .map(|(_, value)| value.as_str())
    }
}

/// One round of percent-decoding. What is left may hold no percent sign (a second round would read it differently),
/// no control character and no backslash (a file system might read those differently).
pub(super) fn decode(text: &str) -> Option<String> {
    let decoded = decode_any(text)?;
    let clean = !decoded.chars().any(|c| c == '%' || c == '\\' || c.is_control());
    clean.then_some(decoded)
}

fn decode_lossily(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

fn decode_any(text: &str) -> Option<String> {
    percent_decode_str(text)
        .decode_utf8()
        .ok()
        .map(std::borrow::Cow::into_owned)
}
