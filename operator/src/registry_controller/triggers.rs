//! Which Registries an event is about. In: streams of one scope. Out: a controller that is triggered by all of them.
//! The mappings are pure; the streams are IO once the controller runs.

use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt as _;
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::runtime::Controller;
use kube::runtime::controller::Config;
use kube::runtime::reflector::{Lookup as _, ObjectRef, Store};
use kube::runtime::utils::Backoff;
use portolan_crds::v1alpha1::Registry;

use crate::labels::REGISTRY;
use crate::registry_controller::Context;
use crate::streams::Streams;

type Guarded = DeserializeGuard<Registry>;

/// Every stream recovers by itself; the controller must not pause all of them because one failed.
#[derive(Debug)]
struct NoPause;

impl Iterator for NoPause {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(Duration::from_millis(1))
    }
}

impl Backoff for NoPause {
    fn reset(&mut self) {}
}

/// A controller over the streams, not yet running.
pub(super) fn controller(streams: Streams, context: &Arc<Context>, concurrency: u16) -> Controller<Guarded> {
    let Streams {
        registries,
        stateful_sets,
        services,
        service_accounts,
        config_maps,
        secrets,
        claims,
        pods,
        users_certificates,
        storage_classes,
    } = streams;
    let by_certificate = {
        let context = Arc::clone(context);
        move |secret: PartialObjectMeta<_>| users_of_certificate(&context, &secret)
    };
    let by_class = {
        let store = registries.store.clone();
        move |class: PartialObjectMeta<_>| users_of_class(&store, &class.name_any())
    };
    Controller::for_stream(registries.stream, registries.store)
        .with_config(Config::default().concurrency(concurrency))
        .trigger_backoff(NoPause)
        .watches_stream(stateful_sets.stream, |child| labelled(&child))
        .watches_stream(services.stream, |child| labelled(&child))
        .watches_stream(service_accounts.stream, |child| labelled(&child))
        .watches_stream(config_maps.stream, |child| labelled(&child))
        .watches_stream(secrets.stream, |child| labelled(&child))
        .watches_stream(claims.stream, |child| labelled(&child))
        .watches_stream(pods.stream, |child| labelled(&child))
        .watches_stream(users_certificates, by_certificate)
        .watches_stream(storage_classes, by_class)
}

/// By label rather than by owner reference: a retained claim has none, and one that was stripped off is noticed.
fn labelled(child: &impl kube::Resource) -> Option<ObjectRef<Guarded>> {
    let registry = child.labels().get(REGISTRY)?;
    Some(ObjectRef::new(registry).within(child.meta().namespace.as_deref()?))
}

fn users_of_certificate<K>(context: &Context, secret: &PartialObjectMeta<K>) -> Vec<ObjectRef<Guarded>> {
    let name = secret.metadata.name.as_deref().unwrap_or_default();
    let namespace = secret.metadata.namespace.as_deref().unwrap_or_default();
    let version = secret.metadata.resource_version.clone();
    context.referenced_secrets.saw(namespace, name, version);
    users(&context.stores.registries, |registry| {
        let reference = registry.spec.tls.secret_ref.as_ref();
        registry.metadata.namespace.as_deref() == Some(namespace)
            && reference.is_some_and(|reference| reference.name == name)
    })
}

fn users_of_class(store: &Store<Guarded>, name: &str) -> Vec<ObjectRef<Guarded>> {
    users(store, |registry| {
        let volume = registry.spec.storage.volume.as_ref();
        volume.is_some_and(|volume| {
            volume
                .storage_class_name
                .as_deref()
                .is_none_or(|class| class == name)
        })
    })
}

fn users(store: &Store<Guarded>, uses: impl Fn(&Registry) -> bool) -> Vec<ObjectRef<Guarded>> {
    let state = store.state();
    let readable = state.iter().filter(|guard| guard.0.as_ref().is_ok_and(&uses));
    readable.map(|guard| guard.to_object_ref(())).collect()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;

    use super::*;

    #[test]
    fn child_without_our_label_triggers_nothing() {
        let mut child = ConfigMap::default();
        child.metadata.namespace = Some("team-a".to_owned());
        assert_eq!(labelled(&child), None);
        child.metadata.labels = Some([(REGISTRY.to_owned(), "depot".to_owned())].into());
        let expected = ObjectRef::<Guarded>::new("depot").within("team-a");
        assert_eq!(labelled(&child), Some(expected));
    }
}
