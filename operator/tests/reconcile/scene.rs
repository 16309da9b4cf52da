//! A namespace of its own for each test, and short words for what tests do in it. IO.

use k8s_openapi::api::core::v1::{Namespace, Secret};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use kube::runtime::{conditions, wait::await_condition};
use kube::{Client, ResourceExt as _};
use portolan_crds::v1alpha1::{Registry, RegistrySpec, RegistryStatus};
use serde_json::{Value, json};

use crate::operator;
use crate::wait::until;

/// One test's place.
pub(crate) struct Scene {
    pub(crate) client: Client,
    pub(crate) namespace: String,
}

/// A child by kind and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Child {
    pub(crate) kind: &'static str,
    pub(crate) name: String,
}

impl Scene {
    /// A namespace named after the test, with the shared operator running.
    pub(crate) async fn new(test: &str) -> Self {
        operator::shared();
        Self::alone(test).await
    }

    /// The same without an operator.
    pub(crate) async fn alone(test: &str) -> Self {
        let scene = Self {
            client: client().await,
            namespace: format!("{test}-{}", std::process::id()),
        };
        scene.create_namespace(&scene.namespace).await;
        scene
    }

    pub(crate) async fn create_namespace(&self, name: &str) {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let namespace = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
        namespaces
            .create(&PostParams::default(), &namespace)
            .await
            .unwrap();
    }

    /// Creates a Registry.
    pub(crate) async fn registry(&self, name: &str, spec: Value) -> Registry {
        let spec: RegistrySpec = serde_json::from_value(spec).unwrap();
        self.registries()
            .create(&PostParams::default(), &Registry::new(name, spec))
            .await
            .unwrap()
    }

    /// Merges a change into a Registry's spec.
    pub(crate) async fn change(&self, name: &str, spec: Value) {
        let patch = Patch::Merge(json!({"spec": spec}));
        self.registries()
            .patch(name, &PatchParams::default(), &patch)
            .await
            .unwrap();
    }

    pub(crate) fn registries(&self) -> Api<Registry> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// The first status of the newest generation of which `matches` says yes.
    pub(crate) async fn status(
        &self,
        name: &str,
        what: &str,
        matches: impl Fn(&RegistryStatus) -> bool,
    ) -> RegistryStatus {
        let mut last = None;
        let found = until(what, async || {
            let registry = self.registries().get(name).await.unwrap();
            let generation = registry.metadata.generation;
            let status = registry.status.unwrap_or_default();
            let is_new = last.as_ref() != Some(&status);
            if is_new {
                println!("{name}: {}", serde_json::to_string(&status).unwrap());
                last = Some(status.clone());
            }
            (status.observed_generation == generation && matches(&status)).then_some(status)
        });
        found.await
    }

    /// Waits until nothing that the operator still has to write is missing: every child is there and no pod is.
    pub(crate) async fn all_children(&self, name: &str) -> Vec<Child> {
        until(&format!("every child of {name} exists"), async || {
            let children = self.children(name).await;
            for child in &children {
                self.find(child).await?;
            }
            Some(children)
        })
        .await
    }

    /// Waits for a repair, which is a pass: what it did not change is settled.
    pub(crate) async fn one_more_pass(&self, name: &str) {
        let child = Child {
            kind: "Secret",
            name: format!("{name}-push"),
        };
        self.delete(child.kind, &child.name).await;
        until("the push Secret is there again", async || self.find(&child).await).await;
    }

    /// Every child but the claim, by name; the configuration once it exists.
    pub(crate) async fn children(&self, name: &str) -> Vec<Child> {
        let child = |kind, suffix: &str| Child {
            kind,
            name: format!("{name}{suffix}"),
        };
        let mut children = vec![
            child("Service", ""),
            child("Service", "-pods"),
            child("StatefulSet", ""),
            child("ServiceAccount", ""),
            child("ConfigMap", "-ca"),
        ];
        for suffix in [
            "-tls",
            "-ca-key",
            "-token-keys",
            "-admin",
            "-users",
            "-credentials",
            "-push",
            "-pull",
        ] {
            children.push(child("Secret", suffix));
        }
        let config = self
            .config(name)
            .await
            .unwrap_or_else(|| format!("{name}-config-missing"));
        children.push(Child {
            kind: "Secret",
            name: config,
        });
        children
    }

    async fn config(&self, name: &str) -> Option<String> {
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        let prefix = format!("{name}-config-");
        let all = secrets
            .list_metadata(&kube::api::ListParams::default())
            .await
            .unwrap();
        all.items
            .iter()
            .map(kube::ResourceExt::name_any)
            .find(|found| found.starts_with(&prefix))
    }

    pub(crate) fn api(&self, kind: &str) -> Api<DynamicObject> {
        let (group, plural) = match kind {
            "Service" => ("", "services"),
            "ServiceAccount" => ("", "serviceaccounts"),
            "ConfigMap" => ("", "configmaps"),
            "Secret" => ("", "secrets"),
            "PersistentVolumeClaim" => ("", "persistentvolumeclaims"),
            "StatefulSet" => ("apps", "statefulsets"),
            _ => panic!("no kind {kind} here"),
        };
        let resource = ApiResource {
            group: group.to_owned(),
            version: "v1".to_owned(),
            api_version: if group.is_empty() {
                "v1".to_owned()
            } else {
                format!("{group}/v1")
            },
            kind: kind.to_owned(),
            plural: plural.to_owned(),
        };
        Api::namespaced_with(self.client.clone(), &self.namespace, &resource)
    }

    pub(crate) async fn find(&self, child: &Child) -> Option<DynamicObject> {
        self.api(child.kind).get_opt(&child.name).await.unwrap()
    }

    pub(crate) async fn read(&self, kind: &str, name: &str) -> DynamicObject {
        self.api(kind).get(name).await.unwrap()
    }

    /// Creates an object as anybody could.
    pub(crate) async fn create(&self, kind: &str, name: &str, fields: Value) -> DynamicObject {
        let api = self.api(kind);
        let mut object = fields;
        object["apiVersion"] = if kind == "StatefulSet" {
            "apps/v1".into()
        } else {
            "v1".into()
        };
        object["kind"] = kind.into();
        object["metadata"]["name"] = name.into();
        api.create(&PostParams::default(), &serde_json::from_value(object).unwrap())
            .await
            .unwrap()
    }

    /// Edits an object as anybody could.
    pub(crate) async fn edit(&self, kind: &str, name: &str, change: &Value) -> DynamicObject {
        let params = PatchParams {
            field_manager: Some("somebody".to_owned()),
            ..PatchParams::default()
        };
        self.api(kind)
            .patch(name, &params, &Patch::Merge(change))
            .await
            .unwrap()
    }

    pub(crate) async fn delete(&self, kind: &str, name: &str) {
        self.api(kind)
            .delete(name, &kube::api::DeleteParams::default())
            .await
            .unwrap();
    }
}

/// Everything that says what an object is, without what the server counts.
pub(crate) fn content(object: &DynamicObject) -> Value {
    let mut content = object.data.clone();
    content.as_object_mut().unwrap().remove("status");
    content["labels"] = json!(object.metadata.labels);
    content["owners"] = json!(object.metadata.owner_references);
    content
}

/// The status of a condition, and its reason; `("", "")` when it is not there.
pub(crate) fn condition<'a>(status: &'a RegistryStatus, kind: &str) -> (&'a str, &'a str) {
    let found = status.conditions.iter().find(|condition| condition.type_ == kind);
    found.map_or(("", ""), |condition| {
        (condition.status.as_str(), condition.reason.as_str())
    })
}

pub(crate) fn message<'a>(status: &'a RegistryStatus, kind: &str) -> &'a str {
    let found = status.conditions.iter().find(|condition| condition.type_ == kind);
    found.map_or("", |condition| condition.message.as_str())
}

/// Waits until the API server serves our kind.
pub(crate) async fn install_crds() {
    let crds: Api<CustomResourceDefinition> = Api::all(client().await);
    let crd = portolan_crds::yaml::registry_crd();
    let params = PatchParams::apply("portolan-tests").force();
    crds.patch(&crd.name_any(), &params, &Patch::Apply(&crd))
        .await
        .unwrap();
    let established = await_condition(crds, "registries.portolan.dev", conditions::is_crd_established());
    tokio::time::timeout(std::time::Duration::from_secs(30), established)
        .await
        .unwrap()
        .unwrap();
}

/// A client of the throwaway cluster; a sentence instead when there is none.
pub(crate) async fn client() -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let is_thrown_away = std::env::var_os("PORTOLAN_CLUSTER_STATE").is_some();
    assert!(
        is_thrown_away,
        "these tests create and delete objects in the API-only cluster: start one with `e2e/cluster/up --api` and run \
         them inside it, as `make operator` does"
    );
    let client = Client::try_default()
        .await
        .expect("the cluster's kubeconfig must be usable");
    client
        .apiserver_version()
        .await
        .expect("no kube-apiserver answers: run `e2e/cluster/up --api` first");
    client
}
