//! Digests: `algorithm:encoded` text in, a value with a known algorithm out, and the hashing that makes one from bytes.
//! Pure.
//!
//! The grammar of the specification is generic; accepted are sha256 and sha512, which it registers with a length, and
//! sha384, which registry:2 takes beside them and may have stored. The error tells "not a digest" from "a digest of an
//! algorithm that this registry does not know".

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::Digest as _;

/// The hash algorithms that this registry knows, in the order of their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    /// The canonical algorithm; what a registry uses when the client does not say.
    Sha256,
    /// Not registered by the image specification, but known to registry:2.
    Sha384,
    /// Mandatory to implement since distribution-spec 1.1.1.
    Sha512,
}

impl Algorithm {
    /// Each of them, in the order of their names.
    pub const ALL: [Self; 3] = [Self::Sha256, Self::Sha384, Self::Sha512];

    /// The name in front of the colon.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }

    /// How many hexadecimal digits follow the colon.
    pub fn hex_len(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha384 => 96,
            Self::Sha512 => 128,
        }
    }

    fn is_hex(self, encoded: &str) -> bool {
        let is_digit = |digit: u8| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit);
        encoded.len() == self.hex_len() && encoded.bytes().all(is_digit)
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Algorithm {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.as_str() == text)
            .ok_or_else(|| DigestError::UnknownAlgorithm(text.to_owned()))
    }
}

/// A content digest of a known algorithm: lower-case hexadecimal of exactly the algorithm's length.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest {
    text: String,
    algorithm: Algorithm,
}

/// Why a text is no digest that this registry can use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// Not `algorithm:encoded` as the specification spells it.
    #[error("\"{0}\" is not a digest: write algorithm:encoded, for example sha256:<64 hexadecimal digits>")]
    Grammar(String),
    /// Well-formed, of an algorithm that is not supported.
    #[error("digest algorithm \"{0}\" is not supported: use sha256, sha384 or sha512")]
    UnknownAlgorithm(String),
    /// Known algorithm, but not as many lower-case hexadecimal digits as it needs.
    #[error(
        "\"{text}\" is not a {algorithm} digest: it needs {expected} lower-case hexadecimal digits after the colon"
    )]
    Encoded {
        /// What was given.
        text: String,
        /// The algorithm that it names.
        algorithm: Algorithm,
        /// How many digits that algorithm needs.
        expected: usize,
    },
}

impl Digest {
    /// Hashes `bytes`.
    pub fn of(algorithm: Algorithm, bytes: &[u8]) -> Self {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(bytes);
        hasher.finish()
    }

    /// Puts a digest together from the parts that a directory layout keeps apart.
    pub fn from_parts(algorithm: Algorithm, hex: &str) -> Result<Self, DigestError> {
        if algorithm.is_hex(hex) {
            return Ok(Self::join(algorithm, |text| text.push_str(hex)));
        }
        format!("{algorithm}:{hex}").parse() // says what is wrong
    }

    /// The digest of these bytes of a hash.
    pub fn from_sha256(bytes: &[u8; 32]) -> Self {
        Self::join(Algorithm::Sha256, |text| push_hex(text, bytes))
    }

    /// The digest of these bytes of a hash.
    pub fn from_sha384(bytes: &[u8; 48]) -> Self {
        Self::join(Algorithm::Sha384, |text| push_hex(text, bytes))
    }

    /// The digest of these bytes of a hash.
    pub fn from_sha512(bytes: &[u8; 64]) -> Self {
        Self::join(Algorithm::Sha512, |text| push_hex(text, bytes))
    }

    fn join(algorithm: Algorithm, push_hex: impl FnOnce(&mut String)) -> Self {
        let mut text = String::with_capacity(algorithm.as_str().len() + 1 + algorithm.hex_len());
        text.push_str(algorithm.as_str());
        text.push(':');
        push_hex(&mut text);
        Self { text, algorithm }
    }

    /// The algorithm in front of the colon.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The hexadecimal digits after the colon.
    pub fn hex(&self) -> &str {
        &self.text[self.algorithm.as_str().len() + 1..]
    }

    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let grammar = || DigestError::Grammar(text.chars().take(200).collect());
        let (name, encoded) = text.split_once(':').ok_or_else(grammar)?;
        if !is_algorithm(name) || !is_encoded(encoded) {
            return Err(grammar());
        }
        let algorithm: Algorithm = name.parse()?;
        if !algorithm.is_hex(encoded) {
            let expected = algorithm.hex_len();
            return Err(DigestError::Encoded {
                text: text.chars().take(200).collect(),
                algorithm,
                expected,
            });
        }
        Ok(Self {
            text: text.to_owned(),
            algorithm,
        })
    }
}

/// `algorithm-component ((+ | . | _ | -) algorithm-component)*` with components of `[a-z0-9]+`.
fn is_algorithm(name: &str) -> bool {
    name.split(['+', '.', '_', '-'])
        .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()))
}

/// `[a-zA-Z0-9=_-]+`
fn is_encoded(encoded: &str) -> bool {
    !encoded.is_empty()
        && encoded
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'=' || b == b'_' || b == b'-')
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// A running hash. A clone is a saved position: an upload that is refused half-way goes back to it.
#[derive(Clone, Debug)]
pub enum Hasher {
    /// Running sha256.
    Sha256(sha2::Sha256),
    /// Running sha384.
    Sha384(sha2::Sha384),
    /// Running sha512.
    Sha512(sha2::Sha512),
}

impl Hasher {
    /// Starts at the hash of nothing.
    pub fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Sha256 => Self::Sha256(sha2::Sha256::new()),
            Algorithm::Sha384 => Self::Sha384(sha2::Sha384::new()),
            Algorithm::Sha512 => Self::Sha512(sha2::Sha512::new()),
        }
    }

    /// Which algorithm runs.
    pub fn algorithm(&self) -> Algorithm {
        match self {
            Self::Sha256(_) => Algorithm::Sha256,
            Self::Sha384(_) => Algorithm::Sha384,
            Self::Sha512(_) => Algorithm::Sha512,
        }
    }

    /// Takes in further bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hash) => hash.update(bytes),
            Self::Sha384(hash) => hash.update(bytes),
            Self::Sha512(hash) => hash.update(bytes),
        }
    }

    /// The digest of everything taken in so far.
    pub fn finish(self) -> Digest {
        Digest::join(self.algorithm(), |text| match self {
            Self::Sha256(hash) => push_hex(text, &hash.finalize()),
            Self::Sha384(hash) => push_hex(text, &hash.finalize()),
            Self::Sha512(hash) => push_hex(text, &hash.finalize()),
        })
    }
}

fn push_hex(text: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    /// P51.
    #[test]
    fn hash_of_nothing_is_the_well_known_one() {
        assert_eq!(Digest::of(Algorithm::Sha256, b"").as_str(), EMPTY);
        for (algorithm, begin) in [
            (Algorithm::Sha384, "sha384:38b060a751ac9638"),
            (Algorithm::Sha512, "sha512:cf83e1357eefb8bd"),
        ] {
            let digest = Digest::of(algorithm, b"");
            assert!(digest.as_str().starts_with(begin), "{digest}");
            assert_eq!(digest.as_str().parse(), Ok(digest));
        }
    }

    #[test]
    fn parts_are_the_text_on_both_sides_of_the_colon() {
        let digest: Digest = EMPTY.parse().unwrap();
        assert_eq!(format!("{}:{}", digest.algorithm(), digest.hex()), EMPTY);
    }

    /// P6.
    #[test]
    fn texts_outside_the_grammar_are_no_digests() {
        for text in [
            "",
            "sha256",
            "sha256:",
            ":abc",
            "Sha256:abc",
            "sha256:a/b",
            "sha256:../..",
            "sha+:ab",
            "sha256:a:b",
        ] {
            assert!(
                matches!(text.parse::<Digest>(), Err(DigestError::Grammar(_))),
                "{text}"
            );
        }
    }

    /// P6.
    #[test]
    fn unknown_algorithms_are_told_from_garbage() {
        assert!(
            matches!("md5:abc".parse::<Digest>(), Err(DigestError::UnknownAlgorithm(name)) if name == "md5")
        );
        assert!(matches!(
            "multihash+base58:QmRZxt2b1".parse::<Digest>(),
            Err(DigestError::UnknownAlgorithm(_))
        ));
    }

    /// P6.
    #[test]
    fn wrong_length_and_upper_case_are_refused() {
        assert!(matches!(
            "sha256:abc".parse::<Digest>(),
            Err(DigestError::Encoded { expected: 64, .. })
        ));
        let upper = EMPTY.replace("e3b0", "E3B0");
        assert!(matches!(
            upper.parse::<Digest>(),
            Err(DigestError::Encoded { .. })
        ));
    }
}
