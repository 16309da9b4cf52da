//! The volume as a power cut sees it: names with a value that everybody sees now, and the values that each may have
//! after a cut. Pure.
//!
//! A rename or an unlink shows at once and is durable only after an fsync of its directory; until then a cut may keep
//! it or lose it, name by name. A directory and the one name in it (`<hex>/link`, `<hex>/data`) count as one name.

use std::fmt;

/// What a volume of the model holds: one layer, an image that needs it, an index over that, and a referrer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Object {
    Layer,
    Child,
    Index,
    Referrer,
}

pub(crate) const OBJECTS: [Object; 4] = [Object::Layer, Object::Child, Object::Index, Object::Referrer];

impl Object {
    pub(crate) const fn bit(self) -> u8 {
        1 << self as u8
    }

    /// The value of a tag that names it.
    pub(crate) fn tag_value(self) -> u8 {
        self as u8 + 1
    }

    pub(crate) fn of_tag_value(value: u8) -> Option<Self> {
        OBJECTS.get(usize::from(value).checked_sub(1)?).copied()
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Repository {
    A,
    B,
}

pub(crate) const REPOSITORIES: [Repository; 2] = [Repository::A, Repository::B];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Tag {
    One,
    Two,
    OfB,
}

pub(crate) const TAGS: [Tag; 3] = [Tag::One, Tag::Two, Tag::OfB];

impl Tag {
    pub(crate) fn bit(self) -> u8 {
        1 << self as u8
    }

    pub(crate) fn repository(self) -> Repository {
        if self == Self::OfB {
            Repository::B
        } else {
            Repository::A
        }
    }
}

/// Says what a repository has: the link of a layer or the revision of a manifest. A set of them is one bit each.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Link(pub(crate) Repository, pub(crate) Object);

impl Link {
    pub(crate) fn bit(self) -> u8 {
        self.1.bit() << (4 * self.0 as u8)
    }

    pub(crate) fn is_in(self, set: u8) -> bool {
        set & self.bit() != 0
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Name {
    Content(Object),
    Link(Link),
    Tag(Tag),
}

pub(crate) const ABSENT: u8 = 0;
/// There; for a link also: older than the grace.
pub(crate) const PRESENT: u8 = 1;
/// A link that is younger than the grace.
pub(crate) const FRESH: u8 = 2;
/// Content whose bytes no longer have their digest.
pub(crate) const ROTTEN: u8 = 2;

const FIRST_LINK: usize = 4;
const FIRST_TAG: usize = 12;
const NAMES: usize = 15;

impl Name {
    fn position(self) -> usize {
        match self {
            Self::Content(object) => object as usize,
            Self::Link(Link(repository, object)) => FIRST_LINK + 4 * repository as usize + object as usize,
            Self::Tag(tag) => FIRST_TAG + tag as usize,
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Content(object) => write!(f, "data of {object:?}"),
            Self::Link(Link(repository, Object::Layer)) => write!(f, "link {repository:?}/Layer"),
            Self::Link(Link(repository, object)) => write!(f, "revision {repository:?}/{object:?}"),
            Self::Tag(tag) => write!(f, "tag {tag:?}"),
        }
    }
}

/// Each name in one byte: 3 bits for the value now, 5 bits for the set of values that a power cut may leave.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Disk(u128);

impl Disk {
    pub(crate) fn empty() -> Self {
        let mut disk = Self(0);
        for position in 0..NAMES {
            disk.put(position, entry(ABSENT, 1 << ABSENT));
        }
        disk
    }

    pub(crate) fn read(&self, name: Name) -> u8 {
        self.at(name.position()) & 7
    }

    pub(crate) fn has(&self, name: Name) -> bool {
        self.read(name) != ABSENT
    }

    /// A rename over the name, or an unlink.
    pub(crate) fn write(&mut self, name: Name, value: u8) {
        let before = self.at(name.position());
        self.put(name.position(), entry(value, before >> 3 | 1 << value));
    }

    /// The fsync of the directory that holds the name.
    pub(crate) fn sync(&mut self, name: Name) {
        let value = self.read(name);
        self.put(name.position(), entry(value, 1 << value));
    }

    /// The syncfs of a start after an unclean stop.
    pub(crate) fn sync_all(&mut self) {
        for position in 0..NAMES {
            let value = self.at(position) & 7;
            self.put(position, entry(value, 1 << value));
        }
    }

    pub(crate) fn is_durable(&self) -> bool {
        (0..NAMES).all(|position| (self.at(position) >> 3).is_power_of_two())
    }

    /// Every volume that a power cut may leave.
    pub(crate) fn after_cut(&self) -> Vec<Self> {
        let mut outcomes = vec![*self];
        for position in 0..NAMES {
            let possible = self.at(position) >> 3;
            if possible.is_power_of_two() {
                continue;
            }
            let (before, values) = (
                outcomes.clone(),
                (0..5).filter(|value| possible >> value & 1 != 0),
            );
            outcomes.clear();
            for value in values {
                for outcome in &before {
                    let mut outcome = *outcome;
                    outcome.put(position, entry(value, 1 << value));
                    outcomes.push(outcome);
                }
            }
        }
        outcomes
    }

    /// The links that are there now, as a set.
    pub(crate) fn links(&self) -> u8 {
        let is_there = |position: usize| u8::from(self.at(FIRST_LINK + position) & 7 != ABSENT);
        (0..8).fold(0, |set, position| set | is_there(position) << position)
    }

    fn at(&self, position: usize) -> u8 {
        self.0.to_le_bytes()[position]
    }

    fn put(&mut self, position: usize, byte: u8) {
        let mut bytes = self.0.to_le_bytes();
        bytes[position] = byte;
        self.0 = u128::from_le_bytes(bytes);
    }
}

fn entry(value: u8, possible: u8) -> u8 {
    possible << 3 | value
}
