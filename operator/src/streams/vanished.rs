//! What a new list does not show any more: events of a watch come in, its objects go out, and for each that vanished while
//! nobody watched one that has nothing but its name. Pure.

use std::collections::HashSet;

use futures::{Stream, StreamExt as _, stream};
use kube::Resource;
use kube::core::ObjectMeta;
use kube::runtime::watcher::{Event, Result};

type Key = (Option<String>, Option<String>);

/// Each object that appeared, changed or vanished. Only names are kept.
pub(super) fn touched_or_vanished<K>(
    events: impl Stream<Item = Result<Event<K>>>,
) -> impl Stream<Item = Result<K>>
where
    K: Resource<DynamicType = ()> + Default,
{
    let (mut known, mut listed) = (HashSet::new(), HashSet::new());
    events.flat_map(move |event| {
        stream::iter(match event {
            Ok(Event::Init) => {
                listed.clear();
                Vec::new()
            }
            Ok(Event::InitApply(object)) => {
                listed.insert(key(&object));
                vec![Ok(object)]
            }
            Ok(Event::InitDone) => {
                let before = std::mem::replace(&mut known, std::mem::take(&mut listed));
                before
                    .difference(&known)
                    .cloned()
                    .map(|gone| Ok(named(gone)))
                    .collect()
            }
            Ok(Event::Apply(object)) => {
                known.insert(key(&object));
                vec![Ok(object)]
            }
            Ok(Event::Delete(object)) => {
                known.remove(&key(&object));
                vec![Ok(object)]
            }
            Err(error) => vec![Err(error)],
        })
    })
}

fn key<K: Resource>(object: &K) -> Key {
    (object.meta().namespace.clone(), object.meta().name.clone())
}

fn named<K: Resource + Default>((namespace, name): Key) -> K {
    let mut object = K::default();
    *object.meta_mut() = ObjectMeta {
        namespace,
        name,
        ..ObjectMeta::default()
    };
    object
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Secret;

    use super::*;

    fn secret(name: &str, version: &str) -> Secret {
        let mut secret: Secret = named((Some("team-a".to_owned()), Some(name.to_owned())));
        secret.metadata.resource_version = Some(version.to_owned());
        secret
    }

    #[tokio::test]
    async fn object_that_a_new_list_lacks_is_told_without_a_version() {
        let events = [
            Event::Init,
            Event::InitApply(secret("kept", "1")),
            Event::InitApply(secret("gone", "2")),
            Event::InitDone,
            Event::Apply(secret("added", "3")),
            Event::Delete(secret("deleted", "4")),
            Event::Init,
            Event::InitApply(secret("kept", "1")),
            Event::InitDone,
            Event::Init,
            Event::InitApply(secret("kept", "1")),
            Event::InitDone,
        ];
        let told = touched_or_vanished(stream::iter(events.map(Ok))).map(|told| {
            let metadata = told.unwrap().metadata;
            (metadata.name.unwrap(), metadata.resource_version)
        });
        let all: Vec<_> = told.collect().await;
        let of = |name: &str| {
            let versions = all.iter().filter(|(told, _)| told == name);
            versions
                .map(|(_, version)| version.as_deref())
                .collect::<Vec<_>>()
        };
        assert_eq!(of("gone"), [Some("2"), None]);
        assert_eq!(of("added"), [Some("3"), None]);
        assert_eq!(of("deleted"), [Some("4")]);
        assert_eq!(of("kept"), [Some("1"); 3]);
    }
}
