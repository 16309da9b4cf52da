//! What names what: the index its child, the child or the referrer a layer, the referrer its subject; and what follows
//! from that for a collector. Pure.

use super::disk::{Link, OBJECTS, Object, REPOSITORIES, Repository};

#[derive(Clone, Copy)]
pub(crate) struct Edges {
    /// What the referrer refers to.
    pub(crate) subject: Object,
    /// Whether the referrer is an index that has the child too; with the child as its subject that is a cycle.
    pub(crate) referrer_has_child: bool,
    /// The manifests that name the layer, as a set of objects.
    pub(crate) with_layer: u8,
}

/// The links of layers in a set of links.
pub(crate) const OF_LAYERS: u8 = 0b0001_0001;

/// The links that a repository may have.
pub(crate) fn of_repository(repository: Repository) -> u8 {
    15 << (4 * repository as u8)
}

/// The objects that a set of links gives to a repository.
pub(crate) fn within(links: u8, repository: Repository) -> u8 {
    links >> (4 * repository as u8) & 15
}

impl Edges {
    /// The child is an image with the layer, and signed.
    pub(crate) const SIGNED_IMAGE: Self = Self {
        subject: Object::Child,
        referrer_has_child: false,
        with_layer: Object::Child.bit(),
    };

    /// The blobs without which a manifest is refused.
    pub(crate) fn blobs_of(self, object: Object) -> u8 {
        if self.with_layer & object.bit() != 0 {
            Object::Layer.bit()
        } else {
            0
        }
    }

    /// What a manifest names.
    pub(crate) fn named_by(self, object: Object) -> u8 {
        self.blobs_of(object) | self.children_of(object)
    }

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
        self.named_by(object) | referrer
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

    /// What follows from new roots while a run goes on: links of layers that are there, and manifests that were to go until
    /// now. What was kept before is not looked into again.
    pub(crate) fn closure_of_new(self, roots: u8, candidates: u8, present: u8) -> u8 {
        let (mut kept, mut new) = (roots, roots);
        while new != 0 {
            let more = self.one_step(new, OF_LAYERS & present | candidates) & !kept;
            kept |= more;
            new = more & present & !OF_LAYERS;
        }
        kept
    }

    fn one_step(self, from: u8, present: u8) -> u8 {
        let links = each(from).map(|Link(repository, object)| self.kept_by(object) << (4 * repository as u8));
        links.fold(0, |set, links| set | links) & present
    }

    /// Only what roots name themselves.
    pub(crate) fn direct(self, roots: u8, present: u8) -> u8 {
        let names = |Link(repository, object)| self.named_by(object) << (4 * repository as u8);
        let links = each(roots).map(names);
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
