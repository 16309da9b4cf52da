//! Who leads, through the real Lease API: one at a time, handed over at a stop, and never kept after a loss.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, Patch, PatchParams};
use portolan_operator::leader::{Election, Timing};
use serde_json::json;

use crate::operator::Operator;
use crate::scene::Scene;
use crate::wait::until;

const LEASE: &str = "portolan-operator-leader";
const TIMING: Timing = Timing {
    lease_duration: Duration::from_secs(2),
    renew_deadline: Duration::from_secs(1),
    retry_period: Duration::from_millis(100),
};

/// A second later each time: a renewal that looked like the one before would be no sign of life.
fn now() -> Timestamp {
    static SECOND: AtomicI64 = AtomicI64::new(1_700_000_000);
    Timestamp::from_second(SECOND.fetch_add(1, Ordering::Relaxed)).unwrap()
}

fn leases(scene: &Scene) -> Api<Lease> {
    Api::namespaced(scene.client.clone(), &scene.namespace)
}

async fn holder(scene: &Scene) -> Option<String> {
    leases(scene).get_opt(LEASE).await.unwrap()?.spec?.holder_identity
}

fn contender(scene: &Scene, name: &str) -> Operator {
    // Watches only its own, empty namespace: the shared operator does the work.
    Operator::start(
        name,
        &[
            "--leader-election-namespace",
            &scene.namespace,
            "--watch-namespaces",
            &scene.namespace,
        ],
    )
}

#[tokio::test]
async fn operator_that_is_told_to_stop_hands_the_lease_over() {
    let scene = Scene::new("handover").await;
    let mut operator = contender(&scene, "handover");
    until("the operator leads", async || holder(&scene).await).await;
    operator.terminate();
    let status = operator.exit_within(Duration::from_secs(20)).await;
    assert_eq!(status.code(), Some(0));
    assert_eq!(holder(&scene).await, None);
}

#[tokio::test]
async fn operator_whose_lease_was_taken_ends_with_status_4() {
    let scene = Scene::new("usurped").await;
    let mut operator = contender(&scene, "usurped");
    until("the operator leads", async || holder(&scene).await).await;
    let usurped = Patch::Merge(json!({"spec": {"holderIdentity": "usurper"}}));
    leases(&scene)
        .patch(LEASE, &PatchParams::default(), &usurped)
        .await
        .unwrap();
    let status = operator.exit_within(Duration::from_secs(15)).await;
    assert_eq!(status.code(), Some(4));
    assert_eq!(holder(&scene).await.as_deref(), Some("usurper"));
}

#[tokio::test]
async fn of_many_candidates_for_an_expired_lease_one_wins() {
    let scene = Scene::new("race").await;
    let candidates = (0..8).map(|number| {
        let mut election = Election::new(leases(&scene), LEASE, format!("candidate-{number}"), TIMING, now);
        async move {
            tokio::time::timeout(Duration::from_millis(1500), election.acquire())
                .await
                .is_ok()
        }
    });
    let winners = futures::future::join_all(candidates)
        .await
        .into_iter()
        .filter(|won| *won)
        .count();
    assert_eq!(winners, 1);
}

#[tokio::test]
async fn lease_of_a_dead_leader_is_taken_after_its_duration() {
    let scene = Scene::new("silent").await;
    let mut first = Election::new(leases(&scene), LEASE, "first".to_owned(), TIMING, now);
    first.acquire().await;
    let began = std::time::Instant::now();
    let mut second = Election::new(leases(&scene), LEASE, "second".to_owned(), TIMING, now);
    tokio::time::timeout(Duration::from_secs(20), second.acquire())
        .await
        .unwrap();
    assert!(began.elapsed() >= TIMING.lease_duration);
    tokio::time::timeout(Duration::from_secs(5), first.hold())
        .await
        .expect("the first must notice that it lost");
    assert_eq!(holder(&scene).await.as_deref(), Some("second"));
}

#[tokio::test]
async fn leader_that_renews_keeps_the_lease() {
    let scene = Scene::new("kept").await;
    let mut leader = Election::new(leases(&scene), LEASE, "leader".to_owned(), TIMING, now);
    leader.acquire().await;
    let mut candidate = Election::new(leases(&scene), LEASE, "candidate".to_owned(), TIMING, now);
    tokio::select! {
        () = leader.hold() => panic!("the leader lost the lease"),
        () = candidate.acquire() => panic!("the candidate took the lease of a living leader"),
        () = tokio::time::sleep(TIMING.lease_duration * 3) => {}
    }
}
