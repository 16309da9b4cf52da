//! A situation to explore: what is on the volume, what the clients do, what may happen. Pure.

use super::client::Operation;
use super::collector::reading_order;
use super::disk::Object::Layer;
use super::disk::{FRESH, Link, Name, Object, PRESENT, Repository, Tag};
use super::edges::Edges;

pub(crate) struct Scenario {
    /// What is on the volume at the start, durably.
    pub(crate) volume: Vec<(Name, u8)>,
    pub(crate) edges: Edges,
    pub(crate) programs: [&'static [Operation]; 2],
    /// Whether manifests that no tag leads to are garbage at once, as if all were older than the limit.
    pub(crate) collects_untagged: bool,
    /// Whether new and renewed links are safe for a while. Without, the grace is 0.
    pub(crate) has_grace: bool,
    pub(crate) runs: u8,
    pub(crate) kills: u8,
    pub(crate) cuts: u8,
    /// What the mark reads, in its order.
    pub(crate) names: Vec<Name>,
}

impl Scenario {
    /// Two runs, a kill and a power cut; the child is signed; what has no tag stays, and the grace is 0.
    pub(crate) fn new(links: &[Link], tags: &[(Tag, Object)], programs: [&'static [Operation]; 2]) -> Self {
        let mut volume: Vec<(Name, u8)> = Vec::new();
        for link in links {
            volume.extend([(Name::Content(link.1), PRESENT), (Name::Link(*link), PRESENT)]);
        }
        volume.extend(
            tags.iter()
                .map(|(tag, object)| (Name::Tag(*tag), object.tag_value())),
        );
        let written: Vec<Name> = programs
            .iter()
            .copied()
            .flatten()
            .flat_map(|it| it.writes())
            .collect();
        let is_used = |name: Name| volume.iter().any(|(there, _)| *there == name) || written.contains(&name);
        Self {
            names: reading_order(is_used),
            volume,
            edges: Edges::SIGNED_IMAGE,
            programs,
            collects_untagged: false,
            has_grace: false,
            runs: 2,
            kills: 1,
            cuts: 1,
        }
    }

    /// The value of a link that was just written.
    pub(crate) fn new_link(&self) -> u8 {
        if self.has_grace { FRESH } else { PRESENT }
    }
}

impl Operation {
    fn writes(self) -> Vec<Name> {
        match self {
            Self::PushLayer(repository) | Self::PushLayerUnlessThere(repository) => {
                vec![Name::Link(Link(repository, Layer))]
            }
            Self::Mount => vec![Name::Link(Link(Repository::B, Layer))],
            Self::PutManifest(repository, object, tag) => {
                let tag = tag.map(Name::Tag);
                tag.into_iter()
                    .chain([Name::Link(Link(repository, object))])
                    .collect()
            }
            Self::HeadManifest(..) | Self::DeleteTag(_) | Self::DeleteManifest(..) | Self::DeleteLayer(_) => {
                Vec::new()
            }
        }
    }
}
