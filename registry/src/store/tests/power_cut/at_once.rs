//! Two operations of which the second runs while the first is held before one of its effects, or after the process has
//! ended there. Both come in; out comes a [`Record`], or what a power cut loses in it.

use futures::future::FutureExt as _;

use super::super::*;
use super::cases::*;
use super::cuts::{Seen, survive};
use super::late::{mount_from_b, push_index_of_layer};
use super::operations as op;
use super::record::{Before, Order, Record, Recorded, Setup};
use super::recorder::Event;
use super::uploads::{end_upload, end_upload_beside, end_upload_to_b};
use super::view::{View, look};

pub(super) struct AtOnce {
    setup: Setup,
    operations: [op::Operation; 2],
    /// What the second operation publishes, so that it waits for whoever has the lock of it.
    publishes: Option<Digest>,
    /// Up to this effect the first one is followed.
    most: usize,
}

/// More effects than an operation has.
const ALL: usize = 100;

/// A collection waits for what has begun before it, so it is never the second.
pub(super) fn pairs() -> [AtOnce; 11] {
    let layer = || Some(digest_of(op::LAYER));
    let pair = |setup, operations, publishes, most| AtOnce {
        setup,
        operations,
        publishes,
        most,
    };
    [
        pair(blobs(), [op::push_first, op::push_second_as_v2], None, ALL),
        pair(blobs(), [op::mount, op::push_first], None, ALL),
        pair(blobs(), [op::mount, op::mount], None, ALL),
        pair(uploads_begun(), [end_upload, end_upload_to_b], layer(), ALL),
        pair(uploads_begun(), [end_upload, end_upload_beside], layer(), ALL),
        pair(
            blobs_and_uploads_begun(),
            [op::collect_garbage, end_upload_to_b],
            layer(),
            ALL,
        ),
        pair(
            blobs_and_uploads_begun(),
            [op::collect_garbage, end_upload],
            layer(),
            ALL,
        ),
        // Later there is nothing left to mount, and more waits at once than can be tried; what of a collection comes then has
        // no fsync.
        pair(untagged_second(), [op::collect_garbage, op::mount], layer(), 11),
        pair(untagged_index(), [op::collect_garbage, op::mount], layer(), 20),
        pair(layer_in_b(), [mount_from_b, push_index_of_layer], None, ALL),
        pair(layer_in_b(), [push_index_of_layer, mount_from_b], None, ALL),
    ]
}

/// What comes of holding an operation back.
enum Held {
    Whole(Box<Record>),
    /// The first has locks that the second needs.
    Locked,
    /// It has fewer effects.
    Over,
}

impl AtOnce {
    /// Cuts the power in all of the second and the rest of the first, wherever that is held. Tells how often they ran at
    /// once.
    pub(super) async fn cut(&self) -> Result<usize, String> {
        let (mut whole, mut seen) = (0, Seen::default());
        for held_before in 1..=self.most {
            match self.run(held_before).await {
                Held::Over => break,
                Held::Locked => {}
                Held::Whole(record) => {
                    let name = format!("second while first waits for effect {held_before}");
                    survive(&name, &record, &mut seen).await?;
                    whole += 1;
                }
            }
        }
        Ok(whole)
    }

    /// Runs the second operation as a whole while the first is held before one of its effects.
    async fn run(&self, held_before: usize) -> Held {
        let [first, second] = self.operations;
        let touched = touched(self.setup, self.operations).await;
        let recorded = Recorded::new(Before::Open(self.setup)).await;
        let before = look(&recorded.store).await;
        recorded.recorder.hold_before(held_before);
        recorded.recorder.mark(Event::Begin(0));
        let mut running = tokio::spawn(first(recorded.store.clone()));
        let gate = Arc::clone(&recorded.recorder.gate);
        tokio::select! {
            () = gate.reached.notified() => {}
            outcome = &mut running => {
                outcome.unwrap().unwrap();
                return Held::Over;
            }
        }
        let locks = &recorded.store.inner.locks;
        if locks
            .hold(self.publishes.as_ref().as_slice(), &[])
            .now_or_never()
            .is_none()
        {
            gate.open();
            running.await.unwrap().unwrap();
            return Held::Locked;
        }
        let whole = recorded.run(1, second);
        let ended = tokio::time::timeout(Duration::from_secs(20), whole).await;
        gate.open();
        ended.unwrap_or_else(|_| panic!("second waits for first: test them in turn"));
        running.await.unwrap().unwrap();
        recorded.recorder.mark(Event::Acknowledge(0));
        let after = look(&recorded.store).await;
        Held::Whole(Box::new(recorded.record(
            vec![("first", first), ("second", second)],
            Order::AtOnce {
                before,
                after,
                touched,
            },
        )))
    }
}

/// What clients see differently once each of two operations is done, be it alone or after the other.
async fn touched(setup: Setup, [one, other]: [op::Operation; 2]) -> Vec<View> {
    let mut views = Vec::new();
    for pair in [[one, other], [other, one]] {
        let recorded = Recorded::new(Before::Open(setup)).await;
        let mut seen = vec![look(&recorded.store).await];
        for (number, operation) in pair.into_iter().enumerate() {
            recorded.run(number, operation).await;
            seen.push(look(&recorded.store).await);
        }
        views.push(seen);
    }
    let of = |alone: &[View], after_the_other: &[View]| -> View {
        let mut left = alone[1].clone();
        left.retain(|thing, answer| {
            alone[0][thing] != *answer || after_the_other[1][thing] != after_the_other[2][thing]
        });
        left
    };
    vec![of(&views[0], &views[1]), of(&views[1], &views[0])]
}

/// The process ends in the middle of the first operation; the next one does the second. `None`: it has fewer effects.
pub(super) async fn after_a_kill(
    setup: Setup,
    [first, second]: [(&'static str, op::Operation); 2],
    ends_after: usize,
) -> Option<Record> {
    let touched = touched(setup, [first.1, second.1]).await;
    let recorded = Recorded::new(Before::Open(setup)).await;
    let before = look(&recorded.store).await;
    recorded.recorder.end_after(ends_after);
    recorded.recorder.mark(Event::Begin(0));
    if first.1(recorded.store.clone()).await.is_ok() {
        return None;
    }
    let recorded = recorded.restart().await;
    recorded.run(1, second.1).await;
    let after = look(&recorded.store).await;
    let mut record = recorded.record(
        vec![first, second],
        Order::AtOnce {
            before,
            after,
            touched,
        },
    );
    let synced = record.events.iter().position(|event| *event == Event::SyncVolume);
    record.from = synced.expect("a volume that is not empty is synced");
    Some(record)
}
