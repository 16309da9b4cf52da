//! What clients meet at the address of Service R. In: the Service, ready pods, what they are expected to serve. Out: one
//! answer. IO, to the Service only; a right answer counts for some minutes, unless the Service or its pods change.
//!
//! A pod that is ready is not yet one that the Service leads to: every node has to learn of it.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::ResourceExt as _;

use super::{TIMEOUT, TRUSTED_FOR, again_after, explain};
use crate::certificates::normalize_serial;
use crate::probe;
use crate::registry_controller::observed::{cluster_ips, is_ready, ready_since};

/// Where a Service listens inside the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entrance {
    pub name: String,
    pub address: SocketAddr,
    /// Another version may lead elsewhere.
    version: Option<String>,
}

impl Entrance {
    /// Nothing where there is no address of its own to ask: a headless Service, or one that is not served yet.
    pub fn of(service: &Service) -> Option<Self> {
        let address: IpAddr = cluster_ips(service).first()?.parse().ok()?;
        let port = service.spec.as_ref()?.ports.as_ref()?.first()?.port;
        Some(Self {
            name: service.name_any(),
            address: SocketAddr::new(address, u16::try_from(port).ok()?),
            version: service.resource_version(),
        })
    }
}

/// What the Service answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceAnswer {
    pub name: String,
    pub address: SocketAddr,
    /// Serial of the certificate in the handshake.
    pub certificate_serial: Result<String, String>,
}

/// The last answers, by the Registries' UIDs.
#[derive(Debug, Default)]
pub(super) struct Services(Mutex<HashMap<String, Remembered>>);

#[derive(Clone, Debug)]
struct Remembered {
    question: Question,
    answer: ServiceAnswer,
    asked_at: Timestamp,
    questions: u32,
}

/// Another question makes the answer worth nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Question {
    entrance: Entrance,
    certificate_serial: String,
    /// UIDs of the ready pods, and since when they are.
    pods: Vec<(Option<String>, Option<Timestamp>)>,
}

impl Remembered {
    fn is_right(&self) -> bool {
        self.answer.certificate_serial.as_ref() == Ok(&self.question.certificate_serial)
    }
}

impl Services {
    /// Asks the Service of that Registry, unless it gave the right answer lately. No pod, no question.
    pub(super) async fn ask(
        &self,
        owner: &str,
        entrance: Option<Entrance>,
        (pods, certificate_serial, host): (&[Arc<Pod>], &str, &str),
        now: Timestamp,
    ) -> Option<ServiceAnswer> {
        let ready: Vec<_> = pods
            .iter()
            .filter(|pod| is_ready(pod))
            .map(|pod| (pod.metadata.uid.clone(), ready_since(pod)))
            .collect();
        let Some(entrance) = entrance.filter(|_| !ready.is_empty()) else {
            self.remembered().remove(owner);
            return None;
        };
        let question = Question {
            entrance,
            certificate_serial: certificate_serial.to_owned(),
            pods: ready,
        };
        let before = self.remembered().get(owner).cloned();
        let before = before.filter(|before| before.question == question);
        if let Some(before) = &before
            && before.is_right()
            && now.duration_since(before.asked_at) < TRUSTED_FOR
        {
            return Some(before.answer.clone());
        }
        let address = question.entrance.address;
        let served = probe::served_certificate(address, host, TIMEOUT).await;
        let answer = ServiceAnswer {
            name: question.entrance.name.clone(),
            address,
            certificate_serial: served
                .map(|facts| normalize_serial(&facts.serial_hex))
                .map_err(|error| explain(&error)),
        };
        let remembered = Remembered {
            question,
            answer: answer.clone(),
            asked_at: now,
            questions: before.map_or(0, |before| before.questions.saturating_add(1)),
        };
        let mut all = self.remembered();
        all.retain(|_, other| now.duration_since(other.asked_at) < TRUSTED_FOR * 2);
        all.insert(owner.to_owned(), remembered);
        Some(answer)
    }

    /// How soon to ask again where the answer was not the right one.
    pub(super) fn ask_again_after(&self, owner: &str) -> Option<Duration> {
        let remembered = self.remembered();
        let wrong = remembered.get(owner).filter(|last| !last.is_right())?;
        Some(again_after(wrong.questions))
    }

    fn remembered(&self) -> MutexGuard<'_, HashMap<String, Remembered>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
