//! What one repository was acknowledged to hold, and what of that a collection may take. Answers come in, promises go
//! out; pure.

use std::collections::{BTreeMap, BTreeSet};

use portolan_oci::Digest;

use crate::documents::Document;

/// A change whose answer has not come.
#[derive(Debug, Clone)]
pub(crate) enum Pending {
    Put { tags: Vec<String>, document: Document },
    DeleteTag(String),
    DeleteManifest(Digest),
}

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) tags: BTreeMap<String, Digest>,
    pub(crate) manifests: BTreeMap<Digest, Document>,
    /// What was reachable from a tag all the time since it was pushed, so that no collection may have taken it.
    anchored: BTreeSet<Digest>,
    pub(crate) pending: Option<Pending>,
}

impl Ledger {
    /// A push was acknowledged.
    pub(crate) fn put(&mut self, tags: &[String], document: Document) {
        for tag in tags {
            self.tags.insert(tag.clone(), document.digest.clone());
        }
        self.anchored.insert(document.digest.clone());
        self.manifests.insert(document.digest.clone(), document);
        self.settle();
    }

    /// A tag is gone.
    pub(crate) fn untag(&mut self, tag: &str) {
        self.tags.remove(tag);
        self.settle();
    }

    /// A manifest is gone, and all its tags are.
    pub(crate) fn remove(&mut self, digest: &Digest) {
        self.tags.retain(|_, named| named != digest);
        self.manifests.remove(digest);
        self.settle();
    }

    /// Whether a manifest must be there; others may have been collected.
    pub(crate) fn is_promised(&self, digest: &Digest) -> bool {
        self.anchored.contains(digest)
    }

    /// Whether an index that is there names it.
    pub(crate) fn is_child(&self, digest: &Digest) -> bool {
        self.manifests.values().any(|it| it.children.contains(digest))
    }

    /// Follows tags to children and to referrers; whatever is not reached loses its promise for good.
    fn settle(&mut self) {
        let mut reached = BTreeSet::new();
        let mut next: Vec<Digest> = self.tags.values().cloned().collect();
        while let Some(digest) = next.pop() {
            let Some(document) = self.manifests.get(&digest) else {
                continue;
            };
            if !reached.insert(digest.clone()) {
                continue;
            }
            next.extend(document.children.iter().cloned());
            let referrers = self
                .manifests
                .values()
                .filter(|it| it.subject.as_ref() == Some(&digest));
            next.extend(
                referrers
                    .map(|it| it.digest.clone())
                    .filter(|it| self.anchored.contains(it)),
            );
        }
        self.anchored = reached;
    }
}
