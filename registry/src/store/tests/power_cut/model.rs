//! What a disk may hold. Events come in; out come a volume's names and bytes, each with everything that it may still be
//! after a power cut. Pure but for [`Model::of`].
//!
//! The rules: an fsync of a directory keeps the names in it, not its own name nor what is below; an fsync of a file keeps
//! its bytes, and that there is a file, not its name; a rename happens whole or not at all, but in no order with anything else.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::recorder::Event;

pub(super) type NodeId = usize;
pub(super) const ROOT: NodeId = 0;

#[derive(Debug, Clone)]
pub(super) enum Node {
    Directory(BTreeMap<String, Slot>),
    File(Content),
}

/// Everything that a name may stand for: the first is durable, the last is what the system shows.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    pub(super) values: Vec<Value>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Value {
    pub(super) node: Option<NodeId>,
    /// The rename whose half this is.
    pub(super) rename: Option<usize>,
}

#[derive(Debug, Clone)]
pub(super) struct Content {
    pub(super) durable: Vec<u8>,
    pub(super) shown: Vec<u8>,
    pub(super) is_dirty: bool,
    /// Never synced: there may be nothing behind its names (ext4 without a journal).
    pub(super) is_new: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Model {
    pub(super) nodes: Vec<Node>,
    inodes: HashMap<u64, NodeId>,
    renames: usize,
    /// Renames of which the new name is durable: the old one goes or stays by itself.
    pub(super) loose: HashSet<usize>,
}

impl Model {
    /// A volume as it is, all of it durable.
    pub(super) fn of(root: &Path) -> Self {
        let mut model = Self {
            nodes: vec![Node::Directory(BTreeMap::new())],
            inodes: HashMap::new(),
            renames: 0,
            loose: HashSet::new(),
        };
        model.scan(ROOT, root);
        model
    }

    fn scan(&mut self, id: NodeId, path: &Path) {
        for entry in fs::read_dir(path).unwrap().map(Result::unwrap) {
            let node = if entry.file_type().unwrap().is_dir() {
                let node = self.add(Node::Directory(BTreeMap::new()));
                self.scan(node, &entry.path());
                node
            } else {
                let bytes = fs::read(entry.path()).unwrap();
                let node = self.add(Node::File(Content {
                    durable: bytes.clone(),
                    shown: bytes,
                    is_dirty: false,
                    is_new: false,
                }));
                self.inodes.insert(entry.metadata().unwrap().ino(), node);
                node
            };
            let name = entry.file_name().into_string().unwrap();
            self.directory(id).insert(
                name,
                Slot {
                    values: vec![settled(Some(node))],
                },
            );
        }
    }

    fn add(&mut self, node: Node) -> NodeId {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    fn directory(&mut self, id: NodeId) -> &mut BTreeMap<String, Slot> {
        match &mut self.nodes[id] {
            Node::Directory(slots) => slots,
            Node::File(_) => panic!("a file was used as a directory"),
        }
    }

    fn content(&mut self, inode: u64) -> &mut Content {
        let id = self.inodes[&inode];
        match &mut self.nodes[id] {
            Node::File(content) => content,
            Node::Directory(_) => panic!("a directory was used as a file"),
        }
    }

    /// What the system shows at a path.
    pub(super) fn find(&self, path: &str) -> Option<NodeId> {
        path.split('/')
            .filter(|name| !name.is_empty())
            .try_fold(ROOT, |id, name| match &self.nodes[id] {
                Node::Directory(slots) => slots.get(name)?.values.last()?.node,
                Node::File(_) => None,
            })
    }

    fn put(&mut self, path: &str, value: Value) {
        let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
        let directory = self
            .find(directory)
            .unwrap_or_else(|| panic!("{path}: no directory"));
        let slot = self
            .directory(directory)
            .entry(name.to_owned())
            .or_insert_with(|| Slot {
                values: vec![settled(None)],
            });
        slot.values.push(value);
    }

    pub(super) fn apply(&mut self, event: &Event) {
        match event {
            Event::MakeDirectory(path) => {
                if self.find(path).is_none() {
                    let node = self.add(Node::Directory(BTreeMap::new()));
                    self.put(path, settled(Some(node)));
                }
            }
            Event::MakeFile(path, inode) => {
                if self.find(path).is_none() {
                    let node = self.add(Node::File(Content {
                        durable: Vec::new(),
                        shown: Vec::new(),
                        is_dirty: false,
                        is_new: true,
                    }));
                    self.inodes.insert(*inode, node);
                    self.put(path, settled(Some(node)));
                }
            }
            Event::Write(inode, offset, bytes) => {
                let content = self.content(*inode);
                let start = usize::try_from(*offset).unwrap();
                let end = start + bytes.len();
                content.shown.resize(content.shown.len().max(end), 0);
                content.shown[start..end].copy_from_slice(bytes);
                content.is_dirty = true;
            }
            Event::SetLength(inode, length) => {
                let content = self.content(*inode);
                content.shown.resize(usize::try_from(*length).unwrap(), 0);
                content.is_dirty = true;
            }
            Event::SyncFile(_, inode) => sync_content(self.content(*inode)),
            Event::SyncDirectory(path) => {
                let id = self
                    .find(path)
                    .unwrap_or_else(|| panic!("{path}: no directory to sync"));
                self.sync_directory(id);
            }
            Event::SyncVolume => self.sync_all(),
            Event::Rename(from, to) => {
                let node = self.find(from);
                assert!(node.is_some(), "{from} was renamed and is not there");
                self.renames += 1;
                let rename = Some(self.renames);
                self.put(to, Value { node, rename });
                self.put(from, Value { node: None, rename });
            }
            Event::Unlink(path) | Event::RemoveDirectory(path) => self.put(path, settled(None)),
            Event::Begin(_) | Event::Acknowledge(_) => {}
        }
    }

    fn sync_directory(&mut self, id: NodeId) {
        let mut forced = Vec::new();
        for slot in self.directory(id).values_mut() {
            let last = slot.values.len() - 1;
            for value in &slot.values {
                forced.extend(value.rename.map(|rename| (rename, value.node.is_none())));
            }
            slot.values.drain(..last);
            slot.values[0].rename = None;
        }
        for (rename, is_old_name) in forced {
            if is_old_name && !self.loose.contains(&rename) {
                self.force_new_name(rename);
            }
            self.loose.insert(rename);
        }
        self.directory(id)
            .retain(|_, slot| slot.values.len() > 1 || slot.values[0].node.is_some());
    }

    /// The old name is durably gone, so the new one is durably there.
    fn force_new_name(&mut self, rename: usize) {
        for node in &mut self.nodes {
            let Node::Directory(slots) = node else { continue };
            for slot in slots.values_mut() {
                let found = slot
                    .values
                    .iter()
                    .position(|value| value.rename == Some(rename) && value.node.is_some());
                if let Some(position) = found {
                    slot.values.drain(..position);
                    slot.values[0].rename = None;
                }
            }
        }
    }

    pub(super) fn sync_all(&mut self) {
        for node in &mut self.nodes {
            match node {
                Node::File(content) => sync_content(content),
                Node::Directory(slots) => {
                    for slot in slots.values_mut() {
                        let last = slot.values.len() - 1;
                        slot.values.drain(..last);
                        slot.values[0].rename = None;
                    }
                    slots.retain(|_, slot| slot.values[0].node.is_some());
                }
            }
        }
    }

    /// Whether an fsync would make something durable now.
    pub(super) fn has_pending(&self, event: &Event) -> bool {
        match event {
            Event::SyncFile(_, inode) => {
                matches!(&self.nodes[self.inodes[inode]], Node::File(content) if content.is_dirty || content.is_new)
            }
            Event::SyncDirectory(path) => match self.find(path).map(|id| &self.nodes[id]) {
                Some(Node::Directory(slots)) => slots.values().any(|slot| slot.values.len() > 1),
                _ => false,
            },
            _ => false,
        }
    }
}

fn settled(node: Option<NodeId>) -> Value {
    Value { node, rename: None }
}

fn sync_content(content: &mut Content) {
    content.durable.clone_from(&content.shown);
    content.is_dirty = false;
    content.is_new = false;
}
