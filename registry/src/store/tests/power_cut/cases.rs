//! The operations by themselves, and the volumes on which they run.

use super::damage::{self, REPAIR, SCRUB};
use super::late;
use super::operations as op;
use super::record::{Before, Part, Record, Setup, in_turn};
use super::uploads;

/// What it is called, the volume, the operation and how it is done.
type Case = (&'static str, Before, &'static str, op::Operation);

pub(super) const COLLECT: &str = "collection";
pub(super) const DELETE_MANIFEST: &str = "manifest delete";
pub(super) const PUSH_BLOB: &str = "blob push";
pub(super) const PUSH_MANIFEST: &str = "manifest push";

pub(super) fn nothing() -> Setup {
    |_| Box::pin(async {})
}

pub(super) fn blobs() -> Setup {
    |store| Box::pin(op::with_blobs(store))
}

pub(super) fn uploads_begun() -> Setup {
    |store| Box::pin(uploads::with_uploads(store))
}

pub(super) fn blobs_and_uploads_begun() -> Setup {
    |store| Box::pin(uploads::with_blobs_and_uploads(store))
}

pub(super) fn all_but_the_layer() -> Setup {
    |store| Box::pin(op::with_all_but_the_layer(store))
}

pub(super) fn first() -> Setup {
    |store| Box::pin(op::with_first(store))
}

pub(super) fn history() -> Setup {
    |store| Box::pin(op::with_history(store))
}

pub(super) fn history_alone() -> Setup {
    |store| Box::pin(op::with_history_alone(store))
}

pub(super) fn signature() -> Setup {
    |store| Box::pin(op::with_signature(store))
}

pub(super) fn held() -> Setup {
    |store| Box::pin(op::with_hold(store))
}

pub(super) fn parent_alone() -> Setup {
    |store| Box::pin(op::with_parent_alone(store))
}

pub(super) fn parent_complete() -> Setup {
    |store| Box::pin(op::with_parent_complete(store))
}

pub(super) fn untagged() -> Setup {
    |store| Box::pin(op::with_untagged(store))
}

pub(super) fn untagged_second() -> Setup {
    |store| Box::pin(op::with_untagged_second(store))
}

pub(super) fn untagged_index() -> Setup {
    |store| Box::pin(op::with_untagged_index(store))
}

pub(super) fn aging() -> Setup {
    |store| Box::pin(op::with_aging(store))
}

pub(super) fn stale_age() -> Setup {
    |store| Box::pin(op::with_stale_age(store))
}

pub(super) fn damaged_layer() -> Setup {
    |store| Box::pin(damage::with_damaged_layer(store))
}

pub(super) fn lost_links() -> Setup {
    |store| Box::pin(damage::with_lost_links(store))
}

pub(super) fn to_be_moved() -> Setup {
    |store| Box::pin(damage::with_what_is_to_be_moved(store))
}

pub(super) fn layer_in_b() -> Setup {
    |store| Box::pin(late::with_layer_in_b(store))
}

fn index_of_layer() -> Setup {
    |store| Box::pin(late::with_index_of_layer(store))
}

fn marked_layer() -> Setup {
    |store| Box::pin(late::with_marked_layer(store))
}

fn marked_image() -> Setup {
    |store| Box::pin(late::with_marked_image(store))
}

fn marked_garbage() -> Setup {
    |store| Box::pin(late::with_marked_garbage(store))
}

fn cases_of_what_comes_late() -> Vec<Case> {
    vec![
        (
            "layer after its index",
            Before::Open(index_of_layer()),
            PUSH_BLOB,
            op::push_layer,
        ),
        (
            "mount after the index",
            Before::Open(index_of_layer()),
            "mount",
            late::mount_from_b,
        ),
        (
            "image after its index",
            Before::Open(parent_alone()),
            PUSH_MANIFEST,
            op::push_first,
        ),
        (
            "delete of a blob that came late",
            Before::Open(marked_layer()),
            "blob delete",
            op::delete_layer,
        ),
        (
            "delete of an image that came late",
            Before::Open(marked_image()),
            DELETE_MANIFEST,
            op::delete_first,
        ),
        (
            "collection of a blob that came late",
            Before::Open(marked_layer()),
            COLLECT,
            op::collect_garbage,
        ),
        (
            "collection of what came late",
            Before::Open(marked_garbage()),
            COLLECT,
            op::collect_garbage,
        ),
    ]
}

fn cases_of_blobs_and_holds() -> Vec<Case> {
    vec![
        (
            "first push to a new volume",
            Before::Empty,
            PUSH_MANIFEST,
            op::push_everything,
        ),
        ("blob to a new volume", Before::Empty, PUSH_BLOB, op::push_layer),
        ("hold of a new volume", Before::Empty, "hold", op::hold),
        (
            "first start on a volume of registry:2",
            Before::Foreign(blobs()),
            PUSH_BLOB,
            op::push_layer_to_b,
        ),
        (
            "blob into a new repository",
            Before::Open(nothing()),
            PUSH_BLOB,
            op::push_layer,
        ),
        (
            "blob that is there",
            Before::Open(blobs()),
            PUSH_BLOB,
            op::push_layer,
        ),
        (
            "blob that is damaged",
            Before::Open(damaged_layer()),
            PUSH_BLOB,
            op::push_layer,
        ),
        ("mount", Before::Open(blobs()), "mount", op::mount),
        (
            "blob by sha512",
            Before::Open(nothing()),
            PUSH_BLOB,
            op::push_layer_as_sha512,
        ),
    ]
}

fn cases_of_scrub_and_repair() -> Vec<Case> {
    vec![
        (
            "scrub of rotten bytes",
            Before::Open(damaged_layer()),
            SCRUB,
            damage::scrub,
        ),
        (
            "repair of lost links",
            Before::Open(lost_links()),
            REPAIR,
            damage::repair,
        ),
        (
            "repair of what is to be moved aside",
            Before::Open(to_be_moved()),
            REPAIR,
            damage::repair,
        ),
    ]
}

fn cases_of_manifests() -> Vec<Case> {
    vec![
        (
            "image by sha512",
            Before::Open(first()),
            PUSH_MANIFEST,
            op::push_first_as_sha512,
        ),
        ("image", Before::Open(blobs()), PUSH_MANIFEST, op::push_first),
        (
            "image with two tags",
            Before::Open(blobs()),
            PUSH_MANIFEST,
            op::push_first_with_two_tags,
        ),
        ("index", Before::Open(first()), PUSH_MANIFEST, op::push_parent),
        (
            "manifest with a subject",
            Before::Open(first()),
            PUSH_MANIFEST,
            op::push_signature,
        ),
        (
            "tag that moves",
            Before::Open(first()),
            PUSH_MANIFEST,
            op::push_second,
        ),
        (
            "tag with a history that moves",
            Before::Open(history()),
            PUSH_MANIFEST,
            op::push_second,
        ),
        (
            "tag with nothing but a history that moves",
            Before::Open(history_alone()),
            PUSH_MANIFEST,
            op::push_second,
        ),
    ]
}

fn cases_of_deletes_and_collections() -> Vec<Case> {
    vec![
        ("tag delete", Before::Open(first()), "tag delete", op::delete_tag),
        (
            "manifest delete",
            Before::Open(first()),
            DELETE_MANIFEST,
            op::delete_first,
        ),
        (
            "delete of a referrer",
            Before::Open(signature()),
            DELETE_MANIFEST,
            op::delete_signature,
        ),
        (
            "blob delete",
            Before::Open(blobs()),
            "blob delete",
            op::delete_layer,
        ),
        (
            "index before its image",
            Before::Open(blobs()),
            PUSH_MANIFEST,
            op::push_parent,
        ),
        (
            "index after its image",
            Before::Open(parent_complete()),
            PUSH_MANIFEST,
            op::push_parent,
        ),
        (
            "delete of an index",
            Before::Open(parent_alone()),
            DELETE_MANIFEST,
            op::delete_parent,
        ),
        ("hold", Before::Open(blobs()), "hold", op::hold),
        ("release", Before::Open(held()), "release", op::release),
        (
            "collection of a signed image",
            Before::Open(untagged()),
            COLLECT,
            op::collect_garbage,
        ),
        (
            "collection of an index",
            Before::Open(untagged_index()),
            COLLECT,
            op::collect_garbage,
        ),
        (
            "collection that sees age",
            Before::Open(untagged()),
            COLLECT,
            op::see_what_ages,
        ),
        (
            "collection that sees new names",
            Before::Open(stale_age()),
            COLLECT,
            op::see_what_ages,
        ),
        (
            "collection that sees what came",
            Before::Open(parent_complete()),
            COLLECT,
            op::collect_garbage,
        ),
        (
            "tag for what has aged",
            Before::Open(aging()),
            PUSH_MANIFEST,
            op::push_first,
        ),
    ]
}

/// Each operation by itself, under every circumstance in which it takes other steps.
pub(super) async fn single_operations() -> Vec<(&'static str, Record)> {
    let mut records = Vec::new();
    let cases = [
        cases_of_blobs_and_holds(),
        cases_of_scrub_and_repair(),
        cases_of_manifests(),
        cases_of_what_comes_late(),
        cases_of_deletes_and_collections(),
    ];
    for (name, before, operation, run) in cases.concat() {
        records.push((name, in_turn(before, &[Part::Do(operation, run)]).await));
    }
    let parts = [
        Part::Do("chunk", uploads::send_first_part),
        Part::Restart,
        Part::Do(PUSH_BLOB, uploads::end_upload),
    ];
    records.push((
        "upload over a restart",
        in_turn(Before::Open(nothing()), &parts).await,
    ));
    let parts = [Part::Do(PUSH_BLOB, op::push_layer), Part::Close, Part::Restart];
    records.push(("close", in_turn(Before::Open(nothing()), &parts).await));
    records
}
