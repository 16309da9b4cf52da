//! Deletes of a manifest with its tags: what is on the volume about one that is under way, and how the next process goes
//! on with one that was cut off.

use std::collections::BTreeSet;
use std::path::Path;

use crate::store::disk::{Effect, is_record};

use super::VOLUME;
use super::cases::{DELETE_MANIFEST, PUSH_MANIFEST, first};
use super::cuts::{Seen, complaint_without, survive};
use super::operations as op;
use super::record::{Before, Order, Part, Record, Recorded, in_turn};
use super::recorder::Event;
use super::sites::kind_of;
use super::states::TEMPORARY;
use super::view::look;

/// The process ends in the middle of a delete. The next one starts, is asked again, and then to push the same: only cuts in
/// that process are looked at. `None`: the delete has fewer effects.
async fn cut_off_after(effects: usize) -> Option<Record> {
    let recorded = Recorded::new(Before::Open(first())).await;
    let mut views = vec![look(&recorded.store).await];
    recorded.recorder.end_after(effects);
    recorded.recorder.mark(Event::Begin(0));
    if op::delete_first(recorded.store.clone()).await.is_ok() {
        return None;
    }
    let from = recorded.recorder.events().len();
    let recorded = recorded.restart().await;
    op::delete_first(recorded.store.clone()).await.unwrap();
    recorded.recorder.mark(Event::Acknowledge(0));
    views.push(look(&recorded.store).await);
    recorded.run(1, op::push_first_with_two_tags).await;
    views.push(look(&recorded.store).await);
    let operations: Vec<(&'static str, op::Operation)> = vec![
        (DELETE_MANIFEST, op::delete_first),
        (PUSH_MANIFEST, op::push_first_with_two_tags),
    ];
    let mut record = recorded.record(operations, Order::InTurn(views));
    record.from = from;
    Some(record)
}

/// Where the record of a delete is removed, from one event on.
fn removal(events: &[Event], from: usize) -> Option<usize> {
    let is_removal = |event: &Event| matches!(event, Event::Unlink(path) if is_record(Path::new(path)));
    let found = events[from..].iter().position(is_removal);
    found.map(|position| from + position)
}

/// The fsyncs by which a start completes a delete, with what they are of.
fn completing(record: &Record) -> Vec<(String, usize)> {
    let is_begun = |event: &Event| matches!(event, Event::MakeFile(path, _) if is_record(Path::new(path)));
    let (before, _) = record.events.split_at(record.from);
    let is_cut_off = before.iter().any(is_begun) && removal(before, 0).is_none();
    let Some(end) = removal(&record.events, record.from).filter(|_| is_cut_off) else {
        return Vec::new();
    };
    let events = record.events.iter().enumerate();
    let found = events
        .take(end)
        .skip(record.from)
        .filter_map(|(position, event)| {
            let what = match event {
                Event::SyncFile(path, _) | Event::SyncDirectory(path) => kind_of(path),
                Event::SyncVolume => VOLUME.to_owned(),
                _ => return None,
            };
            Some((what, position))
        });
    found.collect()
}

#[tokio::test]
async fn power_cut_while_a_start_completes_a_delete_leaves_all_of_it_or_nothing() {
    let (mut records, mut seen) = (Vec::new(), Seen::default());
    while let Some(record) = cut_off_after(records.len() + 1).await {
        let name = format!("end after effect {}", records.len() + 1);
        survive(&name, &record, &mut seen).await.unwrap();
        records.push(record);
    }
    let (mut found, mut missed) = (BTreeSet::new(), BTreeSet::new());
    for record in &records {
        for (what, position) in completing(record) {
            if !missed.contains(&what) && complaint_without(record, position, &mut seen).await.is_some() {
                missed.insert(what.clone());
            }
            found.insert(what);
        }
    }
    assert_eq!(missed, found, "nobody would miss some of these fsyncs");
    assert_eq!(found.len(), 3, "of the volume, the tags and the link: {found:?}");
}

#[tokio::test]
async fn record_of_a_delete_is_durably_gone_before_the_same_can_be_pushed_again() {
    let parts = [
        Part::Do(DELETE_MANIFEST, op::delete_first),
        Part::Do(PUSH_MANIFEST, op::push_first_with_two_tags),
    ];
    let record = in_turn(Before::Open(first()), &parts).await;
    let mut seen = Seen::default();
    survive("delete, then push", &record, &mut seen).await.unwrap();
    let synced = removal(&record.events, 0).unwrap() + 1;
    assert_eq!(record.events[synced], Event::SyncDirectory(TEMPORARY.into()));
    let complaint = complaint_without(&record, synced, &mut seen).await;
    assert!(complaint.is_some(), "nobody would miss that fsync");
}

#[tokio::test]
async fn delete_that_fails_has_durably_taken_nothing_once_that_is_answered() {
    let recorded = Recorded::new(Before::Open(first())).await;
    let before = look(&recorded.store).await;
    let removes_the_link =
        |effect: &Effect<'_>| matches!(effect, Effect::RemoveFile { path } if path.ends_with("link"));
    recorded.recorder.fail_once(removes_the_link);
    recorded.recorder.mark(Event::Begin(0));
    op::delete_first(recorded.store.clone()).await.unwrap_err();
    let failed = recorded.recorder.events().len();
    op::delete_first(recorded.store.clone()).await.unwrap();
    let views = vec![before.clone(), look(&recorded.store).await];
    let operations: Vec<(&'static str, op::Operation)> = vec![(DELETE_MANIFEST, op::delete_first)];
    let mut record = recorded.record(operations, Order::InTurn(views));
    record.events.truncate(failed);
    let mut seen = Seen::default();
    survive("before the answer", &record, &mut seen).await.unwrap();
    let [tags, records] = [failed - 3, failed - 1];
    assert!(matches!(&record.events[tags], Event::SyncDirectory(path) if path.ends_with("tags")));
    let complaint = complaint_without(&record, tags, &mut seen).await;
    assert!(complaint.is_some(), "nobody would miss the fsync of the tags");

    record.operations = vec![("nothing", |_| Box::pin(async { Ok(()) }))];
    record.order = Order::InTurn(vec![before.clone(), before]);
    record.events.push(Event::Acknowledge(0));
    record.from = failed;
    survive("after it", &record, &mut seen).await.unwrap();
    assert_eq!(record.events[records], Event::SyncDirectory(TEMPORARY.into()));
    let complaint = complaint_without(&record, records, &mut seen).await;
    assert!(complaint.is_some(), "nobody would miss the fsync of the records");
}
