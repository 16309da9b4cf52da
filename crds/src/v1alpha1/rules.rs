//! The validation rules (CEL) of v1alpha1, each with the one sentence that a person reads when it refuses.
//!
//! Rules sit on the deepest field that they need. Rules on the root are not ratcheted by Kubernetes: one that is not a
//! transition rule must never be tightened in this version, or objects that exist could not be changed any more.
//! A rule that builds on another one's format accepts what the other refuses, so that only one sentence is printed.

use kube::core::{Message, Reason, Rule};

/// A Go duration in hours, minutes and seconds, each at most once and with few digits, so that `duration()` cannot
/// overflow; something must be in it.
const DURATION: &str = r"^([0-9]{1,6}(\\.[0-9]{1,3})?h([0-9]{1,6}(\\.[0-9]{1,3})?m)?([0-9]{1,6}(\\.[0-9]{1,3})?s)?|[0-9]{1,6}(\\.[0-9]{1,3})?m([0-9]{1,6}(\\.[0-9]{1,3})?s)?|[0-9]{1,6}(\\.[0-9]{1,3})?s)$";
/// What Kubernetes calls a DNS subdomain: the names of most objects.
const SUBDOMAIN: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";

fn invalid(rule: impl Into<String>, message: impl Into<String>) -> Rule {
    Rule::new(rule)
        .message(Message::Message(message.into()))
        .reason(Reason::FieldValueInvalid)
}

fn forbidden(rule: impl Into<String>, message: impl Into<String>) -> Rule {
    invalid(rule, message).reason(Reason::FieldValueForbidden)
}

fn required(rule: impl Into<String>, message: impl Into<String>) -> Rule {
    invalid(rule, message).reason(Reason::FieldValueRequired)
}

/// Root, and so never to be tightened: the children's names are formed from this one.
pub(super) fn name() -> Rule {
    invalid(
        "self.metadata.name.matches('^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$')",
        "must be at most 40 characters: lower-case letters, digits and '-', starting with a letter and not ending with \
         '-', for example team-a-registry",
    )
    .field_path(".metadata.name")
}

/// Root transition rule. A volume that turned out larger than asked for may still be grown step by step, and a growth
/// that was refused may be taken back; only going below what the volume has is refused.
pub(super) fn size_not_below_capacity() -> Rule {
    let size = "spec.storage.volume.size";
    let rule = format!(
        "!has(self.spec.storage) || !has(self.spec.storage.volume) || !has(self.{size}) || !isQuantity(self.{size}) \
         || !has(self.status) || !has(self.status.storage) || !has(self.status.storage.capacity) \
         || !isQuantity(self.status.storage.capacity) \
         || quantity(self.{size}).compareTo(quantity(self.status.storage.capacity)) >= 0 \
         || (has(oldSelf.spec.storage) && has(oldSelf.spec.storage.volume) && has(oldSelf.{size}) \
             && isQuantity(oldSelf.{size}) && quantity(self.{size}).compareTo(quantity(oldSelf.{size})) >= 0)"
    );
    Rule::new(rule)
        .message(Message::Expression(
            "'a volume cannot shrink: write at least ' + self.status.storage.capacity + ', which it already has'".into(),
        ))
        .reason(Reason::FieldValueForbidden)
        .field_path(".spec.storage.volume.size")
}

/// Root transition rule: once a claim is in use, another one cannot take its place.
pub(super) fn claim_is_fixed() -> Rule {
    let claim = |object: &str| {
        format!(
            "(has({object}.spec.storage) && has({object}.spec.storage.volume) \
             && has({object}.spec.storage.volume.existingClaimName) \
             ? {object}.spec.storage.volume.existingClaimName : '')"
        )
    };
    let in_use =
        "!has(oldSelf.status) || !has(oldSelf.status.storage) || !has(oldSelf.status.storage.claimName)";
    forbidden(
        format!("{in_use} || {} == {}", claim("self"), claim("oldSelf")),
        "cannot be changed while a claim is in use (status.storage.claimName): take the change back, or create another \
         Registry for the other claim",
    )
    .field_path(".spec.storage.volume.existingClaimName")
}

pub(super) fn storage_is_written() -> Rule {
    required(
        "has(self.storage)",
        "say where the images are kept, for example storage: {volume: {size: 20Gi}}",
    )
    .field_path(".storage")
}

pub(super) fn one_replica() -> Rule {
    invalid(
        "self == 1",
        "must be 1: a registry on a volume or on ephemeral storage is one Pod; leave replicas out or write 1",
    )
}

pub(super) fn one_storage_kind() -> Rule {
    invalid(
        "has(self.volume) != has(self.ephemeral)",
        "must be exactly one of volume and ephemeral, for example volume: {size: 20Gi}",
    )
}

/// Silent where `one_storage_kind` speaks.
pub(super) fn storage_kind_is_fixed() -> Rule {
    forbidden(
        "has(self.volume) == has(self.ephemeral) || has(self.volume) == has(oldSelf.volume)",
        "the kind of storage cannot be changed: create another Registry and copy the images to it",
    )
}

pub(super) fn size_or_claim() -> Rule {
    required(
        "has(self.size) || has(self.existingClaimName)",
        "write a size, for example 20Gi, or name a claim that exists in existingClaimName",
    )
    .field_path(".size")
}

/// The class says how a claim is made, and one that exists is not made.
pub(super) fn storage_class_is_for_a_new_claim() -> Rule {
    forbidden(
        "!has(self.storageClassName) || !has(self.existingClaimName)",
        "cannot be written beside existingClaimName, whose claim has a class already: leave one of the two out",
    )
    .field_path(".storageClassName")
}

/// Whoever turns to a claim that exists leaves the class out.
pub(super) fn storage_class_is_fixed() -> Rule {
    forbidden(
        "(has(self.existingClaimName) && !has(self.storageClassName)) \
         || (has(self.storageClassName) == has(oldSelf.storageClassName) \
             && (!has(self.storageClassName) || self.storageClassName == oldSelf.storageClassName))",
        "cannot be changed, because a claim keeps its class: take the change back, or delete this Registry and create \
         it again with the other class",
    )
    .field_path(".storageClassName")
}

pub(super) fn is_quantity() -> Rule {
    invalid(
        "isQuantity(self)",
        "must be a quantity such as 20Gi: a number and one of Ki, Mi, Gi, Ti (or k, M, G, T), so 20Gi instead of 20GB",
    )
}

/// Silent where `is_quantity` speaks. Catches `20` and `20m`, which are 20 bytes and a fiftieth of one.
pub(super) fn is_at_least_one_mebibyte() -> Rule {
    invalid(
        "!isQuantity(self) || quantity(self).compareTo(quantity('1Mi')) >= 0",
        "must be at least 1Mi: did you forget the unit, as in 20Gi?",
    )
}

pub(super) fn one_tls_kind() -> Rule {
    invalid(
        "!(has(self.managed) && has(self.secretRef))",
        "must be at most one of managed and secretRef: leave out managed to serve your own certificate",
    )
}

pub(super) fn is_duration(example: &str) -> Rule {
    invalid(
        format!("self.matches('{DURATION}')"),
        format!("must be a duration in hours, minutes and seconds, for example {example}; a day is 24h"),
    )
}

/// Silent where `is_duration` speaks.
pub(super) fn is_certificate_life() -> Rule {
    invalid(
        format!(
            "!self.matches('{DURATION}') \
             || (duration(self) >= duration('10m') && duration(self) <= duration('87600h'))"
        ),
        "must be between 10m and 87600h, for example 2160h",
    )
}

/// Silent where `is_duration` speaks.
pub(super) fn is_at_least_one_minute() -> Rule {
    invalid(
        format!("!self.matches('{DURATION}') || duration(self) >= duration('1m')"),
        "must be at least 1m, for example 720h",
    )
}

/// Silent where one of the two is no duration.
pub(super) fn renewal_is_before_the_end() -> Rule {
    let life = format!(
        "(has(self.duration) ? self.duration : '{}')",
        super::DEFAULT_CERTIFICATE_DURATION
    );
    Rule::new(format!(
        "!has(self.renewBefore) || !self.renewBefore.matches('{DURATION}') || !{life}.matches('{DURATION}') \
         || duration(self.renewBefore) <= duration({life}) - duration('30s')"
    ))
    .message(Message::Expression(format!(
        "'must be at least 30s less than the duration of the certificate, which is ' + {life} + ', for example a third of it'"
    )))
    .reason(Reason::FieldValueInvalid)
    .field_path(".renewBefore")
}

pub(super) fn is_port() -> Rule {
    invalid(
        "self >= 1 && self <= 65535",
        "must be a port from 1 to 65535, for example 443",
    )
}

pub(super) fn is_object_name(kind: &str, example: &str) -> Rule {
    invalid(
        format!("self.matches('{SUBDOMAIN}')"),
        format!(
            "must be the name of a {kind}: lower-case letters, digits, '-' and '.', starting and ending with a letter \
             or digit, for example {example}"
        ),
    )
}

pub(super) fn is_image_reference() -> Rule {
    invalid(
        "self.matches('^[a-zA-Z0-9][-a-zA-Z0-9._/:]*(@sha256:[0-9a-f]{64})?$') && !self.contains('://')",
        "must be an image reference without a scheme, for example registry.example.com/portolan-registry:0.1.0",
    )
}

/// On one hostname.
pub(super) fn is_hostname() -> Rule {
    invalid(
        r"self.matches('^([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\\.)+[a-z]([-a-z0-9]{0,61}[a-z0-9])?$')",
        "must be a lower-case DNS name with a dot and without scheme, port or path, for example registry.example.com",
    )
}

/// On one quantity of resources, which may be written as a number.
pub(super) fn is_resource_quantity() -> Rule {
    invalid(
        "isQuantity(string(self)) && quantity(string(self)).compareTo(quantity('0')) >= 0",
        "must be a quantity, for example cpu: 50m or memory: 64Mi (Mi instead of MB)",
    )
}

/// On one label's value.
pub(super) fn is_label_value() -> Rule {
    invalid(
        "self.matches('^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$')",
        "must be at most 63 letters, digits, '-', '_' and '.', starting and ending with a letter or digit",
    )
}

/// On a map with keys that Kubernetes accepts as label and annotation keys.
pub(super) fn keys_are_qualified_names() -> Rule {
    invalid(
        r"self.all(k, k.matches('^([a-z0-9][-a-z0-9.]{0,252}/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$'))",
        "every key must be a name such as team or example.com/team",
    )
}

/// On a map of labels or annotations.
pub(super) fn keys_are_not_ours() -> Rule {
    forbidden(
        "self.all(k, !k.startsWith('portolan.dev/'))",
        "keys that start with portolan.dev/ are set by Portolan alone: use a prefix of your own, as in example.com/team",
    )
}

/// On the labels of the Pod: the recommended ones are set by us, and `instance` is what Argo CD tracks objects by.
pub(super) fn labels_are_not_recommended_ones() -> Rule {
    forbidden(
        "self.all(k, !k.startsWith('app.kubernetes.io/'))",
        "keys that start with app.kubernetes.io/ are set by Portolan alone: use a prefix of your own, as in \
         example.com/team",
    )
}
