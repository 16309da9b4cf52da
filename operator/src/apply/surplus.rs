//! What was added to a child where it is ours whole: what we intend and what is there come in, a merge patch that removes
//! the rest goes out. Pure.
//!
//! Server-side apply alone would keep a field for as long as anybody else claims it: a key more in a selector, a variable
//! more in a container, a damaged key that somebody wrote beside ours.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Map, Value, json};

use super::compare;
use super::places::{self, Place};

/// What must not be there.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Surplus {
    /// A merge patch of the object that takes it away, on top of the spec that we intend.
    removal: Value,
    /// What is there now at the places of the patch.
    pub(super) seen: Value,
    /// The first place that it takes away, down to a list.
    pub(super) field: Vec<String>,
}

/// `None` when everything that is ours whole holds nothing but what we intend.
pub(super) fn find(intent: &Value, observed: &Value) -> Option<Surplus> {
    let kind = intent["kind"].as_str().unwrap_or_default();
    let mut removal = of_fields(places::of(kind), intent, observed)?;
    let field = first_leaf(&removal);
    if let Some(spec) = removal.get_mut("spec") {
        // Parts name each other, such as a mount its volume: all at once is valid, and pods restart once.
        let mut whole = intent["spec"].clone();
        lay_over(&mut whole, spec.take());
        *spec = whole;
    }
    let seen = covered(&removal, observed);
    Some(Surplus { removal, seen, field })
}

fn first_leaf(removal: &Value) -> Vec<String> {
    let mut path = Vec::new();
    let mut below = removal;
    while let Some((field, next)) = below.as_object().and_then(|fields| fields.iter().next()) {
        path.push(field.clone());
        below = next;
    }
    path
}

/// `patch`, extended by the removal. It fails with a conflict if the object changed meanwhile.
pub(super) fn removed(
    patch: Option<Value>,
    metadata: &ObjectMeta,
    surplus: Option<&Surplus>,
) -> Option<Value> {
    let Some(surplus) = surplus else {
        return patch;
    };
    let mut patch = patch.unwrap_or_else(
        || json!({"metadata": {"resourceVersion": metadata.resource_version, "uid": metadata.uid}}),
    );
    for (field, removal) in surplus.removal.as_object().into_iter().flatten() {
        patch[field] = removal.clone();
    }
    Some(patch)
}

fn of_fields(fields: places::Fields, intent: &Value, observed: &Value) -> Option<Value> {
    let found: Map<_, _> = fields
        .iter()
        .filter_map(|(field, place)| {
            let seen = observed.get(field).filter(|seen| !seen.is_null())?;
            let intended = intent.get(field).unwrap_or(&Value::Null);
            Some(((*field).to_owned(), of_place(place, intended, seen)?))
        })
        .collect();
    (!found.is_empty()).then_some(Value::Object(found))
}

fn of_place(place: &Place, intent: &Value, seen: &Value) -> Option<Value> {
    match place {
        Place::Content if intent.is_null() => None,
        Place::Content | Place::Whole => of_whole(intent, seen),
        Place::Unset => (intent.is_null() && !compare::is_empty(seen)).then_some(Value::Null),
        Place::Defaults(text) => (intent.is_null() && !is_default(seen, text)).then_some(Value::Null),
        Place::Object(fields) => of_fields(fields, intent, seen),
        Place::List(keys, inner) => {
            let intended = intent.as_array().map_or(&[][..], Vec::as_slice);
            let is_surplus = |entry: &Value| {
                let same = |ours: &&Value| keys.iter().all(|key| ours.get(key) == entry.get(key));
                let ours = intended.iter().find(same);
                ours.is_none_or(|ours| of_place(inner, ours, entry).is_some())
            };
            // A merge patch replaces a list; what the API server fills in, it fills in again.
            seen.as_array()?.iter().any(is_surplus).then(|| intent.clone())
        }
    }
}

fn is_default(seen: &Value, text: &str) -> bool {
    match seen {
        Value::String(seen) => seen == text,
        Value::Number(seen) => seen.to_string() == text,
        Value::Bool(seen) => text == if *seen { "true" } else { "false" },
        Value::Null | Value::Array(_) | Value::Object(_) => false,
    }
}

fn of_whole(intent: &Value, seen: &Value) -> Option<Value> {
    let found: Map<_, _> = seen
        .as_object()?
        .iter()
        .filter_map(|(key, value)| match intent.get(key) {
            Some(intended) => Some((key.clone(), of_whole(intended, value)?)),
            None => Some((key.clone(), Value::Null)),
        })
        .collect();
    (!found.is_empty()).then_some(Value::Object(found))
}

fn lay_over(below: &mut Value, above: Value) {
    match (below, above) {
        (Value::Object(below), Value::Object(above)) => {
            for (key, value) in above {
                lay_over(below.entry(key).or_insert(Value::Null), value);
            }
        }
        (below, above) => *below = above,
    }
}

/// The part of `observed` that the patch changes, whole where the patch ends.
fn covered(patch: &Value, observed: &Value) -> Value {
    match (patch, observed) {
        (Value::Object(fields), Value::Object(seen)) => fields
            .iter()
            .map(|(key, field)| {
                let seen = seen.get(key).unwrap_or(&Value::Null);
                (key.clone(), covered(field, seen))
            })
            .collect::<Map<_, _>>()
            .into(),
        _ => observed.clone(),
    }
}

#[cfg(test)]
mod tests;
