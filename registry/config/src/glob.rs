//! Patterns of repository names: `team-a/**`, `public/*`, `app-?`. Text in, a matcher out. Pure.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A pattern over repository names. `**` as a whole component stands for any number of components, none included
/// at the start or in the middle but at least one at the end (`team-a/**` is not `team-a`); `*` stands for any text
/// within a component, `?` for one character. A pattern matches a whole name, never a part of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Glob(String);

/// Why a text is no repository pattern.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum GlobError {
    /// Nothing was written.
    #[error("an empty pattern matches nothing; write ** for every repository")]
    Empty,
    /// Two slashes in a row, or one at either end.
    #[error("\"{0}\" has an empty component; write no slash at the ends and single ones between")]
    EmptyComponent(String),
    /// `**` beside other characters.
    #[error("\"{0}\" has ** beside other characters; write ** as a component of its own, as in team/**")]
    StarsInComponent(String),
    /// A character that no repository name has.
    #[error(
        "\"{pattern}\" has {found:?}, which no repository name has; write a-z, 0-9, '.', '_', '-', '/', '*', '?'"
    )]
    Character {
        /// The whole pattern.
        pattern: String,
        /// The character.
        found: char,
    },
    /// Longer than a repository name can be.
    #[error("a pattern of {0} characters is too long; 255 are the most that a repository name can have")]
    TooLong(usize),
}

impl Glob {
    /// The pattern of every repository.
    pub fn all() -> Self {
        Self("**".to_owned())
    }

    /// True when the pattern stands for the whole of `name`. The cost is bounded by the product of both lengths.
    pub fn matches(&self, name: &str) -> bool {
        let pattern: Vec<&str> = self.0.split('/').collect();
        let name: Vec<&str> = name.split('/').collect();
        // reach[j]: the components before pattern[i] stand for the first j components of the name
        let mut reach = vec![false; name.len() + 1];
        reach[0] = true;
        for (i, component) in pattern.iter().enumerate() {
            let mut next = vec![false; name.len() + 1];
            if *component == "**" {
                let least = usize::from(i + 1 == pattern.len());
                let mut open = false;
                for (j, slot) in next.iter_mut().enumerate() {
                    open |= j >= least && reach[j - least];
                    *slot = open;
                }
            } else {
                for (j, part) in name.iter().enumerate() {
                    next[j + 1] = reach[j] && component_matches(component.as_bytes(), part.as_bytes());
                }
            }
            reach = next;
        }
        reach[name.len()]
    }

    /// False only when it stands for no name that begins with `prefix`, which ends with a slash.
    pub fn may_match_below(&self, prefix: &str) -> bool {
        let literal = self.0.split(['*', '?']).next().unwrap_or_default();
        literal.starts_with(prefix) || prefix.starts_with(literal)
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// `*` and `?` within one component, by remembering only the last star.
fn component_matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p + 1, t));
                p += 1;
            }
            Some(&b) if b == b'?' || b == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((after, from)) => {
                    p = after;
                    t = from + 1;
                    star = Some((after, t));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|b| *b == b'*')
}

impl FromStr for Glob {
    type Err = GlobError;

    fn from_str(pattern: &str) -> Result<Self, GlobError> {
        if pattern.is_empty() {
            return Err(GlobError::Empty);
        }
        if pattern.len() > 255 {
            return Err(GlobError::TooLong(pattern.len()));
        }
        let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-/*?".contains(c);
        if let Some(found) = pattern.chars().find(|c| !legal(*c)) {
            return Err(GlobError::Character {
                pattern: pattern.to_owned(),
                found,
            });
        }
        for component in pattern.split('/') {
            if component.is_empty() {
                return Err(GlobError::EmptyComponent(pattern.to_owned()));
            }
            if component.contains("**") && component != "**" {
                return Err(GlobError::StarsInComponent(pattern.to_owned()));
            }
        }
        Ok(Self(pattern.to_owned()))
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Glob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Glob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn glob(pattern: &str) -> Glob {
        pattern.parse().unwrap()
    }

    #[test]
    fn two_stars_stand_for_any_depth() {
        for name in ["a", "a/b", "a/b/c"] {
            assert!(glob("**").matches(name), "{name}");
        }
        assert!(glob("team-a/**").matches("team-a/x/y"));
        assert!(!glob("team-a/**").matches("team-a"));
        assert!(!glob("team-a/**").matches("team-ab/x"));
        assert!(glob("**/base").matches("base"));
        assert!(glob("**/base").matches("x/y/base"));
        assert!(glob("a/**/z").matches("a/z"));
        assert!(glob("a/**/z").matches("a/b/c/z"));
        assert!(!glob("a/**/z").matches("a/b/c"));
    }

    #[test]
    fn what_begins_otherwise_is_not_matched_below() {
        for (pattern, prefix) in [
            ("**", "a/"),
            ("a/**", "a/"),
            ("a/**", "a/b/"),
            ("a/b/c", "a/"),
            ("a*/x", "ab/"),
            ("**/base", "x/"),
        ] {
            assert!(glob(pattern).may_match_below(prefix), "{pattern} {prefix}");
        }
        for (pattern, prefix) in [("a/**", "b/"), ("a/**", "ab/"), ("a/b/c", "a/c/"), ("ab", "a/")] {
            assert!(!glob(pattern).may_match_below(prefix), "{pattern} {prefix}");
        }
    }

    #[test]
    fn one_star_stays_within_a_component() {
        assert!(glob("public/*").matches("public/app"));
        assert!(!glob("public/*").matches("public/app/x"));
        assert!(glob("*-base").matches("debian-base"));
        assert!(glob("a*b*c").matches("axxbyybzzc"));
        assert!(!glob("a*b*c").matches("axxbyybzz"));
        assert!(glob("app-?").matches("app-1"));
        assert!(!glob("app-?").matches("app-12"));
    }

    #[test]
    fn a_pattern_never_matches_a_part_of_a_name() {
        assert!(!glob("app").matches("app/x"));
        assert!(!glob("app").matches("my/app"));
        assert!(!glob("app").matches("apps"));
    }

    #[test]
    fn what_cannot_match_any_name_is_refused() {
        for pattern in ["", "/a", "a/", "a//b", "a/b**", "A/*", "a b", "[ab]", "{a,b}"] {
            assert!(pattern.parse::<Glob>().is_err(), "{pattern}");
        }
    }

    #[test]
    fn many_stars_cost_no_exponential_time() {
        let pattern = glob(&["**/a"; 50].join("/"));
        assert!(!pattern.matches(&["a"; 120].join("/").replace("a/a/a", "a/a/b")));
        assert!(!glob(&"*a".repeat(100)).matches(&"a".repeat(99)));
    }
}
