//! Objects with something added to them come in, and what would be removed is read.

use super::*;

fn service() -> Value {
    json!({"kind": "Service", "spec": {
        "type": "ClusterIP",
        "selector": {"role": "registry"},
        "ports": [{"name": "registry", "port": 443, "protocol": "TCP", "targetPort": "registry"}],
    }})
}

fn stateful_set() -> Value {
    json!({"kind": "StatefulSet", "spec": {"replicas": 1, "template": {"spec": {
        "containers": [{
            "name": "registry",
            "image": "i",
            "args": ["serve"],
            "ports": [{"name": "registry", "containerPort": 5000, "protocol": "TCP"}],
            "resources": {"requests": {"cpu": "50m"}},
            "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
            "livenessProbe": {"httpGet": {"path": "/healthz", "port": "health"}},
            "volumeMounts": [{"name": "tls", "mountPath": "/tls", "readOnly": true}],
        }],
        "volumes": [{"name": "tls", "secret": {"secretName": "depot-tls", "defaultMode": 288}}],
    }}}})
}

/// `object` with the value set at the pointer; a field that is not there comes into being.
fn with(mut object: Value, pointer: &str, value: Value) -> Value {
    let (parent, field) = pointer.rsplit_once('/').unwrap();
    let parent = object.pointer_mut(parent).unwrap();
    match parent {
        Value::Array(items) => items.push(value),
        _ => parent[field] = value,
    }
    object
}

fn removal(intent: &Value, observed: &Value) -> Option<Value> {
    removed(None, &ObjectMeta::default(), find(intent, observed).as_ref())
}

const POD: &str = "/spec/template/spec";
const CONTAINER: &str = "/spec/template/spec/containers/0";

#[test]
fn key_that_we_do_not_intend_is_removed_from_data() {
    let intent = json!({"kind": "Secret", "data": {"active": "bmV3", "new.pem": "YQ=="}});
    let observed = json!({"data": {"active": "bmV3", "new.pem": "YQ==", "old.pem": "Z2FyYmFnZQ=="}});
    let metadata = ObjectMeta {
        resource_version: Some("7".to_owned()),
        uid: Some("u".to_owned()),
        ..ObjectMeta::default()
    };
    assert_eq!(
        removed(None, &metadata, find(&intent, &observed).as_ref()),
        Some(json!({"metadata": {"resourceVersion": "7", "uid": "u"}, "data": {"old.pem": null}}))
    );
}

#[test]
fn removal_joins_a_patch_that_is_sent_anyway() {
    let surplus = find(
        &json!({"data": {"b": "1"}}),
        &json!({"data": {"a": "1", "b": "1"}}),
    );
    let handover = Some(json!({"metadata": {"managedFields": []}}));
    assert_eq!(
        removed(handover.clone(), &ObjectMeta::default(), surplus.as_ref()),
        Some(json!({"metadata": {"managedFields": []}, "data": {"a": null}}))
    );
    assert_eq!(removed(handover.clone(), &ObjectMeta::default(), None), handover);
    assert_eq!(removed(None, &ObjectMeta::default(), None), None);
}

#[test]
fn object_without_data_of_ours_has_no_surplus() {
    assert_eq!(
        find(&json!({"data": {"a": "b"}}), &json!({"data": {"a": "c"}})),
        None
    );
    assert_eq!(
        find(&json!({"kind": "Secret"}), &json!({"data": {"a": "b"}})),
        None
    );
}

#[test]
fn key_that_was_added_to_a_selector_is_removed() {
    let observed = with(service(), "/spec/selector/app", json!("x"));
    let patch = removal(&service(), &observed).unwrap();
    assert_eq!(
        patch["spec"]["selector"],
        json!({"role": "registry", "app": null})
    );
    assert_eq!(patch["spec"]["ports"], service()["spec"]["ports"]);
}

#[test]
fn what_the_api_server_fills_in_and_what_load_balancers_are_told_is_no_surplus() {
    let filled = json!({
        "sessionAffinity": "None", "internalTrafficPolicy": "Cluster", "externalTrafficPolicy": "Local",
        "allocateLoadBalancerNodePorts": false, "loadBalancerIP": "192.0.2.1",
        "loadBalancerSourceRanges": ["192.0.2.0/24"], "clusterIP": "198.19.0.9", "clusterIPs": ["198.19.0.9"],
        "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack", "healthCheckNodePort": 30000,
        "loadBalancerClass": "example.com/theirs",
    });
    let mut observed = service();
    for (field, value) in filled.as_object().unwrap() {
        observed["spec"][field] = value.clone();
    }
    observed["spec"]["ports"][0]["nodePort"] = json!(30001);
    assert_eq!(find(&service(), &observed), None);
    let strategy = json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 0, "maxUnavailable": 1}});
    let observed = with(stateful_set(), "/spec/updateStrategy", strategy);
    assert_eq!(find(&stateful_set(), &observed), None);
}

#[test]
fn way_in_which_pods_are_replaced_is_ours() {
    for (strategy, removed) in [
        (json!({"type": "OnDelete"}), json!({"type": null})),
        (
            json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}),
            json!({"rollingUpdate": {"partition": null}}),
        ),
    ] {
        let observed = with(stateful_set(), "/spec/updateStrategy", strategy);
        let patch = removal(&stateful_set(), &observed).unwrap();
        assert_eq!(patch["spec"]["updateStrategy"], removed);
    }
    for (field, value) in [("minReadySeconds", json!(600)), ("ordinals", json!({"start": 3}))] {
        let observed = with(stateful_set(), &format!("/spec/{field}"), value);
        let patch = removal(&stateful_set(), &observed).unwrap();
        assert_eq!(patch["spec"].get(field), Some(&Value::Null), "{field}");
    }
}

#[test]
fn field_that_was_added_to_a_service_is_removed() {
    for (field, value) in [
        ("externalIPs", json!(["192.0.2.1"])),
        ("publishNotReadyAddresses", json!(true)),
        ("sessionAffinity", json!("ClientIP")),
        (
            "sessionAffinityConfig",
            json!({"clientIP": {"timeoutSeconds": 10800}}),
        ),
        ("internalTrafficPolicy", json!("Local")),
        ("trafficDistribution", json!("PreferClose")),
        ("externalName", json!("elsewhere.example.com")),
    ] {
        let observed = with(service(), &format!("/spec/{field}"), value);
        let patch = removal(&service(), &observed).unwrap();
        assert_eq!(patch["spec"].get(field), Some(&Value::Null), "{field}");
    }
    let headless = with(service(), "/spec/publishNotReadyAddresses", json!(true));
    assert_eq!(find(&headless, &headless), None);
}

#[test]
fn service_gets_its_own_list_of_ports_when_one_was_added_or_renumbered() {
    let added = with(
        service(),
        "/spec/ports/-",
        json!({"name": "x", "port": 80, "protocol": "TCP"}),
    );
    let mut renumbered = service();
    renumbered["spec"]["ports"][0]["port"] = json!(444);
    for observed in [added, renumbered] {
        let patch = removal(&service(), &observed).unwrap();
        assert_eq!(patch["spec"]["ports"], service()["spec"]["ports"]);
    }
}

#[test]
fn whatever_was_added_to_a_pod_template_is_replaced_by_the_intended_one() {
    let additions = [
        ("/hostNetwork", json!(true)),
        ("/hostPID", json!(true)),
        ("/shareProcessNamespace", json!(true)),
        ("/initContainers", json!([{"name": "first", "image": "x"}])),
        ("/nodeSelector", json!({"disk": "ssd"})),
        ("/dnsPolicy", json!("None")),
        ("/containers/-", json!({"name": "sidecar", "image": "x"})),
        ("/volumes/-", json!({"name": "more", "emptyDir": {}})),
        ("/volumes/0/emptyDir", json!({})),
        (
            "/volumes/0/secret/items",
            json!([{"key": "tls.crt", "path": "x"}]),
        ),
        (
            "/containers/0/env",
            json!([{"name": "REGISTRY_HTTP_ADDR", "value": ":1"}]),
        ),
        ("/containers/0/envFrom", json!([{"configMapRef": {"name": "x"}}])),
        ("/containers/0/command", json!(["sleep"])),
        (
            "/containers/0/lifecycle",
            json!({"preStop": {"sleep": {"seconds": 9}}}),
        ),
        (
            "/containers/0/volumeMounts/-",
            json!({"name": "tls", "mountPath": "/x"}),
        ),
        ("/containers/0/volumeMounts/0/subPath", json!("x")),
        (
            "/containers/0/ports/-",
            json!({"containerPort": 80, "protocol": "TCP"}),
        ),
        ("/containers/0/ports/0/hostPort", json!(5000)),
        ("/containers/0/resources/limits", json!({"memory": "1Mi"})),
        ("/containers/0/securityContext/privileged", json!(true)),
        (
            "/containers/0/securityContext/capabilities/add",
            json!(["SYS_ADMIN"]),
        ),
        ("/containers/0/livenessProbe/exec", json!({"command": ["false"]})),
    ];
    for (place, value) in additions {
        let observed = with(stateful_set(), &format!("{POD}{place}"), value);
        let patch = removal(&stateful_set(), &observed).unwrap_or_else(|| panic!("{place} is no surplus"));
        for part in ["containers", "volumes"] {
            let part = format!("{POD}/{part}");
            assert_eq!(
                patch.pointer(&part),
                stateful_set().pointer(&part),
                "{place}: {part}"
            );
        }
        let is_in_a_list = place[1..].contains('/');
        if !is_in_a_list {
            assert_eq!(
                patch.pointer(&format!("{POD}{place}")).map(strip),
                Some(Value::Null),
                "{place}"
            );
        }
    }
}

/// Null for a map of which every key goes.
fn strip(value: &Value) -> Value {
    match value {
        Value::Object(fields) if fields.values().all(Value::is_null) => Value::Null,
        _ => value.clone(),
    }
}

#[test]
fn defaults_of_the_server_and_additions_of_others_are_no_surplus() {
    let mut observed = stateful_set();
    for (pointer, value) in [
        (
            "/metadata",
            json!({"annotations": {"a": "b"}, "labels": {"a": "b"}}),
        ),
        ("/spec/updateStrategy", json!({"type": "RollingUpdate"})),
        (
            "/spec/template/metadata",
            json!({"annotations": {"kubectl.kubernetes.io/restartedAt": "x"}}),
        ),
        ("/spec/template/spec/dnsPolicy", json!("ClusterFirst")),
        ("/spec/template/spec/schedulerName", json!("default-scheduler")),
        ("/spec/template/spec/restartPolicy", json!("Always")),
        ("/spec/template/spec/serviceAccount", json!("depot")),
    ] {
        observed = with(observed, pointer, value);
    }
    for (field, value) in [
        ("imagePullPolicy", json!("IfNotPresent")),
        ("terminationMessagePath", json!("/dev/termination-log")),
        ("securityContext/procMount", json!("Default")),
        ("livenessProbe/successThreshold", json!(1)),
    ] {
        observed = with(observed, &format!("{CONTAINER}/{field}"), value);
    }
    assert_eq!(find(&stateful_set(), &observed), None);
    let mut observed = service();
    observed["spec"]["clusterIP"] = json!("198.19.0.9");
    observed["spec"]["sessionAffinity"] = json!("None");
    observed["spec"]["ports"][0]["nodePort"] = json!(30_000);
    assert_eq!(find(&service(), &observed), None);
}
