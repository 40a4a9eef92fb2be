//! The names of files and directories: what is seen, and what a power cut may take back.
//!
//! A name that was made, removed or moved is durable when its directory was synced, not before;
//! syncing the file itself does not help, as POSIX allows.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::dice::{Dice, Order, Survival};

/// Where a file's bytes are, whatever its name.
pub(crate) type Ino = usize;

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Dir,
    File(Ino),
}

/// All names of a disk.
pub(super) struct Names {
    /// What is seen.
    live: BTreeMap<Arc<Path>, Node>,
    /// What a power cut leaves for certain.
    durable: BTreeMap<Arc<Path>, Node>,
    /// What was done since the directories were synced, in order.
    changes: Vec<Change>,
}

enum Change {
    Add { path: Arc<Path>, node: Node },
    Remove { path: Arc<Path>, node: Node },
    Move { from: Arc<Path>, to: Arc<Path>, node: Node },
}

impl Change {
    fn path(&self) -> &Path {
        match self {
            Change::Add { path, .. } | Change::Remove { path, .. } => path,
            Change::Move { to, .. } => to,
        }
    }

    fn node(&self) -> Node {
        match self {
            Change::Add { node, .. } | Change::Remove { node, .. } | Change::Move { node, .. } => {
                *node
            }
        }
    }

    fn apply(&self, names: &mut BTreeMap<Arc<Path>, Node>) {
        match self {
            Change::Add { path, node } => drop(names.insert(path.clone(), *node)),
            Change::Remove { path, node } => {
                // An entry that names another file was not what was removed.
                if names.get(path) == Some(node) {
                    names.remove(path);
                }
            }
            Change::Move { from, to, node } => {
                if names.get(from) == Some(node) {
                    names.remove(from);
                }
                names.insert(to.clone(), *node);
            }
        }
    }
}

impl Names {
    /// A disk with a root and nothing else.
    pub(super) fn new() -> Self {
        let root = BTreeMap::from([(Arc::from(Path::new("/")), Node::Dir)]);
        Names { live: root.clone(), durable: root, changes: Vec::new() }
    }

    /// Adds a file and its directories as if they had always been there.
    pub(super) fn hold(&mut self, path: Arc<Path>, ino: Ino) {
        for directory in path.ancestors().skip(1) {
            self.live.insert(Arc::from(directory), Node::Dir);
        }
        self.live.insert(path, Node::File(ino));
        self.durable.clone_from(&self.live);
    }

    pub(super) fn get(&self, path: &Path) -> Option<Node> {
        self.live.get(path).copied()
    }

    /// Files that have a name, in the order of the names.
    pub(super) fn files(&self) -> impl Iterator<Item = (&Arc<Path>, Ino)> {
        self.live.iter().filter_map(|(path, node)| match node {
            Node::File(ino) => Some((path, *ino)),
            Node::Dir => None,
        })
    }

    /// The last parts of the paths in a directory, in their order.
    pub(super) fn names_in(&self, directory: &Path) -> Vec<String> {
        let inside = self.live.keys().filter(|path| path.parent() == Some(directory));
        inside.filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned())).collect()
    }

    /// Whether the directory that would hold `path` exists.
    pub(super) fn has_parent(&self, path: &Path) -> bool {
        path.parent().is_some_and(|parent| self.get(parent) == Some(Node::Dir))
    }

    pub(super) fn add(&mut self, path: Arc<Path>, node: Node) {
        self.change(Change::Add { path, node });
    }

    pub(super) fn remove(&mut self, path: Arc<Path>, node: Node) {
        self.change(Change::Remove { path, node });
    }

    pub(super) fn rename(&mut self, from: Arc<Path>, to: Arc<Path>, node: Node) {
        self.change(Change::Move { from, to, node });
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.live);
        self.changes.push(change);
    }

    /// Makes the names in a directory durable.
    pub(super) fn sync(&mut self, directory: &Path) {
        let durable = &mut self.durable;
        self.changes.retain(|change| {
            let is_elsewhere = change.path().parent() != Some(directory);
            if !is_elsewhere {
                change.apply(durable);
            }
            is_elsewhere
        });
    }

    /// What is left after the power was cut.
    pub(super) fn cut_power(&mut self, survival: Survival, dice: &mut Dice<'_>) {
        let order = Order::draw(survival, self.changes.len(), dice);
        for (index, change) in std::mem::take(&mut self.changes).into_iter().enumerate() {
            // An entry is smaller than a sector, so it is never torn.
            match order.survival(index, dice) {
                Survival::None => {}
                Survival::Torn if dice.coin() => {}
                Survival::Torn | Survival::Whole => change.apply(&mut self.durable),
            }
        }
        // Parents come before their children, so one pass drops whole trees.
        let mut kept: BTreeMap<Arc<Path>, Node> = BTreeMap::new();
        for (path, node) in &self.durable {
            let is_kept = path.parent().is_none_or(|parent| kept.contains_key(parent));
            if is_kept {
                kept.insert(path.clone(), *node);
            }
        }
        self.durable.clone_from(&kept);
        self.live = kept;
    }

    /// Whether a file has a name, or may have one again after a power cut.
    pub(super) fn may_name(&self, ino: Ino) -> bool {
        let node = Node::File(ino);
        self.live.values().chain(self.durable.values()).any(|named| *named == node)
            || self.changes.iter().any(|change| change.node() == node)
    }
}

/// The one form of a path. The simulated process works in the root, so `data` and `/data` are the
/// same.
pub(crate) fn normalize(path: &Path) -> Arc<Path> {
    let mut normal = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => normal.push(name),
            Component::ParentDir => drop(normal.pop()),
            Component::Prefix(_) | Component::RootDir | Component::CurDir => {}
        }
    }
    Arc::from(normal)
}
