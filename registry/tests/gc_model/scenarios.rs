//! Who does what on which volume: small situations that together cover what can meet. Pure.

use super::client::Operation::{
    self, DeleteLayer, DeleteManifest, DeleteTag, HeadManifest, Mount, PushLayer, PushLayerUnlessThere,
    PutManifest,
};
use super::disk::Object::{Child, Index, Layer, Referrer};
use super::disk::Repository::{A, B};
use super::disk::Tag::{OfB, One, Two};
use super::disk::{Link, Name, ROTTEN};
use super::edges::Edges;
use super::scenario::Scenario;

const IMAGE: [Link; 2] = [Link(A, Layer), Link(A, Child)];
const INDEX: [Link; 3] = [Link(A, Layer), Link(A, Child), Link(A, Index)];
const SIGNED_IMAGE: [Link; 3] = [Link(A, Layer), Link(A, Child), Link(A, Referrer)];
const SIGNED_INDEX: [Link; 4] = [Link(A, Layer), Link(A, Child), Link(A, Index), Link(A, Referrer)];

/// Two clients push the same image under the same tag; damaged bytes of its layer are left from earlier.
pub(crate) fn two_pushes_of_one_image() -> Scenario {
    const PUSH: &[Operation] = &[PushLayerUnlessThere(A), PutManifest(A, Child, Some(One))];
    let mut scenario = Scenario::new(&[], &[], [PUSH, PUSH]);
    scenario.volume.push((Name::Content(Layer), ROTTEN));
    scenario
}

/// One client pushes a layer while another already names it.
pub(crate) fn layer_named_while_it_is_pushed() -> Scenario {
    Scenario::new(&[], &[], [&[PushLayer(A)], &[PutManifest(A, Child, Some(One))]])
}

/// An old link is all that is left of a layer; one client mounts it, another pushes it where it was.
pub(crate) fn mount_of_garbage() -> Scenario {
    Scenario::new(
        &[Link(A, Layer)],
        &[],
        [
            &[Mount, PutManifest(B, Child, Some(OfB))],
            &[PushLayerUnlessThere(A), PutManifest(A, Child, Some(One))],
        ],
    )
}

/// The same with a grace: a HEAD renews the link.
pub(crate) fn mount_of_garbage_under_grace() -> Scenario {
    Scenario {
        has_grace: true,
        ..mount_of_garbage()
    }
}

/// A layer is deleted in one repository while another gets it from there.
pub(crate) fn mount_of_what_is_deleted() -> Scenario {
    Scenario::new(
        &[Link(A, Layer)],
        &[],
        [
            &[Mount, PutManifest(B, Child, Some(OfB))],
            &[DeleteLayer(A), PushLayer(A)],
        ],
    )
}

/// An expired untagged index and its child get tags again; the child is signed.
pub(crate) fn retag_of_expired_index() -> Scenario {
    Scenario {
        collects_untagged: true,
        ..Scenario::new(
            &SIGNED_INDEX,
            &[],
            [
                &[PutManifest(A, Index, Some(One))],
                &[PutManifest(A, Child, Some(Two))],
            ],
        )
    }
}

/// The same when it is the index that is signed.
pub(crate) fn retag_of_expired_signed_index() -> Scenario {
    Scenario {
        collects_untagged: true,
        edges: Edges {
            subject: Index,
            ..Edges::SIGNED_IMAGE
        },
        ..Scenario::new(&SIGNED_INDEX, &[], [&[PutManifest(A, Index, Some(One))], &[]])
    }
}

/// An expired image is pushed again from its layer on, and signed again by somebody else.
pub(crate) fn push_and_signature_of_expired_image() -> Scenario {
    Scenario {
        collects_untagged: true,
        ..Scenario::new(
            &SIGNED_IMAGE,
            &[],
            [
                &[PushLayerUnlessThere(A), PutManifest(A, Child, Some(One))],
                &[PutManifest(A, Referrer, None)],
            ],
        )
    }
}

/// A tag moves from the index to its child and back, the other tag goes.
pub(crate) fn tags_that_move_and_go() -> Scenario {
    Scenario {
        collects_untagged: true,
        ..Scenario::new(
            &SIGNED_INDEX,
            &[(One, Index), (Two, Child)],
            [
                &[PutManifest(A, Child, Some(One))],
                &[DeleteTag(Two), PutManifest(A, Index, Some(Two))],
            ],
        )
    }
}

/// A tag moves away from a manifest that is being deleted.
pub(crate) fn delete_of_a_manifest_whose_tag_moves() -> Scenario {
    Scenario {
        collects_untagged: true,
        ..Scenario::new(
            &INDEX,
            &[(One, Index)],
            [&[DeleteManifest(A, Index)], &[PutManifest(A, Child, Some(One))]],
        )
    }
}

/// The same on a registry that keeps what has no tag, with an image that is deleted next.
pub(crate) fn deletes_where_untagged_manifests_stay() -> Scenario {
    Scenario::new(
        &SIGNED_INDEX,
        &[(One, Index)],
        [
            &[DeleteManifest(A, Index), DeleteManifest(A, Child)],
            &[PutManifest(A, Child, Some(One))],
        ],
    )
}

/// A referrer is an index over its own subject; both are expired and get tags again.
pub(crate) fn retag_of_an_expired_cycle() -> Scenario {
    Scenario {
        collects_untagged: true,
        edges: Edges {
            referrer_has_child: true,
            ..Edges::SIGNED_IMAGE
        },
        ..Scenario::new(
            &SIGNED_IMAGE,
            &[],
            [
                &[PutManifest(A, Referrer, Some(One))],
                &[PutManifest(A, Child, Some(Two))],
            ],
        )
    }
}

/// The same when the signature has a layer of its own, and somebody signs anew: index, child, referrer, layer.
pub(crate) fn retag_of_expired_index_with_a_signature() -> Scenario {
    Scenario {
        collects_untagged: true,
        edges: Edges {
            with_layer: Referrer.bit(),
            ..Edges::SIGNED_IMAGE
        },
        ..Scenario::new(
            &SIGNED_INDEX,
            &[],
            [
                &[PutManifest(A, Index, Some(One))],
                &[PushLayerUnlessThere(A), PutManifest(A, Referrer, None)],
            ],
        )
    }
}

/// Somebody asks for an expired index, somebody else for its image, and pushes the index over it: both are young then.
pub(crate) fn heads_of_expired_index_under_grace() -> Scenario {
    Scenario {
        collects_untagged: true,
        has_grace: true,
        ..Scenario::new(
            &SIGNED_INDEX,
            &[],
            [
                &[HeadManifest(A, Index)],
                &[HeadManifest(A, Child), PutManifest(A, Index, Some(One))],
            ],
        )
    }
}

/// Somebody asks for an expired image, and deletes it although it is young.
pub(crate) fn delete_of_a_young_image() -> Scenario {
    Scenario {
        collects_untagged: true,
        has_grace: true,
        ..Scenario::new(
            &SIGNED_IMAGE,
            &[],
            [
                &[HeadManifest(A, Child), DeleteManifest(A, Child)],
                &[PushLayerUnlessThere(A), HeadManifest(A, Referrer)],
            ],
        )
    }
}

/// An index comes over an expired image, perhaps only after a power cut.
pub(crate) fn index_over_an_expired_image() -> Scenario {
    Scenario {
        collects_untagged: true,
        ..Scenario::new(&IMAGE, &[], [&[PutManifest(A, Index, Some(One))], &[]])
    }
}

/// An expired image in one repository is mounted from there, and deleted, while another gets it.
pub(crate) fn mount_from_an_expired_image() -> Scenario {
    Scenario {
        collects_untagged: true,
        ..Scenario::new(
            &IMAGE,
            &[],
            [
                &[Mount, PutManifest(B, Child, Some(OfB))],
                &[DeleteManifest(A, Child), DeleteLayer(A)],
            ],
        )
    }
}

/// A new image over a layer that is garbage, which somebody else pushes again.
pub(crate) fn image_over_a_pushed_layer() -> Scenario {
    Scenario::new(
        &[Link(A, Layer)],
        &[],
        [&[PutManifest(A, Child, Some(One))], &[PushLayer(A)]],
    )
}

/// A tag moves from an image to something that has nothing to do with it while the image is deleted.
pub(crate) fn tag_moves_from_what_is_deleted() -> Scenario {
    Scenario {
        edges: Edges {
            subject: Index,
            ..Edges::SIGNED_IMAGE
        },
        ..Scenario::new(
            &IMAGE,
            &[(One, Child)],
            [
                &[PutManifest(A, Referrer, Some(One))],
                &[DeleteManifest(A, Child)],
            ],
        )
    }
}

/// An index and what it names are deleted at once.
pub(crate) fn deletes_of_index_and_child() -> Scenario {
    Scenario::new(
        &SIGNED_INDEX,
        &[],
        [
            &[DeleteManifest(A, Index)],
            &[DeleteManifest(A, Child), DeleteLayer(A)],
        ],
    )
}

/// A tag is deleted, and so is what it names.
pub(crate) fn deletes_of_tag_and_index() -> Scenario {
    Scenario::new(
        &INDEX,
        &[(One, Index)],
        [
            &[DeleteManifest(A, Index)],
            &[DeleteTag(One), PutManifest(A, Child, Some(One))],
        ],
    )
}

/// Clients delete what a run removes, or would have kept.
pub(crate) fn deletes_of_expired_child_and_layer() -> Scenario {
    Scenario {
        collects_untagged: true,
        ..Scenario::new(
            &SIGNED_INDEX,
            &[],
            [
                &[DeleteManifest(A, Child), DeleteLayer(A)],
                &[PutManifest(A, Index, Some(One))],
            ],
        )
    }
}
