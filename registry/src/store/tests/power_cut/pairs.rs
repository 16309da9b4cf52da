//! Pairs of the operations that touch one digest, one after the other: the first comes in, what a power cut loses in it
//! and in each that may follow goes out.

use std::collections::BTreeSet;

use super::cases::*;
use super::cuts::{Seen, survive};
use super::operations as op;
use super::record::{Before, Part, Record, Setup, in_turn};

type Named = (&'static str, op::Operation);

/// All that clients may do with the layer, or with what names it.
pub(super) const ON_ONE_DIGEST: [Named; 14] = [
    ("push of the layer", op::push_layer),
    ("push of the layer to b", op::push_layer_to_b),
    ("mount", op::mount),
    ("delete of the layer", op::delete_layer),
    ("push of the first image", op::push_what_is_missing),
    ("push with two tags", op::push_first_with_two_tags),
    ("push of the second image", op::push_second),
    ("push of the index", op::push_parent),
    ("push of the signature", op::push_signature),
    ("delete of the first image", op::delete_first),
    ("delete of the index", op::delete_parent),
    ("delete of the signature", op::delete_signature),
    ("tag delete", op::delete_tag),
    (COLLECT, op::collect_garbage),
];

#[derive(Default)]
pub(super) struct Cut {
    pub(super) lost: Vec<String>,
    /// In so many pairs each of the two changes what clients see.
    pub(super) both_change: usize,
}

/// The volumes on which pairs are tried, those with least on them first.
fn setups() -> [Setup; 7] {
    [
        all_but_the_layer(),
        blobs(),
        first(),
        signature(),
        parent_alone(),
        parent_complete(),
        untagged(),
    ]
}

/// Both in turn, from the first volume on which both do something; of those that never do, the one on which most is done.
async fn both(first: Named, second: Named) -> (usize, Record) {
    let parts = [first, second].map(|(name, operation)| Part::Do(name, operation));
    let mut best: Option<(usize, Record)> = None;
    for (number, setup) in setups().into_iter().enumerate() {
        let record = in_turn(Before::Open(setup), &parts).await;
        if best
            .as_ref()
            .is_none_or(|(_, it)| it.changes() < record.changes())
        {
            best = Some((number, record));
        }
        if best.as_ref().is_some_and(|(_, it)| it.changes() == parts.len()) {
            break;
        }
    }
    best.unwrap()
}

/// Cuts the power in the first operation, once for each volume on which it begins, and in each that follows it.
pub(super) async fn cut_after(first: Named) -> Cut {
    let (mut cut, mut seen, mut begun) = (Cut::default(), Seen::default(), BTreeSet::new());
    for second in ON_ONE_DIGEST {
        let (number, record) = both(first, second).await;
        cut.both_change += usize::from(record.changes() == 2);
        if begun.insert(number) {
            let parts = [Part::Do(first.0, first.1)];
            let by_itself = in_turn(Before::Open(setups()[number]), &parts).await;
            let survived = survive(first.0, &by_itself, &mut seen).await;
            cut.lost.extend(survived.err());
        }
        let name = format!("{}, then {}", first.0, second.0);
        let survived = survive(&name, &record.starting_with_the_second(), &mut seen).await;
        cut.lost.extend(survived.err());
    }
    cut
}
