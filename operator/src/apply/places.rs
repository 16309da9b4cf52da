//! Which places of a child are ours whole: a kind comes in, a table of its fields goes out. Pure.
//!
//! A place stands here only when the API server fills it with nothing of its own. What is not here may be extended by
//! others: labels, annotations, `kubectl rollout restart`.

/// A field whose content is ours, also where we leave it empty.
#[derive(Debug)]
pub(super) enum Place {
    /// Every key that we do not send, at any depth.
    Whole,
    /// The same, once we send any.
    Content,
    /// The field itself, when we do not send it.
    Unset,
    /// The same for one that the API server fills with this text, number or truth value.
    Defaults(&'static str),
    /// An object of which these fields are ours.
    Object(Fields),
    /// A list whose entries these keys tell apart, as in server-side apply; of each entry, the inner place is ours.
    List(&'static [&'static str], &'static Place),
}

pub(super) type Fields = &'static [(&'static str, Place)];

use Place::{Content, Defaults, List, Object, Unset, Whole};

/// What is ours of an object of this kind.
pub(super) fn of(kind: &str) -> Fields {
    match kind {
        "Service" => SERVICE,
        "StatefulSet" => STATEFUL_SET,
        _ => DATA,
    }
}

/// The registry reads all data of a Secret or `ConfigMap`.
const DATA: Fields = &[("data", Content)];

const SERVICE: Fields = &[("spec", Object(SERVICE_SPEC))];
const SERVICE_SPEC: Fields = &[
    ("selector", Whole),
    ("ports", List(&["port", "protocol"], &Object(&[]))),
    ("externalIPs", Unset),
    ("externalName", Unset),
    ("publishNotReadyAddresses", Unset),
    ("sessionAffinity", Defaults("None")),
    ("sessionAffinityConfig", Unset),
    ("internalTrafficPolicy", Defaults("Cluster")),
    ("trafficDistribution", Unset),
    // Addresses, node ports and the health check's port are the API server's. What is said to a load balancer is its
    // administrator's and that of its controller: who may come through it, its address, its class.
];

const STATEFUL_SET: Fields = &[("spec", Object(STATEFUL_SET_SPEC))];
const STATEFUL_SET_SPEC: Fields = &[
    ("template", Object(TEMPLATE)),
    ("updateStrategy", Object(UPDATE_STRATEGY)),
    ("minReadySeconds", Unset),
    ("ordinals", Unset),
];
const UPDATE_STRATEGY: Fields = &[
    ("type", Defaults("RollingUpdate")),
    (
        "rollingUpdate",
        Object(&[("partition", Defaults("0")), ("maxUnavailable", Defaults("1"))]),
    ),
];
const TEMPLATE: Fields = &[("spec", Object(POD))];
const POD: Fields = &[
    ("containers", List(&["name"], &Object(CONTAINER))),
    ("initContainers", List(&["name"], &Object(CONTAINER))),
    ("volumes", List(&["name"], &Whole)),
    ("hostNetwork", Unset),
    ("hostPID", Unset),
    ("hostIPC", Unset),
    ("hostUsers", Unset),
    ("hostAliases", Unset),
    ("shareProcessNamespace", Unset),
    ("dnsPolicy", Defaults("ClusterFirst")),
    ("dnsConfig", Unset),
    ("schedulerName", Defaults("default-scheduler")),
    ("schedulingGates", Unset),
    ("readinessGates", Unset),
    ("nodeName", Unset),
    ("nodeSelector", Whole),
    ("affinity", Unset),
    ("tolerations", Unset),
    ("topologySpreadConstraints", Unset),
    ("runtimeClassName", Unset),
];
const CONTAINER: Fields = &[
    ("command", Unset),
    ("args", Unset),
    ("workingDir", Unset),
    ("env", List(&["name"], &Whole)),
    ("envFrom", Unset),
    ("lifecycle", Unset),
    (
        "ports",
        List(
            &["containerPort", "protocol"],
            &Object(&[("hostPort", Unset), ("hostIP", Unset)]),
        ),
    ),
    ("volumeMounts", List(&["mountPath"], &Whole)),
    ("volumeDevices", Unset),
    // Requests are not here: the API server fills them from limits.
    ("resources", Object(&[("limits", Whole)])),
    ("securityContext", Object(SECURITY)),
    ("startupProbe", Object(PROBE)),
    ("readinessProbe", Object(PROBE)),
    ("livenessProbe", Object(PROBE)),
];
const SECURITY: Fields = &[
    ("privileged", Unset),
    ("runAsUser", Unset),
    ("runAsGroup", Unset),
    ("capabilities", Object(&[("add", Unset)])),
];
/// Two ways to probe are refused, so what somebody put in the place of ours must go before ours can come back.
const PROBE: Fields = &[
    ("exec", Unset),
    ("grpc", Unset),
    ("tcpSocket", Unset),
    ("initialDelaySeconds", Unset),
];
