//! Operations run on a real volume while everything is written down; out comes a [`Record`] that knows what clients may
//! see at each point of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicU8;
use std::time::Duration;

use futures::future::BoxFuture;

use super::super::*;
use super::cases::COLLECT;
use super::damage::{Tolerated, Wrong, findings, makes_whole, wrong_links};
use super::model::Model;
use super::operations::Operation;
use super::recorder::{Event, Recorder};
use super::uploads::SESSION;
use super::view::{View, contents, look};

pub(super) type Setup = for<'a> fn(&'a Store) -> BoxFuture<'a, ()>;

/// What the volume is before the record begins.
#[derive(Clone, Copy)]
pub(super) enum Before {
    Empty,
    /// Somebody else's, which nobody has opened here yet.
    Foreign(Setup),
    /// In use.
    Open(Setup),
}

/// What happens one after the other.
#[derive(Clone, Copy)]
pub(super) enum Part {
    Do(&'static str, Operation),
    /// The process ends, and another one opens the volume.
    Restart,
    /// The process ends in order.
    Close,
}

pub(super) struct Record {
    pub(super) base: Model,
    pub(super) events: Vec<Event>,
    pub(super) operations: Vec<(&'static str, Operation)>,
    /// Cuts before this event are not looked at.
    pub(super) from: usize,
    /// Whether the volume existed before.
    pub(super) had_format: bool,
    pub(super) wrong: Wrong,
    /// The contents that are on the volume in the end.
    pub(super) contents: BTreeSet<String>,
    /// Those that a collection has freed. They may be back, and nothing but the next one takes them away.
    pub(super) freed: BTreeSet<String>,
    pub(super) order: Order,
}

/// What clients see in the end, and before that.
pub(super) enum Order {
    /// After each operation.
    InTurn(Vec<View>),
    AtOnce {
        before: View,
        after: View,
        /// What each of the operations changes, before the other or after it, and what it leaves there by itself.
        touched: Vec<View>,
    },
}

/// Which operations have begun and which were acknowledged.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Phase {
    begun: BTreeSet<usize>,
    pub(super) acknowledged: BTreeSet<usize>,
}

impl Phase {
    pub(super) fn apply(&mut self, event: &Event) {
        match event {
            Event::Begin(number) => drop(self.begun.insert(*number)),
            Event::Acknowledge(number) => drop(self.acknowledged.insert(*number)),
            _ => {}
        }
    }
}

impl Record {
    /// What clients may see of each thing in a phase.
    pub(super) fn allowed(&self, phase: &Phase) -> BTreeMap<&str, Vec<&str>> {
        let mut allowed: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        match &self.order {
            Order::InTurn(views) => {
                for view in &views[phase.acknowledged.len()..=phase.begun.len()] {
                    for (thing, answer) in view {
                        allowed.entry(thing).or_default().push(answer);
                    }
                }
            }
            Order::AtOnce {
                before,
                after,
                touched,
            } => {
                for (thing, answer) in before {
                    let by = |numbers: &BTreeSet<usize>| -> Vec<&str> {
                        let left = numbers.iter().filter_map(|it| touched[*it].get(thing));
                        left.map(String::as_str).collect()
                    };
                    let (begun, done) = (by(&phase.begun), by(&phase.acknowledged));
                    let mut answers = Vec::new();
                    if !begun.is_empty() {
                        answers.push(after[thing].as_str());
                    }
                    if done.is_empty() {
                        answers.push(answer);
                        answers.extend(begun);
                    } else if done.len() < begun.len() {
                        answers.extend(done); // the other may not have come to it
                    }
                    allowed.insert(thing, answers);
                }
            }
        }
        allowed
    }

    /// What clients see before and after a delete that is under way: all of the one, or all of the other.
    pub(super) fn either(&self, phase: &Phase) -> Option<[&View; 2]> {
        let (done, begun) = (phase.acknowledged.len(), phase.begun.len());
        match &self.order {
            Order::InTurn(views) if done < begun && self.operations[done].0.contains("delete") => {
                Some([&views[done], &views[begun]])
            }
            _ => None,
        }
    }

    /// What may be wrong in a phase.
    pub(super) fn tolerated(&self, phase: &Phase) -> Tolerated<'_> {
        let is_done = phase.acknowledged.len() == self.operations.len();
        self.wrong.tolerated(is_done)
    }

    /// How many of the operations, one after the other, have changed what clients see.
    pub(super) fn changes(&self) -> usize {
        match &self.order {
            Order::InTurn(views) => views.windows(2).filter(|pair| pair[0] != pair[1]).count(),
            Order::AtOnce { touched, .. } => touched.iter().filter(|it| !it.is_empty()).count(),
        }
    }

    /// Cuts before the second operation are left to whoever looks at the first by itself.
    pub(super) fn starting_with_the_second(mut self) -> Self {
        let second = |event: &Event| *event == Event::Begin(1);
        self.from = self.events.iter().position(second).unwrap_or_default();
        self
    }

    pub(super) fn last(&self) -> &View {
        match &self.order {
            Order::InTurn(views) => views.last().unwrap(),
            Order::AtOnce { after, .. } => after,
        }
    }

    /// What clients do who did not hear that it was done, or do not believe it.
    pub(super) fn to_be_done_again(&self, phase: &Phase) -> &[(&'static str, Operation)] {
        match &self.order {
            Order::InTurn(_) => {
                let last = self.operations.len().saturating_sub(1);
                let first = phase.acknowledged.len().min(last);
                &self.operations[first..]
            }
            Order::AtOnce { .. } => &self.operations,
        }
    }
}

/// A volume under a recorder, with what the setup has made of it durable.
pub(super) struct Recorded {
    volume: Volume,
    pub(super) recorder: Recorder,
    pub(super) store: Store,
    base: Model,
    had_format: bool,
    wrong: BTreeSet<String>,
    contents: BTreeSet<String>,
}

impl Recorded {
    pub(super) async fn new(before: Before) -> Self {
        let volume = Volume::in_memory();
        let recorder = Recorder::new(volume.path());
        if let Before::Foreign(setup) = before {
            let store = volume.open().await;
            setup(&store).await;
            store.close().await;
            std::fs::remove_dir_all(volume.keys().own()).unwrap();
        }
        let mut base = Model::of(volume.path());
        let store = open(&volume, &recorder).await;
        if let Before::Open(setup) = before {
            setup(&store).await;
            recorder.start_over();
            base = Model::of(volume.path());
        }
        let wrong = findings(volume.path(), false);
        let contents = contents(volume.path());
        Self {
            contents,
            volume,
            recorder,
            store,
            base,
            had_format: matches!(before, Before::Open(_)),
            wrong,
        }
    }

    pub(super) async fn restart(self) -> Self {
        drop(self.store);
        let recorder = self.recorder.next_process();
        let store = open(&self.volume, &recorder).await;
        Self {
            recorder,
            store,
            ..self
        }
    }

    pub(super) async fn run(&self, number: usize, operation: Operation) {
        self.recorder.mark(Event::Begin(number));
        operation(self.store.clone()).await.unwrap();
        self.recorder.mark(Event::Acknowledge(number));
    }

    pub(super) fn record(self, operations: Vec<(&'static str, Operation)>, order: Order) -> Record {
        let mut wrong = Wrong {
            before: self.wrong,
            after: None,
        };
        if let Order::InTurn(views) = &order
            && operations.iter().any(|(name, _)| makes_whole(name))
        {
            let (path, last) = (self.volume.path(), views.last().unwrap());
            let mut after = wrong_links(&Model::of(path), last);
            after.extend(findings(path, true));
            wrong.after = Some(after);
        }
        let contents = contents(self.volume.path());
        let collects = operations.iter().any(|(name, _)| *name == COLLECT);
        let freed = self.contents.difference(&contents).filter(|_| collects);
        Record {
            freed: freed.cloned().collect(),
            base: self.base,
            events: self.recorder.events(),
            operations,
            from: 0,
            had_format: self.had_format,
            wrong,
            contents,
            order,
        }
    }
}

async fn open(volume: &Volume, recorder: &Recorder) -> Store {
    let sessions = AtomicU8::new(SESSION[0]);
    let options = StoreOptions {
        lock_timeout: Duration::from_secs(20), // who syncs the volume may still have it
        random: Arc::new(move || [sessions.fetch_add(1, Ordering::SeqCst); 16]),
        ..volume.options()
    };
    Store::open_through(options, Box::new(recorder.clone()))
        .await
        .unwrap()
}

/// Runs one part after the other. Opening the volume is part of the record when nobody had it open before.
pub(super) async fn in_turn(before: Before, parts: &[Part]) -> Record {
    let mut recorded = Recorded::new(before).await;
    let mut views = vec![look(&recorded.store).await];
    let mut operations = Vec::new();
    for part in parts {
        match part {
            Part::Do(name, operation) => {
                recorded.run(operations.len(), *operation).await;
                operations.push((*name, *operation));
                views.push(look(&recorded.store).await);
            }
            Part::Restart => recorded = recorded.restart().await,
            Part::Close => recorded.store.close().await,
        }
    }
    recorded.record(operations, Order::InTurn(views))
}
