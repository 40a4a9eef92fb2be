//! What the disk holds, and the gate that every operation passes: the fence against earlier lives,
//! the count, and the death at a number of it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::core::Failure;
use super::dice::{Dice, Survival};
use super::fault::{Faults, Strike, Target};
use super::file::File;
use super::names::{Ino, Names, Node, normalize};
use super::{Crash, Death, Image, OpKind, Synced};
use crate::chance::Stream;

pub(super) struct State {
    pub(super) names: Names,
    /// By [`Ino`]. `None`: free.
    files: Vec<Option<File>>,
    power: Power,
    /// Counted up by every crash; operations of earlier lives fail.
    life: u64,
    pub(super) ops: u64,
    /// `None`: the disk does not die by itself.
    die_at: Option<u64>,
    death: Option<Death>,
    pub(super) faults: Faults,
    pub(super) hooks: Hooks,
    /// Draws how much of a failed write was written.
    pub(super) partial: Stream,
    /// Draws what SQLite is given as entropy.
    pub(super) entropy: Stream,
}

/// Whether the disk answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Power {
    On,
    /// Died in an operation; nobody has said yet what kind of crash that was.
    Dying,
    /// Crashed, and not revived yet.
    Off,
}

/// What is called in every sync.
type OnSync = Arc<dyn Fn(&Synced) + Send + Sync>;

/// What the world is told and asked.
#[derive(Clone, Default)]
pub(super) struct Hooks {
    pub(super) on_sync: Option<OnSync>,
    pub(super) on_sleep: Option<Arc<dyn Fn(Duration) + Send + Sync>>,
    pub(super) wall_ms: Option<Arc<dyn Fn() -> u64 + Send + Sync>>,
}

/// What an operation is done to.
pub(super) enum Subject<'a> {
    File(Ino),
    Name(&'a Arc<Path>),
}

impl State {
    pub(super) fn new(seed: u64) -> Self {
        State {
            names: Names::new(),
            files: Vec::new(),
            power: Power::On,
            life: 0,
            ops: 0,
            die_at: None,
            death: None,
            faults: Faults::default(),
            hooks: Hooks::default(),
            partial: Stream::new(seed, 1),
            entropy: Stream::new(seed, 2),
        }
    }

    /// Adds files that are durable. Nothing is counted: they were there before.
    pub(super) fn hold(&mut self, image: &Image) {
        for (path, bytes) in image {
            let path = normalize(path);
            let ino = self.new_file(path.clone());
            self.file(ino).begin_with(bytes.clone());
            self.names.hold(path, ino);
        }
    }

    pub(super) fn check(&self, life: u64) -> Result<(), Failure> {
        if self.power == Power::On && life == self.life { Ok(()) } else { Err(Failure::Dead) }
    }

    /// Counts an operation, and dies if its number is up. The one that dies changes nothing: what a
    /// device makes of an interrupted write is what it makes of one that was not synced.
    pub(super) fn count(
        &mut self,
        life: u64,
        kind: OpKind,
        subject: Subject<'_>,
    ) -> Result<(), Failure> {
        self.check(life)?;
        if self.die_at.is_some_and(|die_at| self.ops + 1 >= die_at) {
            let path = match subject {
                Subject::File(ino) => self.file(ino).path.clone(),
                Subject::Name(path) => path.clone(),
            };
            self.power = Power::Dying;
            self.death = Some(Death { op: self.ops + 1, kind, path });
            return Err(Failure::Dead);
        }
        self.ops += 1;
        Ok(())
    }

    pub(super) fn strike(&mut self, target: Target, ino: Ino) -> Strike {
        let file = self.files[ino].as_ref().expect("an open or a named file exists");
        self.faults.strike(target, &file.path, self.ops)
    }

    pub(super) fn file(&mut self, ino: Ino) -> &mut File {
        self.files[ino].as_mut().expect("an open or a named file exists")
    }

    pub(super) fn create(&mut self, life: u64, path: &Arc<Path>) -> Result<Ino, Failure> {
        if !self.names.has_parent(path) {
            return Err(Failure::NotFound);
        }
        self.count(life, OpKind::Create, Subject::Name(path))?;
        let ino = self.new_file(path.clone());
        self.names.add(path.clone(), Node::File(ino));
        Ok(ino)
    }

    pub(super) fn new_file(&mut self, path: Arc<Path>) -> Ino {
        let file = Some(File::new(path));
        match self.files.iter().position(Option::is_none) {
            Some(free) => {
                self.files[free] = file;
                free
            }
            None => {
                self.files.push(file);
                self.files.len() - 1
            }
        }
    }

    /// Drops a file's bytes when neither a handle nor a name leads to them, and none can again.
    pub(super) fn free_unreachable(&mut self, ino: Ino) {
        let is_open = self.files[ino].as_ref().is_some_and(|file| file.open > 0);
        if !is_open && !self.names.may_name(ino) {
            self.files[ino] = None;
        }
    }

    pub(super) fn ops(&self) -> u64 {
        self.ops
    }

    pub(super) fn life(&self) -> u64 {
        self.life
    }

    pub(super) fn is_alive(&self) -> bool {
        self.power == Power::On
    }

    pub(super) fn death(&self) -> Option<Death> {
        self.death.clone()
    }

    pub(super) fn die_at(&mut self, op: Option<u64>) {
        self.die_at = op;
    }

    pub(super) fn crash(&mut self, mode: Crash, dice: &mut Dice<'_>) {
        self.life += 1;
        self.power = Power::Off;
        self.die_at = None;
        let survival = match mode {
            Crash::Process => None,
            Crash::PowerDropAll => Some(Survival::None),
            Crash::PowerTorn => Some(Survival::Torn),
        };
        if let Some(survival) = survival {
            self.names.cut_power(survival, dice);
        }
        for ino in 0..self.files.len() {
            let Some(file) = &mut self.files[ino] else { continue };
            file.open = 0;
            if let Some(survival) = survival {
                file.cut_power(survival, dice);
            }
            self.free_unreachable(ino);
        }
        for (path, ino) in self.names.files() {
            // A rename may have been taken back.
            self.files[ino].as_mut().expect("a named file exists").path = path.clone();
        }
    }

    pub(super) fn revive(&mut self) {
        assert!(self.power == Power::Off, "only a disk that crashed can be revived");
        self.power = Power::On;
        self.death = None;
    }

    /// Files by name, with what reads see.
    pub(super) fn contents(&self) -> impl Iterator<Item = (&Arc<Path>, &[u8])> {
        self.names.files().map(|(path, ino)| {
            let file = self.files[ino].as_ref().expect("a named file exists");
            (path, file.image())
        })
    }
}
