//! JSON objects whose fields are spelled as they are known, or not at all. Deserializers in, deserializers out; pure.
//!
//! Clients in Go, `registry:2` among them, take `Layers` for `layers`, and of both the last one. What such a document names
//! cannot be told by its right spellings alone. They read no list as an object either, as a derived reader does.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};

/// What is read from an object of these fields.
pub(super) trait Fields<'de>: Sized {
    const NAMES: &'static [&'static str];

    /// Reads them once their spelling is checked.
    fn read<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error>;
}

/// Reads an object, and nothing else in its place.
pub(super) fn object<'de, T: Fields<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_map(Object(PhantomData))
}

struct Object<T>(PhantomData<T>);

impl<'de, T: Fields<'de>> Visitor<'de> for Object<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<T, A::Error> {
        let names = T::NAMES;
        T::read(MapAccessDeserializer::new(Spelled { entries, names }))
    }
}

struct Spelled<A> {
    entries: A,
    names: &'static [&'static str],
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Spelled<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        match self.entries.next_key_seed(Name(self.names))? {
            Some(name) => seed.deserialize(StrDeserializer::new(name)).map(Some),
            None => Ok(None),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.entries.next_value_seed(seed)
    }
}

/// One of the names, or nothing for any other field.
struct Name(&'static [&'static str]);

impl<'de> DeserializeSeed<'de> for Name {
    type Value = &'static str;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<&'static str, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name {
    type Value = &'static str;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E: Error>(self, found: &str) -> Result<&'static str, E> {
        match self.0.iter().find(|name| is_taken_for(found, name)) {
            None => Ok(""),
            Some(name) if *name == found => Ok(name),
            Some(name) => Err(E::custom(format_args!(
                "field \"{found}\" must be spelled \"{name}\", which some clients take it for"
            ))),
        }
    }
}

/// As `encoding/json` compares, by the simple case folding of Unicode: two letters beyond ASCII stand for ones of it.
fn is_taken_for(found: &str, name: &str) -> bool {
    let fold = |letter: char| match letter {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        letter => letter.to_ascii_lowercase(),
    };
    found.chars().map(fold).eq(name.chars().map(fold))
}
