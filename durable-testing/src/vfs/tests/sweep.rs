//! A crash at every operation of a scenario, in every mode.

use super::*;
use crate::disk::Death;

const COMMITS: u32 = 20;

/// How a database is set up.
#[derive(Clone, Copy)]
struct Setup {
    journal_mode: &'static str,
    synchronous: &'static str,
    /// Whether no sync does anything.
    lies: bool,
}

const FULL: Setup = Setup { journal_mode: "wal", synchronous: "FULL", lies: false };

impl Setup {
    /// Whether an acknowledged commit survives a power cut.
    fn is_safe(self) -> bool {
        let setting = (self.journal_mode, self.synchronous);
        !self.lies && matches!(setting, ("wal", "FULL") | ("delete", "EXTRA"))
    }

    fn open(self, disk: &SimDisk) -> rusqlite::Result<Connection> {
        let connection = connect(disk)?;
        let journal_mode = Some(self.journal_mode);
        let mode: String =
            connection
                .pragma_update_and_check(None, "journal_mode", journal_mode, |row| row.get(0))?;
        assert_eq!(mode, self.journal_mode);
        connection.pragma_update(None, "synchronous", self.synchronous)?;
        connection.pragma_update(None, "wal_autocheckpoint", 0)?;
        Ok(connection)
    }

    /// Commits with readers and checkpoints beside, until the disk dies. Counts what was
    /// acknowledged.
    fn run(self, disk: &SimDisk, acknowledged: &mut u32) -> rusqlite::Result<()> {
        let writer = self.open(disk)?;
        create(&writer)?;
        let (reader, checkpointer) = (self.open(disk)?, self.open(disk)?);
        for n in 1..=COMMITS {
            commit(&writer, n)?;
            *acknowledged = n;
            if self.journal_mode != "wal" {
                continue;
            }
            match n {
                4 | 13 | 18 => drop(checkpoint(&checkpointer, "PASSIVE")?),
                6 => reader.execute_batch("BEGIN; SELECT * FROM total")?,
                8 => drop(checkpoint(&checkpointer, "PASSIVE")?),
                9 => reader.execute_batch("COMMIT")?,
                10 => drop(checkpoint(&writer, "RESTART")?),
                15 => drop(checkpoint(&checkpointer, "TRUNCATE")?),
                _ => {}
            }
        }
        Ok(())
    }

    /// A disk on which the scenario was run; it dies at that operation.
    fn disk(self, op: Option<u64>, acknowledged: &mut u32) -> SimDisk {
        let disk = new_disk(1);
        if self.lies {
            disk.arm(Fault::new(FaultKind::LyingSync).lasting());
        }
        if let Some(op) = op {
            disk.die_at_op(op);
        }
        let worked = self.run(&disk, acknowledged).is_ok();
        assert!(worked == op.is_none(), "it stops where it should: {:?}", disk.death());
        disk
    }

    /// Crashes at every operation, and gives how often and how often acknowledged commits were
    /// lost.
    fn sweep(self, mode: Crash, seeds: u64) -> Found {
        let ops = self.disk(None, &mut 0).ops();
        let mut found = Found::default();
        for op in new_disk(1).ops() + 1..=ops {
            for seed in 0..seeds {
                let mut acknowledged = 0;
                let disk = self.disk(Some(op), &mut acknowledged);
                let death = disk.death().expect("it died");
                let mut random = seed * 1_000_003 + op;
                disk.crash(mode, &mut || {
                    random = random.wrapping_add(0x9e37_79b9_7f4a_7c15);
                    (random ^ (random >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9)
                });
                found.crashes += 1;
                self.check(&disk.revive(), acknowledged, &death, &mut found);
            }
        }
        found
    }

    fn check(self, disk: &SimDisk, acknowledged: u32, death: &Death, found: &mut Found) {
        disk.disarm();
        let read = self.open(disk).and_then(|connection| Ok((stored(&connection)?, connection)));
        let (rows, writer) = match read {
            Ok(read) => read,
            Err(_) if self.lies => {
                found.corrupt += 1;
                return;
            }
            Err(error) => panic!("{death:?}: {error}"),
        };
        let count = u32::try_from(rows.len()).expect("few");
        assert_eq!(rows, (1..=count).collect::<Vec<_>>(), "a beginning, {death:?}");
        assert!(count <= acknowledged + 1, "nothing that was never asked for, {death:?}");
        found.lost += u32::from(count < acknowledged);
        if !self.is_safe() {
            return;
        }
        // What was recovered is a base to build on, and outlasts the next power cut.
        create(&writer).and_then(|()| commit(&writer, count + 1)).expect("stored");
        disk.crash(Crash::PowerDropAll, &mut || 0);
        let disk = disk.revive();
        let rows = self.open(&disk).and_then(|connection| stored(&connection)).expect("read");
        assert_eq!(rows.len(), rows_len(count + 1), "{death:?}");
    }
}

#[derive(Debug, Default)]
struct Found {
    crashes: u32,
    lost: u32,
    corrupt: u32,
}

#[test]
fn no_acknowledged_commit_is_lost_whatever_operation_the_machine_stops_in() {
    for (mode, seeds) in [(Crash::Process, 1), (Crash::PowerDropAll, 1), (Crash::PowerTorn, 6)] {
        let found = FULL.sweep(mode, seeds);
        assert!(found.crashes > 150, "the scenario shrank: {found:?}");
        assert_eq!((found.lost, found.corrupt), (0, 0), "{mode:?}: {found:?}");
    }
}

#[test]
fn without_a_sync_in_every_commit_acknowledged_ones_are_lost_and_a_beginning_is_left() {
    let normal = Setup { synchronous: "NORMAL", ..FULL };
    let found = normal.sweep(Crash::PowerTorn, 1);
    assert!(found.lost > found.crashes / 10, "{found:?}");
    assert!(normal.sweep(Crash::PowerDropAll, 1).lost > 0);
    assert_eq!(normal.sweep(Crash::Process, 1).lost, 0, "the process alone takes nothing along");
}

#[test]
fn a_disk_that_lies_about_syncs_loses_acknowledged_commits() {
    let found = Setup { lies: true, ..FULL }.sweep(Crash::PowerDropAll, 1);
    assert!(found.lost > found.crashes / 2, "{found:?}");
    assert_eq!(Setup { lies: true, ..FULL }.sweep(Crash::Process, 1).lost, 0);
}

#[test]
fn a_rollback_journal_comes_back_unless_its_directory_is_synced() {
    let extra = Setup { journal_mode: "delete", synchronous: "EXTRA", lies: false };
    for mode in Crash::ALL {
        let found = extra.sweep(mode, 2);
        assert_eq!((found.lost, found.corrupt), (0, 0), "{mode:?}: {found:?}");
    }
    // SQLite says so of FULL: the journal's removal may be undone, and with it the last commit.
    assert!(Setup { synchronous: "FULL", ..extra }.sweep(Crash::PowerDropAll, 1).lost > 0);
}
