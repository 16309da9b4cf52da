//! Leader election by a Lease: who we are comes in, the moment we lead and the moment we no longer do go out. IO.
//!
//! Every write carries the resourceVersion that was read, so of two candidates that see an expired Lease only one
//! wins. (Field ownership cannot decide this: a patch without a resourceVersion overwrites the other's.) Clocks of
//! other machines are not trusted: a Lease counts as expired when it has not changed for its duration as seen here. Whoever
//! cannot renew in time has lost, even while a request hangs, and must stop the process.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{Api, ObjectMeta, PostParams};
use tokio::time::{Instant, sleep, timeout_at};

/// How long things take; the three values must grow in the order retry, deadline, duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How long others wait for a leader that went silent.
    pub lease_duration: Duration,
    /// How long we try to renew before we give up.
    pub renew_deadline: Duration,
    /// Pause between two tries.
    pub retry_period: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            lease_duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry_period: Duration::from_secs(2),
        }
    }
}

/// A candidate, and later the leader.
#[derive(Debug)]
pub struct Election {
    api: Api<Lease>,
    name: String,
    identity: String,
    timing: Timing,
    now: fn() -> Timestamp,
    /// The holder's last sign of life and when we saw it first.
    seen: Option<(LeaseSpec, Instant)>,
    /// When the request for the last renewal was made.
    renewed_at: Option<Instant>,
}

/// What to do about a Lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// It is not there.
    Create,
    /// It is nobody's, or its holder went silent.
    Take,
    /// It is ours.
    Renew,
    /// Somebody else holds it.
    Wait,
}

impl Election {
    /// `identity` must be unique among all candidates; `now` is the clock that the Lease shows to people.
    pub fn new(
        api: Api<Lease>,
        name: &str,
        identity: String,
        timing: Timing,
        now: fn() -> Timestamp,
    ) -> Self {
        Self {
            api,
            name: name.to_owned(),
            identity,
            timing,
            now,
            seen: None,
            renewed_at: None,
        }
    }

    /// Ends when we lead. Errors are logged and tried again: a candidate that cannot ask waits.
    pub async fn acquire(&mut self) {
        loop {
            let began_at = Instant::now();
            match self.attempt().await {
                Ok(true) => {
                    self.renewed_at = Some(began_at);
                    return;
                }
                Ok(false) => {}
                Err(error) => tracing::warn!(lease = self.name, error = %error, "cannot ask for the lease"),
            }
            sleep(self.timing.retry_period).await;
        }
    }

    /// Renews; ends when we no longer lead, at the latest a renewal deadline after the last renewal. Can be dropped and
    /// called again, which does not give us more time.
    pub async fn hold(&mut self) {
        loop {
            let renewed_at = *self.renewed_at.get_or_insert_with(Instant::now);
            let deadline = renewed_at + self.timing.renew_deadline;
            if timeout_at(deadline, sleep(self.timing.retry_period))
                .await
                .is_err()
            {
                return;
            }
            let began_at = Instant::now();
            match timeout_at(deadline, self.attempt()).await {
                Ok(Ok(true)) => self.renewed_at = Some(began_at),
                Ok(Ok(false)) => {
                    tracing::error!(lease = self.name, "another process took the lease");
                    return;
                }
                Ok(Err(error)) => tracing::warn!(lease = self.name, error = %error, "cannot renew the lease"),
                Err(_) => return,
            }
        }
    }

    /// Gives the Lease back, so that the next leader need not wait. Only while we hold it; a failure only costs time.
    pub async fn release(&mut self) {
        let released = async {
            let Some(mut lease) = self.api.get_opt(&self.name).await? else {
                return Ok(());
            };
            let spec = lease.spec.get_or_insert_default();
            if spec.holder_identity.as_deref() != Some(&self.identity) {
                return Ok(());
            }
            spec.holder_identity = None;
            spec.renew_time = Some(MicroTime((self.now)()));
            self.api
                .replace(&self.name, &PostParams::default(), &lease)
                .await
                .map(drop)
        };
        match tokio::time::timeout(self.timing.retry_period, released).await {
            Ok(Ok(())) => {}
            Ok(Err::<(), kube::Error>(error)) => tracing::warn!(error = %error, "cannot release the lease"),
            Err(_) => tracing::warn!("cannot release the lease in time"),
        }
    }

    /// One look and at most one write; true when we lead after it.
    async fn attempt(&mut self) -> Result<bool, kube::Error> {
        let lease = self.api.get_opt(&self.name).await?;
        let at = Instant::now();
        self.observe(lease.as_ref().and_then(|lease| lease.spec.as_ref()), at);
        let step = decide(lease.as_ref(), &self.identity, self.silent_for(at));
        let written = match (step, lease) {
            (Step::Wait, _) => return Ok(false),
            (Step::Create, _) | (_, None) => {
                let lease = Lease {
                    metadata: ObjectMeta {
                        name: Some(self.name.clone()),
                        ..ObjectMeta::default()
                    },
                    spec: Some(self.record(None)),
                };
                self.api.create(&PostParams::default(), &lease).await
            }
            (Step::Take | Step::Renew, Some(mut lease)) => {
                lease.spec = Some(self.record(lease.spec.as_ref()));
                self.api.replace(&self.name, &PostParams::default(), &lease).await
            }
        };
        match written {
            Ok(lease) => {
                self.observe(lease.spec.as_ref(), Instant::now());
                Ok(true)
            }
            Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => {
                // Somebody was faster; while we hold it that is somebody's edit, and the next look decides.
                if step == Step::Renew {
                    Err(kube::Error::Api(status))
                } else {
                    Ok(false)
                }
            }
            Err(error) => Err(error),
        }
    }

    fn observe(&mut self, spec: Option<&LeaseSpec>, at: Instant) {
        let is_known = self.seen.as_ref().map(|(seen, _)| seen) == spec;
        if !is_known {
            self.seen = spec.map(|spec| (spec.clone(), at));
        }
    }

    fn silent_for(&self, at: Instant) -> Duration {
        self.seen
            .as_ref()
            .map_or(Duration::ZERO, |(_, since)| at.duration_since(*since))
    }

    /// The record that says that we hold the Lease.
    fn record(&self, before: Option<&LeaseSpec>) -> LeaseSpec {
        let now = MicroTime((self.now)());
        let mut record = before.cloned().unwrap_or_default();
        if record.holder_identity.as_deref() != Some(&self.identity) {
            record.lease_transitions = Some(
                before
                    .and_then(|spec| spec.lease_transitions)
                    .map_or(0, |n| n + 1),
            );
            record.acquire_time = Some(now.clone());
            record.holder_identity = Some(self.identity.clone());
        }
        record.lease_duration_seconds = i32::try_from(self.timing.lease_duration.as_secs().max(1)).ok();
        record.renew_time = Some(now);
        record
    }
}

fn decide(lease: Option<&Lease>, identity: &str, silent_for: Duration) -> Step {
    let Some(lease) = lease else { return Step::Create };
    let spec = lease.spec.as_ref();
    match spec.and_then(|spec| spec.holder_identity.as_deref()) {
        None | Some("") => Step::Take,
        Some(holder) if holder == identity => Step::Renew,
        Some(_) => {
            let seconds = spec.and_then(|spec| spec.lease_duration_seconds).unwrap_or(1);
            let duration = Duration::from_secs(u64::try_from(seconds).unwrap_or(1));
            if silent_for > duration {
                Step::Take
            } else {
                Step::Wait
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held_by(holder: &str) -> Lease {
        let spec = LeaseSpec {
            holder_identity: Some(holder.to_owned()),
            lease_duration_seconds: Some(15),
            ..LeaseSpec::default()
        };
        Lease {
            spec: Some(spec),
            ..Lease::default()
        }
    }

    fn election(identity: &str) -> Election {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let config = kube::Config::new("http://127.0.0.1:1".parse().unwrap());
        let client = kube::Client::try_from(config).unwrap();
        let now = || Timestamp::from_second(1_700_000_000).unwrap();
        Election::new(
            Api::namespaced(client, "default"),
            "lease",
            identity.to_owned(),
            Timing::default(),
            now,
        )
    }

    #[test]
    fn lease_of_a_silent_holder_is_taken_only_after_its_duration() {
        let lease = held_by("other");
        assert_eq!(decide(Some(&lease), "me", Duration::from_secs(15)), Step::Wait);
        assert_eq!(
            decide(Some(&lease), "me", Duration::from_millis(15_001)),
            Step::Take
        );
    }

    #[test]
    fn released_absent_and_own_leases_need_no_wait() {
        assert_eq!(decide(None, "me", Duration::ZERO), Step::Create);
        assert_eq!(decide(Some(&Lease::default()), "me", Duration::ZERO), Step::Take);
        assert_eq!(decide(Some(&held_by("")), "me", Duration::ZERO), Step::Take);
        assert_eq!(decide(Some(&held_by("me")), "me", Duration::ZERO), Step::Renew);
    }

    #[tokio::test]
    async fn change_of_holder_counts_as_transition_and_renewal_does_not() {
        let me = election("me");
        let taken = me.record(held_by("other").spec.as_ref());
        assert_eq!(
            (taken.holder_identity.as_deref(), taken.lease_transitions),
            (Some("me"), Some(0))
        );
        let renewed = me.record(Some(&taken));
        assert_eq!(renewed.lease_transitions, taken.lease_transitions);
        let retaken = election("other").record(Some(&renewed));
        assert_eq!(retaken.lease_transitions, Some(1));
    }

    #[tokio::test]
    async fn hold_that_is_called_again_still_counts_from_the_last_renewal() {
        let mut me = election("me");
        me.renewed_at = Instant::now().checked_sub(me.timing.renew_deadline);
        let held = tokio::time::timeout(me.timing.retry_period / 2, me.hold());
        assert!(held.await.is_ok());
    }

    #[tokio::test]
    async fn sign_of_life_restarts_the_wait() {
        let mut me = election("me");
        let mut spec = held_by("other").spec.unwrap();
        let start = Instant::now();
        let later = start + Duration::from_secs(20);
        me.observe(Some(&spec), start);
        me.observe(Some(&spec), later);
        assert_eq!(me.silent_for(later), Duration::from_secs(20));
        spec.renew_time = Some(MicroTime(Timestamp::from_second(1_700_000_020).unwrap()));
        me.observe(Some(&spec), later);
        assert_eq!(me.silent_for(later), Duration::ZERO);
    }
}
