//! Every volume that a power cut may leave of a [`Model`]: names that stand for something earlier, bytes that are absent,
//! short or zero, in all combinations. Pure but for [`State::of`] and [`State::write_to`].
//!
//! One thing is not taken apart: what is left over in `tmp/` (but records of deletes), and of upload sessions that are
//! over. Whatever is there is removed at the next start, or when it expires; so it is gone, or all back, or all back
//! without its bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::store::disk::is_record;

use super::model::{Content, Model, Node, NodeId, ROOT};

/// So many effects may wait at once for the enumeration to be complete.
pub(super) const MOST_PENDING: usize = 12;

pub(super) const TEMPORARY: &str = "portolan/v1/tmp";
const UPLOADS: &str = "portolan/v1/uploads";

/// The names and bytes on a volume; directories have no bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct State(BTreeMap<String, Option<Vec<u8>>>);

impl State {
    /// What is on a volume.
    pub(super) fn of(root: &Path) -> Self {
        fn add(root: &Path, path: &str, found: &mut BTreeMap<String, Option<Vec<u8>>>) {
            for entry in fs::read_dir(root.join(path)).unwrap().map(Result::unwrap) {
                let name = entry.file_name().into_string().unwrap();
                let path = [path, &name].map(str::to_owned).join("/");
                if entry.file_type().unwrap().is_dir() {
                    add(root, &path, found);
                    found.insert(path, None);
                } else {
                    found.insert(path, Some(fs::read(entry.path()).unwrap()));
                }
            }
        }
        let mut found = BTreeMap::new();
        add(root, ".", &mut found);
        Self(found)
    }

    pub(super) fn write_to(&self, root: &Path) {
        for (path, bytes) in &self.0 {
            match bytes {
                None => fs::create_dir(root.join(path)).unwrap(),
                Some(bytes) => fs::write(root.join(path), bytes).unwrap(),
            }
        }
    }

    pub(super) fn files(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0
            .iter()
            .filter_map(|(path, bytes)| Some((path.as_str(), bytes.as_deref()?)))
    }

    pub(super) fn has(&self, path: &str) -> bool {
        self.0.contains_key(path)
    }
}

/// One thing that a power cut decides.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Choice {
    Name(NodeId, String),
    Bytes(NodeId),
    Leftovers,
}

/// What is decided, and how; what is not in it is as the system shows it.
type Decision = BTreeMap<Choice, usize>;

const WHOLE: usize = 1;
const WITHOUT_BYTES: usize = 0;

pub(super) struct States<'a> {
    model: &'a Model,
    temporary: Option<NodeId>,
    uploads: Option<NodeId>,
    /// With the number of ways in which each can come out; the last way is how the system shows it.
    choices: Vec<(Choice, usize)>,
    pub(super) pending: usize,
}

impl<'a> States<'a> {
    pub(super) fn of(model: &'a Model) -> Self {
        let mut states = Self {
            model,
            temporary: model.find(TEMPORARY),
            uploads: model.find(UPLOADS),
            choices: Vec::new(),
            pending: 0,
        };
        let mut seen = BTreeSet::new();
        states.collect(ROOT, &mut seen);
        states
    }

    fn collect(&mut self, id: NodeId, seen: &mut BTreeSet<NodeId>) {
        if !seen.insert(id) {
            return;
        }
        match &self.model.nodes[id] {
            Node::File(content) if content.is_dirty => self.add(Choice::Bytes(id), 4, 2),
            Node::File(content) if content.is_new => self.add(Choice::Bytes(id), 2, 1),
            Node::File(_) => {}
            Node::Directory(slots) => {
                if Some(id) == self.temporary {
                    self.add_leftovers();
                }
                for (name, slot) in slots {
                    if self.is_left_over(id, name) {
                        continue;
                    }
                    let is_over = Some(id) == self.uploads && slot.values.last().unwrap().node.is_none();
                    if is_over {
                        self.add_leftovers();
                        continue;
                    }
                    if slot.values.len() > 1 {
                        let ways = slot.values.len();
                        self.add(Choice::Name(id, name.clone()), ways, ways - 1);
                    }
                    for value in &slot.values {
                        if let Some(node) = value.node {
                            self.collect(node, seen);
                        }
                    }
                }
            }
        }
    }

    /// Whether a start takes a name away whatever it stands for.
    fn is_left_over(&self, id: NodeId, name: &str) -> bool {
        Some(id) == self.temporary && !is_record(Path::new(name))
    }

    fn add(&mut self, choice: Choice, ways: usize, effects: usize) {
        self.choices.push((choice, ways));
        self.pending += effects;
    }

    fn add_leftovers(&mut self) {
        if !self
            .choices
            .iter()
            .any(|(choice, _)| *choice == Choice::Leftovers)
        {
            self.add(Choice::Leftovers, 3, 1);
        }
    }

    /// All of them, those that have lost most first.
    pub(super) fn all(&self) -> impl Iterator<Item = State> {
        let combinations: usize = self.choices.iter().map(|(_, ways)| ways).product();
        (0..combinations).filter_map(|mut number| {
            let mut decision = Decision::new();
            for (choice, ways) in &self.choices {
                decision.insert(choice.clone(), number % ways);
                number /= ways;
            }
            self.is_legal(&decision).then(|| self.state(&decision))
        })
    }

    /// Those that have lost everything that waits, or one thing only.
    pub(super) fn extremes(&self) -> impl Iterator<Item = State> {
        let shown = |(choice, ways): &(Choice, usize)| (choice.clone(), ways - 1);
        let all = self.choices.iter().map(|(choice, _)| (choice.clone(), 0));
        let one = self.choices.iter().flat_map(move |(lost, ways)| {
            (0..ways - 1).map(move |way| {
                let mut decision: Decision = self.choices.iter().map(shown).collect();
                decision.insert(lost.clone(), way);
                decision
            })
        });
        std::iter::once(all.collect::<Decision>())
            .chain(one)
            .filter(|decision| self.is_legal(decision))
            .map(|decision| self.state(&decision))
    }

    /// Both halves of a rename, or none.
    fn is_legal(&self, decision: &Decision) -> bool {
        let mut halves: BTreeMap<usize, BTreeSet<bool>> = BTreeMap::new();
        for (choice, way) in decision {
            let Choice::Name(id, name) = choice else { continue };
            let Node::Directory(slots) = &self.model.nodes[*id] else {
                continue;
            };
            for (position, value) in slots[name].values.iter().enumerate() {
                if let Some(rename) = value.rename.filter(|it| !self.model.loose.contains(it)) {
                    halves.entry(rename).or_default().insert(*way >= position);
                }
            }
        }
        halves.values().all(|decided| decided.len() == 1)
    }

    fn state(&self, decision: &Decision) -> State {
        let mut state = State(BTreeMap::new());
        self.fill(ROOT, "", decision, &mut state);
        state
    }

    fn fill(&self, id: NodeId, path: &str, decision: &Decision, state: &mut State) {
        let slots = match &self.model.nodes[id] {
            Node::Directory(slots) => slots,
            Node::File(content) => {
                let way = decision.get(&Choice::Bytes(id)).copied();
                let is_missing = content.is_new && !content.is_dirty && way == Some(0);
                if is_missing {
                    return;
                }
                let bytes = bytes_of(content, way);
                state.0.insert(path.to_owned(), Some(bytes));
                return;
            }
        };
        if id != ROOT {
            state.0.insert(path.to_owned(), None);
        }
        for (name, slot) in slots {
            let path = if path.is_empty() {
                name.clone()
            } else {
                format!("{path}/{name}")
            };
            let shown = slot.values.last().unwrap();
            let is_over = Some(id) == self.uploads && shown.node.is_none();
            if self.is_left_over(id, name) || is_over {
                self.leave_over(
                    slot.values.iter().rev().find_map(|it| it.node),
                    &path,
                    decision,
                    state,
                );
                continue;
            }
            let way = decision.get(&Choice::Name(id, name.clone()));
            if let Some(node) = way.map_or(shown, |way| &slot.values[*way]).node {
                self.fill(node, &path, decision, state);
            }
        }
    }

    fn leave_over(&self, node: Option<NodeId>, path: &str, decision: &Decision, state: &mut State) {
        let way = decision.get(&Choice::Leftovers).copied();
        let (Some(node), Some(WHOLE | WITHOUT_BYTES)) = (node, way) else {
            return;
        };
        let bytes = match &self.model.nodes[node] {
            Node::Directory(_) => None,
            Node::File(_) if way == Some(WITHOUT_BYTES) => Some(Vec::new()),
            Node::File(content) => Some(content.shown.clone()),
        };
        state.0.insert(path.to_owned(), bytes);
    }
}

/// What of a file is there: what was synced, half of the rest, zeros in its place, or all of it.
fn bytes_of(content: &Content, way: Option<usize>) -> Vec<u8> {
    let kept = content.durable.len().min(content.shown.len());
    match way {
        Some(0) => content.durable.clone(),
        Some(1) => content.shown[..kept + (content.shown.len() - kept) / 2].to_vec(),
        Some(2) => [&content.durable[..kept], &vec![0; content.shown.len() - kept]].concat(),
        _ => content.shown.clone(),
    }
}
