//! What the manifests of one repository mean to each other: what each names comes in, what is kept and in which order
//! the rest may go comes out. Pure.
//!
//! A kept manifest keeps what it names and what refers to it as its subject; and so on.

use std::collections::{HashMap, HashSet};

use portolan_oci::Digest;

use super::linked::Linked;
use super::packed::{Key, Packed, key};
use super::report::Kept;
use crate::manifest::References;

/// Why a manifest stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    Tagged,
    InUse,
    Trash,
    Child,
    Referrer,
    UntaggedYoung,
    UntaggedOff,
    Damaged,
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) key: Key,
    pub(super) digest: Packed,
    /// Where its bytes are, if not under its digest.
    pub(super) content: Option<Box<Packed>>,
    pub(super) subject: Option<Box<Packed>>,
    /// Keys of what it names and the repository has.
    pub(super) names: Box<[Key]>,
    /// How much it names.
    pub(super) named: usize,
    /// Its bytes are gone or others: nobody knows what it names.
    pub(super) is_damaged: bool,
}

impl Node {
    /// A manifest whose bytes are at `content`. Without references they are damaged.
    pub(super) fn new(
        digest: &Digest,
        content: &Digest,
        references: Option<&References>,
        linked: &Linked,
    ) -> Self {
        let named = references.map_or(&[][..], |it| &it.digests);
        let subject = references.and_then(|it| it.subject.as_ref());
        Self {
            key: key(digest),
            digest: Packed::new(digest),
            content: (content != digest).then(|| Box::new(Packed::new(content))),
            subject: subject.map(|subject| Box::new(Packed::new(subject))),
            names: linked.keys_of(named),
            named: named.len(),
            is_damaged: references.is_none(),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Graph {
    nodes: Vec<Node>,
    kept: Vec<Option<Reason>>,
    by_key: HashMap<Key, u32>,
    by_subject: HashMap<Key, Vec<u32>>,
}

impl Graph {
    pub(super) fn add(&mut self, node: Node, subject: Option<Key>) {
        let Ok(index) = u32::try_from(self.nodes.len()) else {
            return; // four thousand million manifests in one repository
        };
        self.by_key.insert(node.key, index);
        if let Some(subject) = subject {
            self.by_subject.entry(subject).or_default().push(index);
        }
        self.nodes.push(node);
        self.kept.push(None);
    }

    pub(super) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    pub(super) fn is_kept(&self, index: usize) -> bool {
        self.kept[index].is_some()
    }

    pub(super) fn index_of(&self, key: Key) -> Option<usize> {
        self.by_key.get(&key).map(|index| *index as usize)
    }

    /// Keeps a manifest, if the repository has it, and everything that follows.
    pub(super) fn keep(&mut self, key: Key, reason: Reason) {
        let mut waiting = vec![(key, reason)];
        while let Some((key, reason)) = waiting.pop() {
            let Some(index) = self.index_of(key).filter(|index| !self.is_kept(*index)) else {
                continue;
            };
            self.kept[index] = Some(reason);
            let children = self.nodes[index].names.iter();
            waiting.extend(children.map(|child| (*child, Reason::Child)));
            let referrers = self.by_subject.get(&key).into_iter().flatten();
            waiting.extend(referrers.map(|it| (self.nodes[*it as usize].key, Reason::Referrer)));
        }
    }

    pub(super) fn keep_all(&mut self, reason: Reason) {
        for kept in &mut self.kept {
            kept.get_or_insert(reason);
        }
    }

    /// The first kept manifest of which nobody knows what it names.
    pub(super) fn kept_and_damaged(&self) -> Option<&Node> {
        let mut nodes = self.nodes.iter().zip(&self.kept);
        let found = nodes.find(|(node, kept)| node.is_damaged && kept.is_some());
        found.map(|(node, _)| node)
    }

    /// Everything that a kept manifest names and the repository has.
    pub(super) fn names_of_kept(&self) -> HashSet<Key> {
        let kept = self
            .nodes
            .iter()
            .zip(&self.kept)
            .filter(|(_, kept)| kept.is_some());
        kept.flat_map(|(node, _)| node.names.iter().copied()).collect()
    }

    pub(super) fn count_kept(&self, counts: &mut Kept) {
        for reason in self.kept.iter().flatten() {
            *match reason {
                Reason::Tagged => &mut counts.tagged,
                Reason::InUse => &mut counts.in_use,
                Reason::Trash => &mut counts.trash,
                Reason::Child => &mut counts.children,
                Reason::Referrer => &mut counts.referrers,
                Reason::UntaggedYoung => &mut counts.untagged_young,
                Reason::UntaggedOff => &mut counts.untagged_off,
                Reason::Damaged => &mut counts.damaged,
            } += 1;
        }
    }

    /// What is not kept, in the order in which it may go: waves one after the other; of a wave, no group reaches
    /// another; those in a group reach each other and go together. So what is still there has all that follows from it.
    pub(super) fn into_waves(self) -> (Vec<Node>, Vec<Vec<Vec<u32>>>) {
        let mut number = vec![u32::MAX; self.nodes.len()];
        let mut count = 0;
        for (index, kept) in self.kept.iter().enumerate() {
            if kept.is_none() {
                number[index] = count;
                count += 1;
            }
        }
        let mut followers: Vec<Vec<u32>> = vec![Vec::new(); count as usize];
        for (index, node) in self.nodes.iter().enumerate() {
            let Some(own) = followers.get_mut(number[index] as usize) else {
                continue;
            };
            let children = node.names.iter().filter_map(|name| self.by_key.get(name));
            let referrers = self.by_subject.get(&node.key).into_iter().flatten();
            let all = children.chain(referrers);
            own.extend(
                all.map(|it| number[*it as usize])
                    .filter(|it| *it != u32::MAX && *it != number[index]),
            );
        }
        let waves = super::waves::waves(&followers);
        let candidates = self.nodes.into_iter().zip(self.kept);
        let candidates = candidates.filter(|(_, kept)| kept.is_none());
        (candidates.map(|(node, _)| node).collect(), waves)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portolan_oci::Algorithm;

    fn digest(text: &str) -> Digest {
        Digest::of(Algorithm::Sha256, text.as_bytes())
    }

    #[test]
    fn what_manifests_name_and_the_repository_does_not_have_is_not_kept_in_memory() {
        let child = digest("child");
        let linked = std::iter::once(key(&child)).collect();
        let mut graph = Graph::default();
        for number in 0..5 {
            let strangers = (0..5_000).map(|stranger| digest(&format!("{number} {stranger}")));
            let references = References {
                digests: strangers.chain([child.clone()]).collect(),
                subject: None,
            };
            let index = digest(&format!("index {number}"));
            let node = Node::new(&index, &index, Some(&references), &linked);
            assert_eq!(node.named, 5_001);
            graph.add(node, None);
            graph.keep(key(&index), Reason::Tagged);
        }
        let remembered: usize = graph.nodes().iter().map(|node| node.names.len()).sum();
        assert_eq!(remembered, 5);
        assert_eq!(graph.names_of_kept(), HashSet::from([key(&child)]));
    }
}
