//! What names what: the index its child, the child its layer, the referrer its subject; and what follows from that for
//! a collector. Pure.

use super::disk::{Link, OBJECTS, Object, REPOSITORIES, Repository};

#[derive(Clone, Copy)]
pub(crate) struct Edges {
    /// What the referrer refers to.
    pub(crate) subject: Object,
    /// Whether the referrer is an index that has the child too; with the child as its subject that is a cycle.
    pub(crate) referrer_has_child: bool,
}

/// The links of layers in a set of links.
pub(crate) const OF_LAYERS: u8 = 0b0001_0001;

/// The objects that a set of links gives to a repository.
pub(crate) fn within(links: u8, repository: Repository) -> u8 {
    links >> (4 * repository as u8) & 15
}

/// The blobs without which a manifest is refused.
pub(crate) fn blobs_of(object: Object) -> u8 {
    if object == Object::Child {
        Object::Layer.bit()
    } else {
        0
    }
}

impl Edges {
    /// The manifests that an index lists.
    pub(crate) fn children_of(self, object: Object) -> u8 {
        match object {
            Object::Index => Object::Child.bit(),
            Object::Referrer if self.referrer_has_child => Object::Child.bit(),
            _ => 0,
        }
    }

    pub(crate) fn subject_of(self, object: Object) -> u8 {
        if object == Object::Referrer {
            self.subject.bit()
        } else {
            0
        }
    }

    /// What has to stay as long as an object stays.
    fn kept_by(self, object: Object) -> u8 {
        let referrer = if object == self.subject {
            Object::Referrer.bit()
        } else {
            0
        };
        blobs_of(object) | self.children_of(object) | referrer
    }

    /// Roots and everything that follows from them, as far as it is there.
    pub(crate) fn closure(self, roots: u8, present: u8) -> u8 {
        let mut kept = roots;
        loop {
            let more = kept | self.one_step(kept, present);
            if more == kept {
                return kept;
            }
            kept = more;
        }
    }

    fn one_step(self, from: u8, present: u8) -> u8 {
        let links = each(from).map(|Link(repository, object)| self.kept_by(object) << (4 * repository as u8));
        links.fold(0, |set, links| set | links) & present
    }

    /// Only what roots name themselves.
    pub(crate) fn direct(self, roots: u8, present: u8) -> u8 {
        let names = |object| blobs_of(object) | self.children_of(object);
        let links = each(roots).map(|Link(repository, object)| names(object) << (4 * repository as u8));
        roots | links.fold(0, |set, links| set | links) & present
    }

    /// The candidates that may go next: revisions that no other candidate keeps, the members of a cycle together;
    /// then links of layers.
    pub(crate) fn wave(self, candidates: u8) -> u8 {
        let revisions = candidates & !OF_LAYERS;
        if revisions == 0 {
            return candidates;
        }
        let reach = |link: Link| self.closure(link.bit(), revisions);
        each(revisions)
            .filter(|link| {
                each(revisions).all(|other| !link.is_in(reach(other)) || other.is_in(reach(*link)))
            })
            .fold(0, |set, link| set | link.bit())
    }
}

/// The members of a set of links.
pub(crate) fn each(links: u8) -> Each {
    Each(links)
}

pub(crate) struct Each(u8);

impl Iterator for Each {
    type Item = Link;

    fn next(&mut self) -> Option<Link> {
        if self.0 == 0 {
            return None;
        }
        let position = self.0.trailing_zeros() as usize;
        self.0 &= self.0 - 1;
        Some(Link(REPOSITORIES[position / 4], OBJECTS[position % 4]))
    }
}

/// The objects that a set of links is about: their stripes, and their contents.
pub(crate) fn objects(links: u8) -> u8 {
    links & 15 | links >> 4
}
