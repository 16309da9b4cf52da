//! What the pods really serve, and what clients get through the Service. In: addresses of ready pods and of the Service,
//! what they are expected to serve. Out: one answer each. IO, to these only; who gave the right answer is not asked again
//! for some minutes.

mod service;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::ResourceExt as _;

use super::material::{Existing, Material};
use super::observed::{is_ready, secret_value};
use super::validate::ValidatedRegistry;
use crate::certificates::{CertificateFacts, normalize_serial};
use crate::credentials::Credentials;
use crate::digest;
use crate::probe::{self, AdminAccess, RegistryReport};
use crate::token_keys::TokenKeys;

const TIMEOUT: Duration = Duration::from_secs(2);
const REGISTRY_PORT: u16 = 5000;
const ADMIN_PORT: u16 = 5001;
/// How long a right answer counts.
pub const TRUSTED_FOR: SignedDuration = SignedDuration::from_mins(5);
/// How long after a change the kubelet is told again that it should remount.
const NUDGE_AFTER: SignedDuration = SignedDuration::from_secs(4);
const MAX_NUDGES: u32 = 8;

pub use service::{Entrance, ServiceAnswer};

/// What every pod is to serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation {
    pub certificate_serial: String,
    /// From when that certificate holds.
    pub not_before: Timestamp,
    /// When it ends.
    pub not_after: Timestamp,
    pub users_sha256: String,
    pub active_token_key: String,
}

impl Expectation {
    /// Nothing where it is not known which certificate the pods have.
    pub fn new(material: &Material) -> Option<Self> {
        let serving = material.serving.as_ref()?;
        Some(Self::of(serving, &material.credentials, &material.token_keys))
    }

    /// Nothing where any of it is missing.
    pub fn of_existing(existing: &Existing) -> Option<Self> {
        let (serving, credentials) = (existing.serving.as_ref()?, existing.credentials.as_ref()?);
        Some(Self::of(serving, credentials, existing.token_keys.as_ref()?))
    }

    fn of(serving: &CertificateFacts, credentials: &Credentials, token_keys: &TokenKeys) -> Self {
        Self {
            certificate_serial: normalize_serial(&serving.serial_hex),
            not_before: serving.not_before,
            not_after: serving.not_after,
            users_sha256: digest::sha256(credentials.users_yaml()),
            active_token_key: token_keys.active_id().to_owned(),
        }
    }
}

/// What one ready pod said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub pod: String,
    /// Serial of the certificate in the handshake with the registry port.
    pub certificate_serial: Result<String, String>,
    pub report: Result<RegistryReport, String>,
}

impl Answer {
    pub fn serves(&self, expected: &Expectation) -> bool {
        self.certificate_serial.as_ref() == Ok(&expected.certificate_serial)
    }

    pub fn accepts(&self, expected: &Expectation) -> bool {
        self.report.as_ref().is_ok_and(|report| {
            report.users_sha256.as_ref() == Some(&expected.users_sha256)
                && report.active_token_key.as_ref() == Some(&expected.active_token_key)
        })
    }

    fn is_right(&self, expected: &Expectation) -> bool {
        self.serves(expected) && self.accepts(expected)
    }
}

/// What was answered in one pass.
#[derive(Clone, Debug, Default)]
pub struct Answers {
    pub pods: Vec<Answer>,
    /// Absent where there is no Service to ask, or no pod behind it.
    pub service: Option<ServiceAnswer>,
}

/// The last answers: of pods by their UIDs, and of Services.
#[derive(Debug, Default)]
pub struct Probes {
    pods: Mutex<HashMap<String, Remembered>>,
    services: service::Services,
}

#[derive(Clone, Debug)]
struct Remembered {
    expected: Expectation,
    answer: Answer,
    asked_at: Timestamp,
    /// When this expectation was first not met.
    waiting_since: Timestamp,
    questions: u32,
}

impl Probes {
    /// Asks every ready pod that has not given the right answer lately, and the Service of the Registry with UID `owner`,
    /// all at the same time.
    pub async fn ask(
        &self,
        (owner, entrance): (&str, Option<Entrance>),
        pods: &[Arc<Pod>],
        (expected, access): (&Expectation, &AdminAccess),
        now: Timestamp,
    ) -> Answers {
        let serial = expected.certificate_serial.as_str();
        let behind = (pods, serial, access.server_name.as_str());
        let (pods, service) = tokio::join!(
            self.ask_pods(pods, expected, access, now),
            self.services.ask(owner, entrance, behind, now)
        );
        Answers { pods, service }
    }

    async fn ask_pods(
        &self,
        pods: &[Arc<Pod>],
        expected: &Expectation,
        access: &AdminAccess,
        now: Timestamp,
    ) -> Vec<Answer> {
        let questions = pods.iter().filter(|pod| is_ready(pod)).filter_map(|pod| {
            let address: IpAddr = pod.status.as_ref()?.pod_ip.as_ref()?.parse().ok()?;
            Some(self.ask_one(pod, address, expected, access, now))
        });
        let answers = futures::future::join_all(questions).await;
        self.forget_others(pods, now);
        answers
    }

    async fn ask_one(
        &self,
        pod: &Pod,
        address: IpAddr,
        expected: &Expectation,
        access: &AdminAccess,
        now: Timestamp,
    ) -> Answer {
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        let before = self
            .remembered()
            .get(&uid)
            .cloned()
            .filter(|before| before.expected == *expected);
        if let Some(before) = &before
            && before.answer.is_right(expected)
            && now.duration_since(before.asked_at) < TRUSTED_FOR
        {
            return before.answer.clone();
        }
        let (certificate, report) = tokio::join!(
            probe::served_certificate(
                SocketAddr::new(address, REGISTRY_PORT),
                &access.server_name,
                TIMEOUT
            ),
            probe::registry_report(SocketAddr::new(address, ADMIN_PORT), access, TIMEOUT),
        );
        let answer = Answer {
            pod: pod.name_any(),
            certificate_serial: certificate
                .map(|facts| normalize_serial(&facts.serial_hex))
                .map_err(|error| explain(&error)),
            report: report.map_err(|error| explain(&error)),
        };
        let remembered = Remembered {
            expected: expected.clone(),
            answer: answer.clone(),
            asked_at: now,
            waiting_since: before
                .as_ref()
                .filter(|b| !b.answer.is_right(expected))
                .map_or(now, |b| b.waiting_since),
            questions: before.map_or(0, |before| before.questions.saturating_add(1)),
        };
        self.remembered().insert(uid, remembered);
        answer
    }

    /// How often the kubelet should have been told by now, for the pod that lags most.
    pub fn nudges_due(&self, pods: &[Arc<Pod>], now: Timestamp) -> u32 {
        let due = |remembered: &Remembered| {
            let waited = now.duration_since(remembered.waiting_since).as_secs() / NUDGE_AFTER.as_secs();
            u32::try_from(waited).unwrap_or(0).min(MAX_NUDGES)
        };
        self.wrong(pods).iter().map(due).max().unwrap_or(0)
    }

    /// How soon to ask again: at once after a change, less and less often when a pod or the Service stays behind.
    pub fn ask_again_after(&self, owner: &str, pods: &[Arc<Pod>]) -> Option<Duration> {
        let wrong = self.wrong(pods);
        let of_pods = wrong.iter().map(|wrong| wrong.questions).max().map(again_after);
        let of_service = self.services.ask_again_after(owner);
        of_pods.into_iter().chain(of_service).min()
    }

    fn wrong(&self, pods: &[Arc<Pod>]) -> Vec<Remembered> {
        let remembered = self.remembered();
        pods.iter()
            .filter(|pod| is_ready(pod))
            .filter_map(|pod| remembered.get(pod.metadata.uid.as_ref()?))
            .filter(|remembered| !remembered.answer.is_right(&remembered.expected))
            .cloned()
            .collect()
    }

    /// Answers of pods that are gone are dropped once they would not count any more.
    fn forget_others(&self, pods: &[Arc<Pod>], now: Timestamp) {
        self.remembered().retain(|uid, remembered| {
            now.duration_since(remembered.asked_at) < TRUSTED_FOR * 2
                || pods.iter().any(|pod| pod.metadata.uid.as_ref() == Some(uid))
        });
    }

    fn remembered(&self) -> MutexGuard<'_, HashMap<String, Remembered>> {
        self.pods.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn again_after(questions: u32) -> Duration {
    Duration::from_millis(250).mul_f64(1.25_f64.powi(i32::try_from(questions.min(24)).unwrap_or(24)))
}

/// The operator's side of the admin connection, as the Secret holds it.
pub fn admin_access(registry: &ValidatedRegistry, admin: &Secret) -> AdminAccess {
    let value = |key| secret_value(admin, key).unwrap_or_default().to_vec();
    AdminAccess {
        ca_pem: value("ca.crt"),
        client_certificate_pem: value("client.crt"),
        client_key_pem: value("client.key"),
        server_name: registry.names.internal_host(),
    }
}

fn explain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
