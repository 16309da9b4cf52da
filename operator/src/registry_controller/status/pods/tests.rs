//! What a pod that does not start says.

use serde_json::json;

use super::*;
use crate::registry_controller::test_support::{now, object};

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
