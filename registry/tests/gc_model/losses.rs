//! Each safeguard of the engine is needed: without it, something is lost. The shortest way there is printed.

use super::MOST_STATES;
use super::mutants::Mutant;
use super::scenario::Scenario;
use super::scenarios;
use super::state::{Model, Tells};

/// Explores an engine without one safeguard, prints the shortest way to a loss and compares what is lost.
#[track_caller]
fn is_caught(mutant: Mutant, scenario: Scenario, lost: &str) {
    is_caught_by(mutant, scenario, lost, true);
}

#[track_caller]
fn is_caught_by(mutant: Mutant, scenario: Scenario, lost: &str, only_acknowledged: bool) {
    let model = Model {
        scenario,
        mutant: Some(mutant),
        tells: Tells::BeforeItWrites,
        only_acknowledged,
    };
    let steps = model
        .explore(MOST_STATES)
        .counter_example
        .expect("an engine without this safeguard loses something");
    println!("{mutant:?}, {} steps:\n  {}", steps.len() - 1, steps.join("\n  "));
    assert_eq!(steps.last().map(String::as_str), Some(lost));
}

#[test]
fn model_with_direct_references_loses_data() {
    let lost = "tag One names Index, but link A/Layer is missing";
    is_caught(
        Mutant::DirectReferences,
        scenarios::index_over_an_expired_image(),
        lost,
    );
    let lost = "tag One names Index, but revision A/Referrer is missing";
    is_caught(
        Mutant::DirectReferences,
        scenarios::retag_of_expired_signed_index(),
        lost,
    );
}

#[test]
fn model_that_keeps_a_signature_alone_loses_what_it_needs() {
    let lost = "tag One names Index, but link A/Layer is missing";
    is_caught(
        Mutant::SignatureAlone,
        scenarios::retag_of_expired_index_with_a_signature(),
        lost,
    );
}

#[test]
fn model_without_arming_barrier_loses_data() {
    let lost = "tag One names Index, but revision A/Index is missing";
    is_caught(
        Mutant::NoArmingBarrier,
        scenarios::index_over_an_expired_image(),
        lost,
    );
    let lost = "tag One names Child, but link A/Layer is missing";
    is_caught(
        Mutant::NoArmingBarrier,
        scenarios::two_pushes_of_one_image(),
        lost,
    );
}

#[test]
fn model_that_skips_content_that_exists_loses_data() {
    let lost = "tag One names Child, but the data of Layer is missing or damaged";
    is_caught(Mutant::SkipIfExists, scenarios::two_pushes_of_one_image(), lost);
    is_caught(Mutant::LookBeforeLock, scenarios::two_pushes_of_one_image(), lost);
}

#[test]
fn model_with_shared_publish_loses_data() {
    let lost = "tag One names Child, but link A/Layer is missing";
    is_caught(
        Mutant::SharedPublish,
        scenarios::layer_named_while_it_is_pushed(),
        lost,
    );
}

#[test]
fn model_that_does_not_read_a_tag_again_loses_it() {
    let lost = "tag One is not what was acknowledged";
    is_caught(
        Mutant::DeleteWithoutRereading,
        scenarios::delete_of_a_manifest_whose_tag_moves(),
        lost,
    );
}

/// Who moves a tag away shares the stripe of what it named, so no tag in a list that was made under that stripe moves.
/// The engine reads each again all the same: it would be needed if somebody moved tags without that stripe.
#[test]
fn model_that_lists_tags_under_the_stripe_loses_none_without_reading_them_again() {
    for scenario in [
        scenarios::delete_of_a_manifest_whose_tag_moves(),
        scenarios::tag_moves_from_what_is_deleted(),
    ] {
        let model = Model {
            scenario,
            mutant: Some(Mutant::TagsReadOnce),
            tells: Tells::BeforeItWrites,
            only_acknowledged: false,
        };
        assert_eq!(model.explore(MOST_STATES).counter_example, None);
    }
}

#[test]
fn model_that_does_not_fsync_removed_links_loses_data() {
    let lost = "tag One names Index, but link A/Layer is missing";
    is_caught(
        Mutant::LinksNotSynced,
        scenarios::index_over_an_expired_image(),
        lost,
    );
}

#[test]
fn model_with_tag_before_manifest_loses_the_tag() {
    let lost = "tag One names Referrer, but revision A/Referrer is missing";
    is_caught(
        Mutant::TagBeforeManifest,
        scenarios::tag_moves_from_what_is_deleted(),
        lost,
    );
}

#[test]
fn model_that_forgets_what_a_tag_named_loses_the_tag() {
    let lost = "tag One names Child, but revision A/Child is missing";
    is_caught(
        Mutant::OldTargetNotHeld,
        scenarios::tag_moves_from_what_is_deleted(),
        lost,
    );
}

#[test]
fn model_that_forgets_what_a_deleted_manifest_names_loses_data() {
    let lost = "revision A/Index was acknowledged, but revision A/Child is missing";
    is_caught(
        Mutant::NamedNotHeld,
        scenarios::deletes_of_index_and_child(),
        lost,
    );
}

#[test]
fn model_that_forgets_what_a_swept_manifest_names_loses_data() {
    let lost = "tag One names Index, but link A/Layer is missing";
    is_caught(
        Mutant::SweptNamesNotHeld,
        scenarios::deletes_of_expired_child_and_layer(),
        lost,
    );
}

#[test]
fn model_that_forgets_subjects_loses_signatures() {
    let lost = "tag One names Child, but revision A/Referrer is missing";
    is_caught(
        Mutant::SubjectsNotHeld,
        scenarios::push_and_signature_of_expired_image(),
        lost,
    );
}

#[test]
fn model_that_forgets_the_grace_removes_what_somebody_has_asked_for() {
    let lost = "revision A/Index was asked for in time, but is gone";
    let scenario = scenarios::heads_of_expired_index_under_grace();
    is_caught(Mutant::GraceForgotten, scenario, lost);
}

#[test]
fn model_that_keeps_a_renewed_manifest_alone_breaks_it() {
    let lost = "revision A/Index is there, but revision A/Child is missing";
    let scenario = scenarios::heads_of_expired_index_under_grace();
    is_caught_by(Mutant::RenewedManifestAlone, scenario, lost, false);
}

#[test]
fn model_that_forgets_content_of_renewed_links_breaks_them() {
    let lost = "link A/Layer is there, but the data of Layer is missing or damaged";
    let scenario = scenarios::mount_of_garbage_under_grace();
    is_caught_by(Mutant::RenewedContentForgotten, scenario, lost, false);
}

#[test]
fn model_that_starts_without_sync_loses_data() {
    let lost = "tag One names Child, but link A/Layer is missing";
    is_caught(
        Mutant::NoSyncAtStart,
        scenarios::layer_named_while_it_is_pushed(),
        lost,
    );
}

#[test]
fn model_that_tells_roots_after_release_loses_data() {
    let lost = "tag One names Child, but link A/Layer is missing";
    is_caught(
        Mutant::ToldAfterRelease,
        scenarios::image_over_a_pushed_layer(),
        lost,
    );
}

#[test]
fn model_that_does_not_listen_under_its_locks_loses_data() {
    let lost = "tag One names Child, but link A/Layer is missing";
    is_caught(
        Mutant::ToldOnlyBetween,
        scenarios::image_over_a_pushed_layer(),
        lost,
    );
}

#[test]
fn model_whose_batch_survives_its_run_loses_data() {
    let lost = "tag One names Index, but revision A/Child is missing";
    is_caught(
        Mutant::GoesOnWhenDropped,
        scenarios::index_over_an_expired_image(),
        lost,
    );
}
