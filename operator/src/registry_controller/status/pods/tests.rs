//! What a pod that does not start says.

use portolan_crds::conditions::reasons::{PROGRESSING, ROLLOUT_FAILED};
use portolan_crds::conditions::{READY, RECONCILING, STALLED, TLS_READY};
use serde_json::json;

use super::*;
use crate::registry_controller::probing::ServiceAnswer;
use crate::registry_controller::status::tests::{pass, pod as running, reason_and_message, status_of};
use crate::registry_controller::status::{Outcome, Progress};
use crate::registry_controller::test_support::{minimal, now, object};

fn pod(status: &serde_json::Value) -> Vec<Arc<Pod>> {
    vec![Arc::new(object(json!({
        "metadata": {"name": "depot-0", "namespace": "team-a", "creationTimestamp": "2027-01-01T00:00:00Z"},
        "status": status,
    })))]
}

fn waiting(reason: &str, message: &str) -> Vec<Arc<Pod>> {
    pod(
        &json!({"containerStatuses": [{"name": "registry", "image": "registry:none", "imageID": "", "ready": false,
        "restartCount": 4, "state": {"waiting": {"reason": reason, "message": message}}}]}),
    )
}

#[test]
fn pods_that_cannot_start_say_why() {
    let cases = [
        (
            "ImagePullBackOff",
            "not found",
            "its image registry:none cannot be pulled",
            false,
        ),
        ("InvalidImageName", "", "is no image name", true),
        ("CrashLoopBackOff", "back-off", "it ended 4 times", false),
        (
            "CreateContainerConfigError",
            "secret \"x\" not found",
            "secret \"x\" not found",
            false,
        ),
    ];
    for (reason, said, expected, is_hopeless) in cases {
        let pods = waiting(reason, said);
        let first = obstacle(&pods, now()).unwrap();
        assert!(first.message.contains(expected), "{}", first.message);
        assert_eq!(first.is_permanent, is_hopeless, "{reason}");
        let later = obstacle(&pods, now() + PATIENCE).unwrap();
        assert!(later.is_permanent, "{reason}");
    }
}

#[test]
fn pod_that_no_node_takes_says_why() {
    let pods = pod(
        &json!({"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable",
        "message": "0/1 nodes are available: insufficient memory"}]}),
    );
    assert!(
        obstacle(&pods, now())
            .unwrap()
            .message
            .contains("insufficient memory")
    );
}

#[test]
fn pod_that_starts_or_serves_is_no_obstacle() {
    let starting = pod(
        &json!({"containerStatuses": [{"name": "registry", "image": "i", "imageID": "", "ready": false,
        "restartCount": 0, "state": {"waiting": {"reason": "ContainerCreating"}}}]}),
    );
    assert_eq!(obstacle(&starting, now()), None);
    let mut crashed_once = json!({"containerStatuses": [{"name": "registry", "image": "i", "imageID": "", "ready": true,
        "restartCount": 1, "state": {"running": {}}}]});
    crashed_once["conditions"] = json!([{"type": "Ready", "status": "True"}]);
    assert_eq!(obstacle(&pod(&crashed_once), now()), None);
}

fn through_the_service(serial: Result<&str, &str>, change: impl FnOnce(&mut Progress)) -> RegistryStatus {
    let registry = minimal();
    let (seen, outcome) = pass(&registry, |_, progress| {
        progress.service = Some(ServiceAnswer {
            name: "depot".to_owned(),
            address: "198.19.0.9:443".parse().unwrap(),
            certificate_serial: serial.map(str::to_owned).map_err(str::to_owned),
        });
        change(progress);
    });
    status_of(&registry, &seen, &outcome, now())
}

#[test]
fn service_that_does_not_lead_to_the_ready_pod_is_waited_for() {
    let status = through_the_service(
        Err("cannot connect to 198.19.0.9:443: connection refused"),
        |_| {},
    );
    let (reason, message) = reason_and_message(&status, AVAILABLE);
    assert_eq!(reason, SERVICE_NOT_ANSWERING);
    assert!(
        message.contains("Service depot does not lead to it yet") && message.contains("198.19.0.9:443"),
        "{message}"
    );
    assert_eq!(
        reason_and_message(&status, RECONCILING),
        (PROGRESSING.to_owned(), message)
    );
    assert!(!conditions::is_true(&status.conditions, READY));
    assert!(conditions::is_true(&status.conditions, TLS_READY));
}

#[test]
fn service_that_leads_to_a_pod_of_somebody_else_is_told() {
    let status = through_the_service(Ok("0ther"), |_| {});
    let (reason, message) = reason_and_message(&status, AVAILABLE);
    assert_eq!(reason, SERVICE_NOT_ANSWERING);
    assert!(message.contains("no pod of this Registry"), "{message}");
}

#[test]
fn service_that_leads_to_a_pod_with_an_older_certificate_serves_clients() {
    let status = through_the_service(Ok("0ld"), |progress| {
        progress.answers[0].certificate_serial = Ok("0ld".to_owned());
    });
    assert!(conditions::is_true(&status.conditions, AVAILABLE));
    assert!(!conditions::is_true(&status.conditions, TLS_READY));
}

#[test]
fn pass_that_did_not_ask_the_service_keeps_what_was_known_of_it() {
    let mut registry = minimal();
    let (seen, _) = pass(&registry, |_, _| {});
    registry.status = Some(through_the_service(Err("refused"), |_| {}));
    let failed = Outcome::Problems(Vec::new());
    let status = status_of(&registry, &seen, &failed, now());
    assert_eq!(reason_and_message(&status, AVAILABLE).0, SERVICE_NOT_ANSWERING);
}

#[test]
fn pod_that_does_not_start_is_waited_for_and_then_a_matter_for_a_person() {
    let registry = minimal();
    let pulling = json!({"conditions": [], "containerStatuses": [{"name": "registry", "image": "none", "imageID": "",
        "ready": false, "restartCount": 0, "state": {"waiting": {"reason": "ImagePullBackOff"}}}]});
    let (seen, outcome) = pass(&registry, |seen, _| seen.pods = vec![running(&pulling)]);
    let status = status_of(&registry, &seen, &outcome, now());
    assert_eq!(reason_and_message(&status, RECONCILING).0, PROGRESSING);
    let later = status_of(&registry, &seen, &outcome, now() + PATIENCE);
    assert_eq!(reason_and_message(&later, STALLED).0, ROLLOUT_FAILED);
}
