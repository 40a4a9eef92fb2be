//! Backups of the node, and what must hold of them: they are whole or refused, and no object in them is older than when the
//! backup began, younger than when it ended, or a mixture.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use durable::host::Host;
use durable::{DataDirectory, ObjectId};

use super::World;
use super::node::DIR;
use crate::check::promises::Stored;
use crate::disk::SimDisk;
use crate::failure::Failure;

/// Stored objects by id.
type Objects = BTreeMap<ObjectId, Stored>;

/// What was stored when a backup began.
pub(crate) struct Before {
    to: PathBuf,
    objects: Objects,
}

impl Before {
    /// Where the backup goes.
    pub(crate) fn to(&self) -> &Path {
        &self.to
    }
}

impl World {
    /// What is stored at this moment. `None`: the disk fails.
    pub(crate) fn before_backup(&self) -> Option<Before> {
        let to = PathBuf::from(format!("/backups/{}-{}", self.now_ns(), self.step()));
        Some(Before { to, objects: self.objects_in(Path::new(DIR))? })
    }

    fn objects_in(&self, dir: &Path) -> Option<Objects> {
        let rows = self.rows_in(dir).ok()?;
        Some(rows.into_iter().map(|row| (row.object, row)).collect())
    }

    /// Looks at what a backup has left. `is_made`: somebody was told that it is whole.
    pub(crate) fn after_backup(&self, before: &Before, is_made: bool) {
        let disk = self.disk();
        // The disk may die under the look, too.
        if let Err(text) = self.judge_backup(&disk, before, is_made)
            && !self.may_disk_fail()
            && disk.is_alive()
        {
            self.fail(Failure::new("backup", text));
        }
    }

    fn judge_backup(&self, disk: &SimDisk, before: &Before, is_made: bool) -> Result<(), String> {
        if !disk.is_alive() {
            return Ok(());
        }
        let copy = match DataDirectory::open_on(on(disk), &before.to) {
            Ok(copy) => copy,
            Err(error) if is_made => return Err(format!("it was made, and is refused: {error}")),
            Err(_) => return Ok(()),
        };
        let found = copy.verify().map_err(|error| error.to_string())?;
        if let Some(problem) = found.problems.first() {
            return Err(format!("it says that it is whole: {problem}"));
        }
        let read = |dir| self.objects_in(dir).ok_or_else(|| "it cannot be read".to_owned());
        let (copied, after) = (read(&before.to)?, read(Path::new(DIR))?);
        // An object that was erased and began anew is another one, with another number.
        let is_there = |objects: &Objects, one: &Stored| {
            objects.get(&one.object).is_some_and(|other| other.object_no == one.object_no)
        };
        for (id, old) in &before.objects {
            let copy = copied.get(id).filter(|copy| copy.object_no == old.object_no);
            let Some(copy) = copy else {
                if !is_there(&after, old) {
                    continue;
                }
                return Err(format!("{id} was stored before it began, and is not in it"));
            };
            if copy.commit < old.commit {
                let (old, new) = (old.commit, copy.commit);
                return Err(format!("{id} was at commit {old} before it began, in it is {new}"));
            }
            is_the_same(old, copy)?;
        }
        for (id, copy) in &copied {
            let Some(new) = after.get(id).filter(|new| new.object_no == copy.object_no) else {
                continue;
            };
            if copy.commit > new.commit {
                let (copy, new) = (copy.commit, new.commit);
                return Err(format!("{id} is at commit {copy} in it, and now at {new}"));
            }
            is_the_same(copy, new)?;
        }
        Ok(())
    }
}

/// One commit is one state.
fn is_the_same(one: &Stored, other: &Stored) -> Result<(), String> {
    if one.commit == other.commit
        && (&one.state, &one.rows, one.alarm, &one.schedules)
            != (&other.state, &other.rows, other.alarm, &other.schedules)
    {
        return Err(format!("commit {} of {} has other bytes in it", one.commit, one.object));
    }
    Ok(())
}

/// The node's disk, as somebody sees it who is not the node.
fn on(disk: &SimDisk) -> Host {
    Host { disk: Arc::new(disk.clone()), ..Host::os_without_tasks() }
}
