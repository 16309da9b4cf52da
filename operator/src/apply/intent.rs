//! The JSON that we send for an object: the typed intent comes in, the body with its own hash as annotation goes out.
//! Pure.

use kube::ResourceExt as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{ApplyError, Child, serialize};

/// Annotation of every child: hash of what was sent. It tells a later version of the operator, which no longer sends a
/// field, that there is something to remove.
pub const APPLIED: &str = "portolan.dev/applied";

/// What is sent, without `status`, nulls and empty fields: an empty list or map that we own would be taken back from
/// whoever fills it.
pub(super) fn body<K: Child>(intent: &K) -> Result<Value, ApplyError> {
    let mut body = to_value(intent)?;
    body["apiVersion"] = K::api_version(&()).into_owned().into();
    body["kind"] = K::kind(&()).into_owned().into();
    if let Some(fields) = body.as_object_mut() {
        fields.remove("status");
    }
    if let Some(metadata) = body["metadata"].as_object_mut() {
        for server_owned in [
            "managedFields",
            "resourceVersion",
            "uid",
            "creationTimestamp",
            "generation",
        ] {
            metadata.remove(server_owned);
        }
    }
    let hash = hash(&body);
    if !body["metadata"]["annotations"].is_object() {
        body["metadata"]["annotations"] = json!({});
    }
    body["metadata"]["annotations"][APPLIED] = hash.into();
    Ok(body)
}

/// The body with the UID that the object must have for the write to happen.
pub(super) fn with_uid(body: &Value, uid: &str) -> Value {
    let mut body = body.clone();
    body["metadata"]["uid"] = uid.into();
    body
}

pub(super) fn to_value<K: Child>(object: &K) -> Result<Value, ApplyError> {
    serde_json::to_value(object)
        .map_err(|source| serialize(object, source))
        .map(|mut value| {
            if value["metadata"].is_null() {
                value["metadata"] = json!({ "name": object.name_any() });
            }
            value
        })
}

/// Hash of a value whatever the order of its keys.
pub(super) fn hash(value: &Value) -> String {
    let mut digest = Sha256::new();
    feed(&mut digest, value);
    digest.finalize()[..16]
        .iter()
        .fold(String::new(), |mut text, byte| {
            let _ = std::fmt::Write::write_fmt(&mut text, format_args!("{byte:02x}"));
            text
        })
}

fn feed(digest: &mut Sha256, value: &Value) {
    match value {
        Value::Object(fields) => {
            let mut keys: Vec<&String> = fields.keys().collect();
            keys.sort();
            digest.update(b"{");
            for key in keys {
                feed(digest, &Value::String(key.clone()));
                feed(digest, &fields[key]);
            }
            digest.update(b"}");
        }
        Value::Array(items) => {
            digest.update(b"[");
            for item in items {
                feed(digest, item);
            }
            digest.update(b"]");
        }
        scalar => {
            let text = scalar.to_string();
            digest.update((text.len() as u64).to_be_bytes());
            digest.update(text);
        }
    }
}
