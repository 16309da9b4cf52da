//! Repairs that somebody undoes: what was written and when comes in, how long the next repair waits goes out. Pure; the
//! clock is an argument.
//!
//! The first repairs of a difference go at once: a person gets something wrong a few times. One that comes back after each
//! of them is a program's, and two programs would write, and restart pods, without end.

use std::collections::HashMap;
use std::fmt;
use std::time::{Duration, Instant};

use super::Normalized;

/// How many repairs of the same difference go at once.
const AT_ONCE: u32 = 5;
/// The same for whatever differences of one object: some programs write something new each time.
const AT_ONCE_OF_ANY: u32 = 20;
const FIRST: Duration = Duration::from_mins(1);
const LONGEST: Duration = Duration::from_mins(10);
/// A repair that holds for so long beyond its delay is not counted any more.
const HELD: Duration = Duration::from_mins(10);

/// Somebody changes an object again after each repair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contest {
    /// Such as `spec.template.spec.tolerations`.
    pub field: String,
    /// Who does it, as far as the object's managedFields tell.
    pub manager: Option<String>,
}

impl fmt::Display for Contest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is changed again after each repair", self.field)?;
        match &self.manager {
            Some(manager) => write!(f, ", by {manager:?}"),
            None => Ok(()),
        }
    }
}

/// What is remembered of the writes of each object, by UID.
#[derive(Debug, Default)]
pub(super) struct Contests(HashMap<String, Writes>);

#[derive(Debug)]
struct Writes {
    /// Hash of what was sent last: another intent is a change of our own.
    intent: String,
    /// What the last write made: a watch that lags behind it asks for the same again.
    version: String,
    of_any: Repairs,
    /// By hash of what was found.
    of_each: HashMap<String, Repairs>,
    contest: Option<Contest>,
}

#[derive(Clone, Copy, Debug)]
struct Repairs {
    times: u32,
    last: Instant,
}

impl Contests {
    /// How long the repair of this difference waits; `None` when it goes at once, as do changes of the intent.
    pub(super) fn due_in(&self, uid: &str, difference: &Normalized, now: Instant) -> Option<Duration> {
        let writes = self.0.get(uid)?;
        if writes.intent != difference.intent || writes.are_over(now) {
            return None;
        }
        let same = writes.of_each.get(&difference.reading);
        let same = same.map_or(now, |repairs| repairs.due(AT_ONCE, now));
        let due = same.max(writes.of_any.due(AT_ONCE_OF_ANY, now));
        let left = due.saturating_duration_since(now);
        (!left.is_zero()).then_some(left)
    }

    /// A repair was put off; whether it is the first one. What was named then stays, so that the status does not change
    /// with each visit.
    pub(super) fn postponed(&mut self, uid: &str, contest: Contest) -> bool {
        let Some(writes) = self.0.get_mut(uid) else {
            return false;
        };
        let is_new = writes.contest.is_none();
        writes.contest.get_or_insert(contest);
        is_new
    }

    /// The object was written because of this difference.
    pub(super) fn written(&mut self, uid: &str, difference: Normalized, version: String, now: Instant) {
        self.0.retain(|_, writes| !writes.are_over(now));
        let Some(writes) = self.0.get_mut(uid) else {
            // Whether this was a change of our own is not known.
            self.0
                .insert(uid.to_owned(), Writes::new(difference.intent, version, now));
            return;
        };
        if writes.version == version {
            return;
        }
        writes.version = version;
        writes
            .of_each
            .retain(|_, repairs| !repairs.are_over(AT_ONCE, now));
        if writes.intent == difference.intent {
            let none = Repairs { times: 0, last: now };
            writes.of_any.add(now);
            writes.of_each.entry(difference.reading).or_insert(none).add(now);
        }
        writes.intent = difference.intent;
    }

    /// Another object has taken the place of the former one: who undoes repairs goes on with it.
    pub(super) fn moved(&mut self, former: &str, uid: &str) {
        if let Some(writes) = self.0.remove(former) {
            self.0.insert(uid.to_owned(), writes);
        }
    }

    /// Whether repairs of the object are being undone.
    pub(super) fn of(&self, uid: &str, now: Instant) -> Option<Contest> {
        let writes = self.0.get(uid).filter(|writes| !writes.are_over(now))?;
        writes.contest.clone()
    }
}

impl Writes {
    fn new(intent: String, version: String, now: Instant) -> Self {
        Self {
            intent,
            version,
            of_any: Repairs { times: 0, last: now },
            of_each: HashMap::new(),
            contest: None,
        }
    }

    fn are_over(&self, now: Instant) -> bool {
        let mut each = self.of_each.values();
        self.of_any.are_over(AT_ONCE_OF_ANY, now) && each.all(|repairs| repairs.are_over(AT_ONCE, now))
    }
}

impl Repairs {
    fn add(&mut self, now: Instant) {
        self.times = self.times.saturating_add(1);
        self.last = now;
    }

    fn delay(self, at_once: u32) -> Duration {
        let excess = self.times.checked_sub(at_once);
        excess.map_or(Duration::ZERO, |excess| {
            FIRST.saturating_mul(2_u32.saturating_pow(excess)).min(LONGEST)
        })
    }

    fn due(self, at_once: u32, now: Instant) -> Instant {
        if self.are_over(at_once, now) {
            return now;
        }
        self.last + self.delay(at_once)
    }

    fn are_over(self, at_once: u32, now: Instant) -> bool {
        now.saturating_duration_since(self.last) > self.delay(at_once) + HELD
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UID: &str = "child";
    const MINUTE: Duration = Duration::from_mins(1);

    fn difference(intent: &str, reading: &str) -> Normalized {
        Normalized {
            intent: intent.to_owned(),
            reading: reading.to_owned(),
        }
    }

    fn contest(manager: &str) -> Contest {
        Contest {
            field: "spec.a".to_owned(),
            manager: Some(manager.to_owned()),
        }
    }

    /// Somebody who puts a difference back at once, and we who repair it as soon as it is due, with a clock that jumps.
    struct Fight {
        contests: Contests,
        now: Instant,
        writes: u32,
    }

    impl Fight {
        fn new() -> Self {
            let mut fight = Self {
                contests: Contests::default(),
                now: Instant::now(),
                writes: 0,
            };
            fight.repair("wanted", "made by us");
            fight
        }

        fn goes_on(&mut self, times: u32) {
            for _ in 0..times {
                self.repair("wanted", "theirs");
            }
        }

        /// How long the repair waited.
        fn repair(&mut self, intent: &str, reading: &str) -> Duration {
            let found = difference(intent, reading);
            let waited = self.contests.due_in(UID, &found, self.now).unwrap_or_default();
            if !waited.is_zero() {
                self.contests.postponed(UID, contest("kyverno"));
            }
            self.now += waited;
            assert_eq!(self.contests.due_in(UID, &found, self.now), None);
            self.writes += 1;
            self.contests
                .written(UID, found, self.writes.to_string(), self.now);
            waited
        }
    }

    #[test]
    fn same_difference_waits_longer_each_time_after_the_first_few() {
        let mut fight = Fight::new();
        let waits: Vec<_> = (0..12).map(|_| fight.repair("wanted", "theirs")).collect();
        let minutes: Vec<_> = waits.iter().map(|wait| wait.as_secs() / 60).collect();
        assert_eq!(minutes, [0, 0, 0, 0, 0, 1, 2, 4, 8, 10, 10, 10]);
    }

    #[test]
    fn differences_of_a_person_are_repaired_at_once() {
        let mut fight = Fight::new();
        for edit in 0..AT_ONCE_OF_ANY {
            assert_eq!(fight.repair("wanted", &edit.to_string()), Duration::ZERO);
        }
    }

    #[test]
    fn differences_that_are_new_each_time_wait_too() {
        let mut fight = Fight::new();
        let waits = (0..).map(|edit| fight.repair("wanted", &edit.to_string()));
        let waits: Vec<_> = waits.skip(20).take(6).map(|wait| wait.as_secs() / 60).collect();
        assert_eq!(waits, [1, 2, 4, 8, 10, 10]);
    }

    #[test]
    fn another_difference_does_not_wait_for_the_one_that_comes_back() {
        let mut fight = Fight::new();
        fight.goes_on(9);
        assert_eq!(fight.repair("wanted", "a person's"), Duration::ZERO);
        assert!(fight.repair("wanted", "theirs") > MINUTE);
    }

    #[test]
    fn change_of_our_own_never_waits() {
        let mut fight = Fight::new();
        fight.goes_on(9);
        assert_eq!(fight.repair("wanted anew", "theirs"), Duration::ZERO);
    }

    #[test]
    fn repairs_that_hold_are_forgotten() {
        let mut fight = Fight::new();
        fight.goes_on(9);
        assert!(fight.contests.of(UID, fight.now).is_some());
        fight.now += LONGEST + HELD + MINUTE;
        assert_eq!(fight.contests.of(UID, fight.now), None);
        assert_eq!(fight.repair("wanted", "theirs"), Duration::ZERO);
        let mut others = Contests::default();
        others.written("gone", difference("wanted", "x"), "1".to_owned(), fight.now);
        let later = fight.now + HELD + MINUTE;
        others.written(UID, difference("wanted", "x"), "2".to_owned(), later);
        assert_eq!(others.0.len(), 1);
    }

    #[test]
    fn write_that_a_late_watch_asked_for_again_is_not_counted() {
        let mut fight = Fight::new();
        for _ in 0..9 {
            let version = fight.writes.to_string();
            fight
                .contests
                .written(UID, difference("wanted", "theirs"), version, fight.now);
        }
        assert_eq!(fight.repair("wanted", "theirs"), Duration::ZERO);
    }

    #[test]
    fn repairs_by_which_another_object_takes_the_place_are_counted_on() {
        let mut fight = Fight::new();
        fight.goes_on(9);
        fight.contests.moved(UID, "next");
        let found = difference("wanted", "theirs");
        assert!(fight.contests.due_in("next", &found, fight.now).is_some());
        assert_eq!(fight.contests.due_in(UID, &found, fight.now), None);
    }

    #[test]
    fn contest_is_new_once_and_names_who_began() {
        let mut fight = Fight::new();
        fight.goes_on(5);
        assert_eq!(fight.contests.of(UID, fight.now), None);
        assert!(fight.contests.postponed(UID, contest("kyverno")));
        assert!(!fight.contests.postponed(UID, contest("kubectl")));
        fight.repair("wanted", "theirs");
        let told = fight.contests.of(UID, fight.now).unwrap().to_string();
        assert_eq!(told, "spec.a is changed again after each repair, by \"kyverno\"");
    }
}
