//! Conditions as kstatus, Flux and Argo CD read them. In: the previous conditions and what holds now. Out: the merged
//! list. Pure: the clock is an argument, and a transition time moves only when a status flips.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use portolan_crds::conditions::{READY, RECONCILING, STALLED, SUSPENDED};

/// Types that exist only while they are true.
const ABNORMAL: [&str; 2] = [RECONCILING, STALLED];
/// The order in which people read them; others follow in the order given.
const READING_ORDER: [&str; 4] = [READY, RECONCILING, STALLED, SUSPENDED];
/// The API server's limit for a message.
const MAX_MESSAGE: usize = 32_768;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    True,
    False,
    Unknown,
}

impl Truth {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// One condition without its history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub kind: &'static str,
    pub truth: Truth,
    pub reason: Cow<'static, str>,
    pub message: String,
}

impl Finding {
    pub fn new(
        kind: &'static str,
        truth: Truth,
        reason: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            truth,
            reason: reason.into(),
            message: message.into(),
        }
    }

    pub fn is_true(&self) -> bool {
        self.truth == Truth::True
    }
}

/// The new list: every finding with the generation, transition times kept where the status did not flip, abnormal
/// conditions that are not true left out.
pub fn merge(
    previous: &[Condition],
    findings: Vec<Finding>,
    generation: i64,
    now: Timestamp,
) -> Vec<Condition> {
    let before: BTreeMap<&str, &Condition> = previous
        .iter()
        .map(|condition| (condition.type_.as_str(), condition))
        .collect();
    let mut merged: Vec<Condition> = findings
        .into_iter()
        .filter(|finding| {
            finding.is_true() || !(ABNORMAL.contains(&finding.kind) || finding.kind == SUSPENDED)
        })
        .map(|finding| {
            let status = finding.truth.as_str();
            let unchanged_since = before
                .get(finding.kind)
                .filter(|condition| condition.status == status)
                .map(|condition| condition.last_transition_time.clone());
            Condition {
                type_: finding.kind.to_owned(),
                status: status.to_owned(),
                reason: finding.reason.into_owned(),
                message: shortened(finding.message),
                observed_generation: Some(generation),
                last_transition_time: unchanged_since.unwrap_or_else(|| Time(whole_seconds(now))),
            }
        })
        .collect();
    merged.sort_by_key(|condition| {
        READING_ORDER
            .iter()
            .position(|kind| *kind == condition.type_)
            .unwrap_or(READING_ORDER.len())
    });
    merged
}

/// The condition of that type, if it is there.
pub fn find<'a>(conditions: &'a [Condition], kind: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == kind)
}

pub fn is_true(conditions: &[Condition], kind: &str) -> bool {
    find(conditions, kind).is_some_and(|condition| condition.status == "True")
}

/// Every rule of kstatus' readers that the conditions break; none for a status that may be written.
pub fn violations(conditions: &[Condition], observed_generation: i64, generation: i64) -> Vec<String> {
    let mut found = Vec::new();
    let mut rule = |broken: bool, text: &str| {
        if broken {
            found.push(text.to_owned());
        }
    };
    let ready = find(conditions, READY);
    let ready_is = |status: &str| ready.is_some_and(|condition| condition.status == status);
    let (reconciling, stalled) = (is_true(conditions, RECONCILING), is_true(conditions, STALLED));

    rule(ready.is_none(), "Ready is missing");
    rule(reconciling && stalled, "Reconciling and Stalled are both true");
    rule(
        ready_is("True") && (reconciling || stalled),
        "Ready is true beside an abnormal condition",
    );
    rule(stalled && !ready_is("False"), "Stalled without Ready=False");
    rule(
        ready_is("Unknown") && !reconciling,
        "Ready=Unknown without Reconciling",
    );
    rule(
        observed_generation < generation && ready_is("True"),
        "Ready is true for an older generation",
    );
    rule(
        observed_generation > generation,
        "observedGeneration lies ahead of the generation",
    );
    for condition in conditions {
        let kind = condition.type_.as_str();
        rule(
            ABNORMAL.contains(&kind) && condition.status != "True",
            &format!("{kind} is present without being true"),
        );
        rule(condition.reason.is_empty(), &format!("{kind} has no reason"));
        rule(
            ready_is("True") && condition.observed_generation != Some(generation),
            &format!("{kind} is of another generation than Ready"),
        );
    }
    let abnormal = find(conditions, STALLED).or_else(|| find(conditions, RECONCILING));
    if let (Some(ready), Some(abnormal)) = (ready, abnormal) {
        rule(
            ready.message != abnormal.message,
            "Ready does not repeat the abnormal condition's message",
        );
    }
    let mut kinds: Vec<&str> = conditions
        .iter()
        .map(|condition| condition.type_.as_str())
        .collect();
    kinds.sort_unstable();
    rule(
        kinds.windows(2).any(|pair| pair[0] == pair[1]),
        "a type appears twice",
    );
    found
}

/// Kubernetes stores whole seconds; a finer time would differ from what is read back.
fn whole_seconds(instant: Timestamp) -> Timestamp {
    Timestamp::from_second(instant.as_second()).unwrap_or(instant)
}

fn shortened(message: String) -> String {
    if message.len() <= MAX_MESSAGE {
        return message;
    }
    message.chars().take(MAX_MESSAGE / 4 - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn ready(truth: Truth) -> Finding {
        Finding::new(READY, truth, "Reason", "message")
    }

    #[test]
    fn transition_time_moves_only_when_the_status_flips() {
        let first = merge(&[], vec![ready(Truth::False)], 1, at(10));
        let mut same = ready(Truth::False);
        same.message = "other words".to_owned();
        let second = merge(&first, vec![same], 2, at(20));
        assert_eq!(second[0].last_transition_time, Time(at(10)));
        assert_eq!(second[0].message, "other words");
        let third = merge(&second, vec![ready(Truth::True)], 2, at(30));
        assert_eq!(third[0].last_transition_time, Time(at(30)));
    }

    #[test]
    fn abnormal_conditions_that_are_not_true_are_absent() {
        let findings = vec![
            Finding::new(STALLED, Truth::False, "Fine", ""),
            Finding::new(SUSPENDED, Truth::False, "Fine", ""),
            ready(Truth::True),
        ];
        let merged = merge(&[], findings, 1, at(1));
        assert_eq!(merged.len(), 1);
        assert_eq!(merged[0].type_, READY);
    }

    #[test]
    fn each_rule_of_kstatus_readers_is_noticed() {
        let list = |findings: Vec<Finding>| merge(&[], findings, 3, at(1));
        let reconciling = || Finding::new(RECONCILING, Truth::True, "Reason", "message");
        let stalled = || Finding::new(STALLED, Truth::True, "Reason", "message");

        assert!(violations(&list(vec![ready(Truth::True)]), 3, 3).is_empty());
        assert!(violations(&list(vec![ready(Truth::False), stalled()]), 3, 3).is_empty());
        assert!(violations(&list(vec![ready(Truth::Unknown), reconciling()]), 3, 3).is_empty());

        let broken = [
            list(vec![]),
            list(vec![ready(Truth::True), reconciling()]),
            list(vec![ready(Truth::False), reconciling(), stalled()]),
            list(vec![ready(Truth::Unknown), stalled()]),
            list(vec![ready(Truth::Unknown)]),
            list(vec![ready(Truth::True), ready(Truth::True)]),
        ];
        for conditions in &broken {
            assert!(!violations(conditions, 3, 3).is_empty(), "{conditions:?}");
        }
        assert!(!violations(&list(vec![ready(Truth::True)]), 2, 3).is_empty());
        let mut silent = list(vec![ready(Truth::False), reconciling()]);
        silent[0].message = "something else".to_owned();
        assert!(!violations(&silent, 3, 3).is_empty());
    }
}
