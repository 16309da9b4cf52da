//! Volumes on which something is broken, what finds it and makes it whole, and what remains to be done in a report.

use std::collections::BTreeSet;
use std::fs;
use std::num::NonZeroU64;

use futures::future::BoxFuture;

use super::super::*;
use crate::store::fsck::{FsckError, check};

use super::model::Model;
use super::operations as op;
use super::states::States;
use super::view::{View, dangling, incomplete};

pub(super) const REPAIR: &str = "repair";
pub(super) const SCRUB: &str = "scrub";

const ROTTEN: &[u8] = b"0ne";
const WRONG_ENTRY: &[u8] = b"of another subject";
/// What is to be in the quarantine in the end.
pub(super) const MOVED_ASIDE: [(&str, &[u8]); 2] = [("rotten bytes", ROTTEN), ("a referrer", WRONG_ENTRY)];

/// Whether an operation makes whole what is broken before it begins.
pub(super) fn makes_whole(operation: &str) -> bool {
    [REPAIR, SCRUB].contains(&operation)
}

/// What is wrong with a volume, in sentences.
pub(super) struct Wrong {
    pub(super) before: BTreeSet<String>,
    /// What is wrong for good once it was made whole, if anything makes it whole.
    pub(super) after: Option<BTreeSet<String>>,
}

impl Wrong {
    pub(super) fn tolerated(&self, is_done: bool) -> Tolerated<'_> {
        Tolerated(match &self.after {
            None => Some(&self.before),
            after => after.as_ref().filter(|_| is_done),
        })
    }
}

/// What may be wrong. None: anything, until it was made whole.
#[derive(Clone, Copy, Hash)]
pub(super) struct Tolerated<'a>(Option<&'a BTreeSet<String>>);

impl Tolerated<'_> {
    pub(super) fn has(self, wrong: &String) -> bool {
        self.0.is_none_or(|all| all.contains(wrong))
    }
}

/// What a check finds to be wrong; of `all` it also tells what is nobody's loss and a repair would change.
pub(super) fn findings(root: &Path, all: bool) -> BTreeSet<String> {
    let options = FsckOptions {
        deep: true,
        pause: Duration::ZERO,
    };
    let report = match check(root, options, &|_| {}) {
        Err(FsckError::NoVolume { .. }) => return BTreeSet::new(), // who has lost something sees it
        report => report.unwrap(),
    };
    let mut found: BTreeSet<String> = report.findings.iter().map(|it| format!("{it:?}")).collect();
    let left = &report.leftovers;
    let (empty, fallback) = (left.empty_links, left.fallback_referrers);
    for (count, what) in [(empty, "empty links"), (fallback, "referrers of fallback tags")] {
        if all && count > 0 {
            found.insert(format!("{count} {what}"));
        }
    }
    found
}

/// Links that lead nowhere, and images that are there in part.
pub(super) fn wrong_links(model: &Model, view: &View) -> BTreeSet<String> {
    let mut wrong: BTreeSet<String> = incomplete(view).collect();
    for state in States::of(model).all() {
        wrong.extend(dangling(&state));
    }
    wrong
}

/// A layer that nothing names has rotted.
pub(super) async fn with_damaged_layer(store: &Store) {
    op::with_blobs(store).await;
    fs::write(store.inner.keys.blob(&digest_of(op::LAYER)), ROTTEN).unwrap();
}

/// Links and a tag of a signed image are gone or empty; all that they stood for is still there.
pub(super) async fn with_lost_links(store: &Store) {
    op::with_signature(store).await;
    let (keys, a) = (&store.inner.keys, op::a());
    let (first, signature) = (op::digest("first"), op::digest("signature"));
    fs::remove_file(keys.layer_link(&a, &digest_of(op::LAYER))).unwrap();
    fs::write(keys.layer_link(&a, &digest_of(b"two")), b"").unwrap();
    fs::remove_file(keys.revision_link(&a, &first)).unwrap();
    fs::remove_file(keys.referrer(&a, &first, &signature)).unwrap();
    for named in [&first, &signature] {
        let entry = keys.tag_history(&a, &tag("v1")).join("sha256").join(named.hex());
        fs::create_dir_all(&entry).unwrap();
        fs::write(entry.join("link"), named.as_str()).unwrap();
    }
    fs::write(keys.tag_link(&a, &tag("v1")), b"").unwrap();
}

/// The layer of a signed image has rotted, and its signature is also listed where it does not belong.
pub(super) async fn with_what_is_to_be_moved(store: &Store) {
    op::with_signature(store).await;
    let (keys, a) = (&store.inner.keys, op::a());
    fs::write(keys.blob(&digest_of(op::LAYER)), ROTTEN).unwrap();
    let entry = keys.referrer(&a, &op::digest("second"), &op::digest("signature"));
    fs::create_dir_all(entry.parent().unwrap()).unwrap();
    fs::write(entry, WRONG_ENTRY).unwrap();
}

/// Says of a tag with a history that it names the signature.
pub(super) fn repair(store: Store) -> BoxFuture<'static, Result<(), String>> {
    Box::pin(async move { op::told(store.repair(true, |_| Some(op::digest("signature"))).await) })
}

/// A whole pass.
pub(super) fn scrub(store: Store) -> BoxFuture<'static, Result<(), String>> {
    Box::pin(async move { op::told(store.scrub(NonZeroU64::MAX).await) })
}
