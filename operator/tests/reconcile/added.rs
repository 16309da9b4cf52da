//! What somebody adds to a child where it is the operator's whole goes again, and then nothing is written any more.

use std::fs;
use std::path::Path;

use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, PostParams};
use serde_json::{Value, json};

use crate::scene::{Scene, content};
use crate::wait::until;

/// A claim of a registry that clients outside the cluster reach.
fn spec() -> Value {
    json!({"storage": {"volume": {"size": "1Gi"}}, "expose": {"service": {"type": "LoadBalancer"}}})
}

/// How often the operator wrote a Service or a `StatefulSet` of the namespace, by the API server's audit log.
pub(crate) fn writes(namespace: &str) -> usize {
    let state = std::env::var_os("PORTOLAN_CLUSTER_STATE").unwrap();
    let log = fs::read_to_string(Path::new(&state).join("log/audit.log")).unwrap();
    let is_write = |entry: &Value| {
        let word = |pointer| entry.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        word("/objectRef/namespace") == namespace
            && ["services", "statefulsets"].contains(&word("/objectRef/resource"))
            && ["create", "patch", "update"].contains(&word("/verb"))
            && word("/requestURI").contains("fieldManager=portolan-operator")
    };
    // The last line may be half-written.
    let entries = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    entries.filter(is_write).count()
}

fn with(list: &Value, entry: Value) -> Value {
    let mut list = list.as_array().unwrap().clone();
    list.push(entry);
    list.into()
}

/// What a person may add to a Service: its name, and the edit made of what is there.
fn additions_to_services(service: &Value) -> Vec<(&'static str, Value)> {
    let ports = with(&service["spec"]["ports"], json!({"name": "x", "port": 80}));
    let mut renumbered = service["spec"]["ports"].clone();
    renumbered[0]["port"] = json!(8443);
    let specs = [
        json!({"selector": {"app": "x"}}),
        json!({"ports": ports}),
        json!({"ports": renumbered}),
        json!({"externalIPs": ["192.0.2.1"]}),
        json!({"publishNotReadyAddresses": true}),
        json!({"sessionAffinity": "ClientIP"}),
        json!({"internalTrafficPolicy": "Local", "trafficDistribution": "PreferClose"}),
    ];
    let mut edits: Vec<_> = specs
        .into_iter()
        .map(|spec| ("depot", json!({"spec": spec})))
        .collect();
    edits.push(("depot-pods", json!({"spec": {"selector": {"app": "x"}}})));
    edits
}

/// The same for the `StatefulSet`.
fn additions_to_set(set: &Value) -> Vec<Value> {
    let template = |pod: Value| json!({"spec": {"template": {"spec": pod}}});
    let pod = &set["spec"]["template"]["spec"];
    let container = |field: &str, value: Value| {
        let mut container = pod["containers"][0].clone();
        container[field] = value;
        template(json!({"containers": [container]}))
    };
    let idle = |name: &str| json!({"name": name, "image": "localhost/idle:1"});
    let mut volumes = with(&pod["volumes"], json!({"name": "more", "emptyDir": {}}));
    volumes[1] = json!({"name": "config", "emptyDir": {}});
    let mut mounts = pod["containers"][0]["volumeMounts"].clone();
    mounts[0]["name"] = json!("more");
    let mut with_mounts = pod["containers"][0].clone();
    with_mounts["volumeMounts"] = mounts;
    vec![
        json!({"spec": {"updateStrategy": {"type": "OnDelete", "rollingUpdate": null}}}),
        json!({"spec": {"updateStrategy": {"rollingUpdate": {"partition": 1}}, "minReadySeconds": 600}}),
        container("env", json!([{"name": "REGISTRY_HTTP_ADDR", "value": ":1"}])),
        container("command", json!(["sleep"])),
        container("livenessProbe", json!({"exec": {"command": ["false"]}})),
        template(json!({"containers": with(&pod["containers"], idle("sidecar"))})),
        template(json!({"initContainers": [idle("first")], "hostNetwork": true})),
        template(json!({"dnsPolicy": "None", "dnsConfig": {"nameservers": ["192.0.2.1"]}})),
        // A mount that names a volume of theirs: neither can go back alone.
        template(json!({"volumes": volumes, "containers": [with_mounts]})),
    ]
}

#[tokio::test]
async fn whatever_is_added_to_a_child_is_removed_and_then_nothing_is_written() {
    let scene = Scene::new("added").await;
    scene.registry("depot", spec()).await;
    scene.all_children("depot").await;
    let service = scene.read("Service", "depot").await;
    let set = scene.read("StatefulSet", "depot").await;
    let to_services = additions_to_services(&service.data).into_iter();
    let to_set = additions_to_set(&set.data).into_iter();
    let edits = to_services
        .map(|(name, edit)| ("Service", name, edit))
        .chain(to_set.map(|edit| ("StatefulSet", "depot", edit)));
    for (kind, name, edit) in edits {
        let before = content(&scene.read(kind, name).await);
        let edited = scene.edit(kind, name, &edit).await;
        assert_ne!(content(&edited), before, "{edit}");
        until(&format!("{kind} {name} is as before {edit}"), async || {
            (content(&scene.read(kind, name).await) == before).then_some(())
        })
        .await;
    }
    scene.one_more_pass("depot").await;
    let settled = writes(&scene.namespace);
    assert!(settled > 0, "the audit log tells of no write at all");
    scene.one_more_pass("depot").await;
    scene.one_more_pass("depot").await;
    assert_eq!(writes(&scene.namespace), settled);
}

#[tokio::test]
async fn restart_by_annotation_of_the_template_survives_a_repair() {
    let scene = Scene::new("restarted").await;
    scene.registry("depot", spec()).await;
    scene.all_children("depot").await;
    let restart = json!({"spec": {"template": {
        "metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z"}},
        "spec": {"hostPID": true},
    }}});
    scene.edit("StatefulSet", "depot", &restart).await;
    let repaired = until("the pods are in a namespace of their own", async || {
        let template = scene.read("StatefulSet", "depot").await.data["spec"]["template"].clone();
        template["spec"]["hostPID"].is_null().then_some(template)
    })
    .await;
    assert_eq!(
        repaired["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"],
        "2026-01-01T00:00:00Z"
    );
}

/// An admission policy that sets the scheduler of every `StatefulSet` in the scene, until it is removed.
struct Policy<'a> {
    scene: &'a Scene,
}

impl Policy<'_> {
    async fn create(scene: &Scene) -> Policy<'_> {
        let policy = Policy { scene };
        policy
            .write(
                "MutatingAdmissionPolicy",
                json!({
                    "matchConstraints": {"resourceRules": [{
                        "apiGroups": ["apps"],
                        "apiVersions": ["v1"],
                        "operations": ["CREATE", "UPDATE"],
                        "resources": ["statefulsets"],
                    }]},
                    "failurePolicy": "Fail",
                    "reinvocationPolicy": "Never",
                    "mutations": [{
                        "patchType": "ApplyConfiguration",
                        "applyConfiguration": {"expression": "Object{spec: Object.spec{template: Object.spec.template{spec: \
                            Object.spec.template.spec{schedulerName: 'theirs'}}}}"},
                    }],
                }),
            )
            .await;
        policy
            .write(
                "MutatingAdmissionPolicyBinding",
                json!({
                    "policyName": scene.namespace,
                    "matchResources": {"namespaceSelector": {
                        "matchLabels": {"kubernetes.io/metadata.name": scene.namespace},
                    }},
                }),
            )
            .await;
        policy
    }

    async fn remove(self) {
        for kind in ["MutatingAdmissionPolicyBinding", "MutatingAdmissionPolicy"] {
            let name = &self.scene.namespace;
            self.api(kind)
                .delete(name, &DeleteParams::default())
                .await
                .unwrap();
        }
    }

    fn api(&self, kind: &str) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", kind);
        Api::all_with(self.scene.client.clone(), &ApiResource::from_gvk(&kind))
    }

    async fn write(&self, kind: &str, spec: Value) {
        let object = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": kind,
            "metadata": {"name": self.scene.namespace},
            "spec": spec,
        });
        let object = serde_json::from_value(object).unwrap();
        self.api(kind)
            .create(&PostParams::default(), &object)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn what_an_admission_policy_puts_back_is_left_alone_and_an_edit_is_not() {
    let scene = Scene::new("admission-policy").await;
    scene.registry("depot", spec()).await;
    scene.all_children("depot").await;
    let policy = Policy::create(&scene).await;
    let mut edits = 0;
    // Any write of the object, so that it passes the policy once that is in force.
    let mut edit = async || {
        edits += 1;
        let note = json!({"metadata": {"annotations": {"example.com/edits": edits.to_string()}}});
        let set = scene.edit("StatefulSet", "depot", &note).await;
        set.data["spec"]["template"]["spec"]["schedulerName"].clone()
    };
    until("the policy is in force", async || {
        (edit().await == "theirs").then_some(())
    })
    .await;
    for _ in 0..3 {
        scene.one_more_pass("depot").await;
    }
    let settled = writes(&scene.namespace);
    for _ in 0..3 {
        scene.one_more_pass("depot").await;
    }
    assert_eq!(writes(&scene.namespace), settled);
    policy.remove().await;
    let edit = json!({"spec": {"template": {"spec": {"schedulerName": "another"}}}});
    until("the policy is no longer in force", async || {
        let set = scene.edit("StatefulSet", "depot", &edit).await;
        (set.data["spec"]["template"]["spec"]["schedulerName"] == "another").then_some(())
    })
    .await;
    until("the scheduler is the usual one", async || {
        let set = scene.read("StatefulSet", "depot").await;
        (set.data["spec"]["template"]["spec"]["schedulerName"] == "default-scheduler").then_some(())
    })
    .await;
}
