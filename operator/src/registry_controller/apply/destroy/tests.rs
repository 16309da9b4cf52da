//! What may go, and what stays.

use std::marker::PhantomData;

use serde_json::{Value, json};

use super::*;
use crate::registry_controller::build::Prepared;
use crate::registry_controller::test_support::{UID, first_pass, minimal, object, observed};

fn applied(prepared: Resources<Prepared>, status: Value) -> Resources<Applied> {
    let Resources {
        claim,
        service_account,
        ca_key,
        tls,
        credentials,
        token_keys,
        admin,
        ca_config_map,
        users,
        push,
        pull,
        config,
        mut stateful_set,
        state: _,
    } = prepared;
    let set = stateful_set.as_mut().unwrap();
    set.metadata.generation = Some(2);
    set.status = Some(object(status));
    Resources {
        claim,
        service_account,
        ca_key,
        tls,
        credentials,
        token_keys,
        admin,
        ca_config_map,
        users,
        push,
        pull,
        config,
        stateful_set,
        state: PhantomData,
    }
}

fn pod(revision: &str, ready: &str) -> Arc<Pod> {
    Arc::new(object(json!({
        "metadata": {"name": "depot-0", "labels": {"controller-revision-hash": revision}},
        "status": {"conditions": [{"type": "Ready", "status": ready}]},
    })))
}

fn rolled(ready: i32, updated: i32) -> Value {
    json!({"replicas": 1, "observedGeneration": 2, "updateRevision": "new", "readyReplicas": ready, "updatedReplicas": updated})
}

fn choice(status: Value, pods: &[Arc<Pod>], change: impl FnOnce(&mut Children)) -> Option<Destruction> {
    let (services, resources, _) = first_pass(&minimal());
    let mut children = observed(&services, &resources);
    change(&mut children);
    choose((UID, true), &applied(resources, status), &children, pods)
}

/// Adds a configuration of an earlier generation.
fn with_old_config(children: &mut Children) {
    let mut old = (*children.configs[0]).clone();
    old.metadata.name = Some("depot-config-0000000000".to_owned());
    children.configs.push(Arc::new(old));
}

#[test]
fn pod_that_is_stuck_on_an_unwanted_template_goes() {
    let chosen = choice(rolled(0, 0), &[pod("old", "False")], |_| {});
    assert!(matches!(chosen, Some(Destruction::StuckPod(_))));
}

#[test]
fn pod_that_serves_or_starts_the_wanted_template_stays() {
    assert_eq!(choice(rolled(1, 0), &[pod("old", "True")], |_| {}), None);
    assert_eq!(choice(rolled(0, 1), &[pod("new", "False")], |_| {}), None);
}

#[test]
fn nothing_goes_before_the_newest_template_was_seen() {
    let mut status = rolled(0, 0);
    status["observedGeneration"] = json!(1);
    assert_eq!(choice(status, &[pod("old", "False")], with_old_config), None);
}

#[test]
fn old_configuration_goes_only_after_the_rollout() {
    assert_eq!(
        choice(rolled(0, 1), &[pod("new", "False")], with_old_config),
        None
    );
    assert_eq!(
        choice(
            rolled(1, 1),
            &[pod("new", "True"), pod("old", "True")],
            with_old_config
        ),
        None
    );
    let chosen = choice(rolled(1, 1), &[pod("new", "True")], with_old_config);
    let Some(Destruction::UnusedSecret(secret)) = chosen else {
        panic!("{chosen:?}")
    };
    assert_eq!(secret.name_any(), "depot-config-0000000000");
}

#[test]
fn configuration_in_use_and_the_certificate_stay() {
    assert_eq!(choice(rolled(1, 1), &[pod("new", "True")], |_| {}), None);
}

#[test]
fn secret_of_somebody_else_stays() {
    let chosen = choice(rolled(1, 1), &[pod("new", "True")], |children| {
        with_old_config(children);
        let mut foreign = (*children.configs[1]).clone();
        foreign.metadata.owner_references = None;
        children.configs[1] = Arc::new(foreign);
    });
    assert_eq!(chosen, None);
}

#[test]
fn certificate_goes_when_pods_mount_another_and_not_before() {
    let (services, mut resources, _) = first_pass(&minimal());
    let children = observed(&services, &resources);
    resources.tls = None;
    let pods = [pod("new", "True")];
    let chosen = |resources| choose((UID, true), &applied(resources, rolled(1, 1)), &children, &pods);
    assert_eq!(chosen(resources.clone()), None);
    let template = resources
        .stateful_set
        .as_mut()
        .unwrap()
        .spec
        .template
        .spec
        .as_mut();
    let volumes = template.unwrap().volumes.as_mut().unwrap();
    let tls = volumes.iter_mut().find(|volume| volume.name == "tls").unwrap();
    tls.secret.as_mut().unwrap().secret_name = Some("theirs".to_owned());
    let Some(Destruction::UnusedSecret(secret)) = chosen(resources) else {
        panic!("the unused certificate stays")
    };
    assert_eq!(secret.name_any(), "depot-tls");
}
