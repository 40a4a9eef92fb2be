use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use durable::host::Disk;

use super::*;
use crate::chance::Stream;

const FILE: &str = "/data/file";

fn disk() -> SimDisk {
    let disk = SimDisk::new(1);
    disk.create_dir_all(Path::new("/data")).expect("a directory");
    disk
}

/// A file with that name, open; and the life that it is open in.
fn open(disk: &SimDisk, path: &str) -> (Arc<Life>, Ino) {
    let how = OpenHow { create: true, exclusive: false };
    let life = disk.life.clone();
    let ino = life.core.open(life.number, Path::new(path), how).expect("an open file");
    (life, ino)
}

fn write(file: &(Arc<Life>, Ino), at: usize, bytes: &[u8]) -> Result<(), Failure> {
    file.0.core.write(file.0.number, file.1, at, bytes)
}

fn sync(file: &(Arc<Life>, Ino)) -> Result<(), Failure> {
    file.0.core.sync(file.0.number, file.1)
}

/// A file whose name is durable.
fn named(disk: &SimDisk) -> (Arc<Life>, Ino) {
    let file = open(disk, FILE);
    file.0.core.sync_parent(file.0.number, Path::new(FILE)).expect("synced");
    file
}

fn crash(disk: &SimDisk, mode: Crash, seed: u64) -> SimDisk {
    let mut stream = Stream::new(seed, 9);
    disk.crash(mode, &mut || stream.draw());
    disk.revive()
}

fn bytes(disk: &SimDisk) -> Option<Vec<u8>> {
    disk.read(Path::new(FILE)).expect("readable")
}

#[test]
fn a_power_cut_takes_what_was_not_synced_and_a_crash_of_the_process_does_not() {
    for mode in [Crash::Process, Crash::PowerDropAll] {
        let disk = disk();
        let file = named(&disk);
        write(&file, 0, b"synced and long").expect("written");
        sync(&file).expect("synced");
        write(&file, 2, b"SECOND").expect("written");
        file.0.core.truncate(file.0.number, file.1, 4).expect("cut");
        write(&file, 6, b"xyz").expect("written");
        assert_eq!(bytes(&disk).as_deref(), Some(&b"sySE\0\0xyz"[..]));
        let disk = crash(&disk, mode, 0);
        let left: &[u8] = if mode == Crash::Process { b"sySE\0\0xyz" } else { b"synced and long" };
        assert_eq!(bytes(&disk).as_deref(), Some(left), "{mode:?}");
        // What a crash of the process left is still not durable.
        let disk = crash(&disk, Crash::PowerDropAll, 0);
        assert_eq!(bytes(&disk).as_deref(), Some(&b"synced and long"[..]));
    }
}

#[test]
fn a_file_that_there_is_is_made_longer_behind_its_end() {
    let disk = disk();
    let missing = disk.lengthen(Path::new(FILE), 1).expect_err("there is none");
    assert_eq!(missing.kind(), std::io::ErrorKind::NotFound);
    let file = named(&disk);
    write(&file, 0, b"abc").expect("written");
    sync(&file).expect("synced");
    assert_eq!(disk.lengthen(Path::new(FILE), 3).expect("there is room"), 6);
    assert_eq!(bytes(&disk).as_deref(), Some(&b"abc\0\0\0"[..]));
    assert_eq!(bytes(&crash(&disk, Crash::PowerDropAll, 1)).as_deref(), Some(&b"abc"[..]));
}

#[test]
fn torn_writes_are_kept_dropped_reordered_and_cut_at_sectors() {
    let (mut states, mut is_reordered, mut is_torn) = (BTreeSet::new(), false, false);
    for seed in 0..4_000 {
        let disk = disk();
        let file = named(&disk);
        write(&file, 0, &[b'.'; 2_048]).expect("written");
        sync(&file).expect("synced");
        write(&file, 100, &[b'a'; 1_000]).expect("written");
        write(&file, 1_500, &[b'b'; 300]).expect("written");
        let left = bytes(&crash(&disk, Crash::PowerTorn, seed)).expect("a file");
        assert_eq!(left.len(), 2_048);
        assert!(left[..100].iter().chain(&left[1_800..]).all(|byte| *byte == b'.'));
        let sectors = [&left[100..512], &left[512..1_024], &left[1_024..1_100]];
        assert!(sectors.iter().all(|sector| sector.iter().all(|byte| *byte == sector[0])));
        let (has_a, has_b) = (left[100] == b'a', left[1_500] == b'b');
        is_reordered |= !left.contains(&b'a') && has_b;
        is_torn |= has_a != (left[512] == b'a');
        states.insert(left);
    }
    assert!(is_reordered && is_torn);
    // Three sectors of the first write and two of the second: 32 states are possible.
    assert_eq!(states.len(), 32);
}

#[test]
fn a_name_is_durable_when_its_directory_was_synced() {
    let disk = disk();
    let file = open(&disk, FILE);
    write(&file, 0, b"bytes").expect("written");
    sync(&file).expect("synced");
    assert_eq!(bytes(&crash(&disk, Crash::PowerDropAll, 0)), None);

    let disk = self::disk();
    let file = named(&disk);
    write(&file, 0, b"bytes").expect("written");
    sync(&file).expect("synced");
    disk.life.core.unlink(disk.life.number, Path::new(FILE)).expect("removed");
    assert_eq!(bytes(&disk), None);
    let disk = crash(&disk, Crash::PowerDropAll, 0);
    assert_eq!(bytes(&disk).as_deref(), Some(&b"bytes"[..]), "it comes back");
    disk.life.core.unlink(disk.life.number, Path::new(FILE)).expect("removed");
    disk.life.core.sync_parent(disk.life.number, Path::new(FILE)).expect("synced");
    assert_eq!(bytes(&crash(&disk, Crash::PowerDropAll, 0)), None, "and not for ever");
}

#[test]
fn a_directory_that_is_lost_takes_what_is_in_it() {
    let disk = SimDisk::new(1);
    disk.life.core.make_dir(0, Path::new("/data")).expect("made");
    let file = named(&disk);
    write(&file, 0, b"bytes").expect("written");
    sync(&file).expect("synced");
    let disk = crash(&disk, Crash::PowerDropAll, 0);
    assert!(disk.contents().is_empty());
    assert!(disk.write_atomically(Path::new(FILE), b"x").is_err(), "its directory is gone");
}

#[test]
fn a_file_is_replaced_whole_whatever_operation_the_machine_stops_in() {
    for mode in Crash::ALL {
        for seed in 0..20 {
            for op in 1.. {
                let disk = disk();
                disk.write_atomically(Path::new(FILE), b"first").expect("written");
                disk.die_at_op(disk.ops() + op);
                let replaced = disk.write_atomically(Path::new(FILE), &[7; 3_000]);
                if replaced.is_ok() {
                    assert_eq!(op, 6, "create, write, sync, rename, directory sync");
                    break;
                }
                let death = disk.death().expect("it died");
                assert_eq!(death.op, disk.ops() + 1);
                let disk = crash(&disk, mode, seed);
                let left = bytes(&disk).expect("never missing");
                assert!(left == b"first" || left == [7; 3_000], "{mode:?} {seed} {death:?}");
                assert!(op < 4 || mode == Crash::PowerTorn || death.kind != OpKind::Write);
                disk.write_atomically(Path::new(FILE), b"third").expect("the next life can");
                assert_eq!(bytes(&disk).as_deref(), Some(&b"third"[..]));
            }
        }
    }
}

#[test]
fn what_a_failed_sync_should_have_covered_is_lost_although_the_next_sync_succeeds() {
    let disk = disk();
    let file = named(&disk);
    disk.arm(Fault::new(FaultKind::SyncError));
    write(&file, 0, b"first.").expect("written");
    assert_eq!(sync(&file), Err(Failure::Io));
    write(&file, 3, b"SECOND").expect("written");
    assert_eq!(sync(&file), Ok(()));
    assert_eq!(bytes(&disk).as_deref(), Some(&b"firSECOND"[..]), "reads see all of it");
    assert_eq!(disk.take_fired().len(), 1);
    let disk = crash(&disk, Crash::PowerDropAll, 0);
    assert_eq!(bytes(&disk).as_deref(), Some(&b"\0\0\0SECOND"[..]));
}

#[test]
fn faults_strike_their_operation_on_their_path() {
    let disk = disk();
    let file = named(&disk);
    let other = open(&disk, "/data/other");
    let is_file = |path: &Path| path == Path::new(FILE);
    disk.arm(Fault::new(FaultKind::NoSpace).at(2).times(2).on(is_file));
    let outcomes: Vec<_> = (0..4)
        .map(|_| {
            assert_eq!(write(&other, 0, b"x"), Ok(()));
            write(&file, 0, b"x")
        })
        .collect();
    assert_eq!(outcomes, [Ok(()), Err(Failure::Full), Err(Failure::Full), Ok(())]);
    disk.arm(Fault::new(FaultKind::ReadError).lasting());
    assert!(disk.read(Path::new(FILE)).is_err());
    assert!(disk.read(Path::new(FILE)).is_err());
    disk.disarm();
    assert_eq!(bytes(&disk).as_deref(), Some(&b"x"[..]));
    disk.arm(Fault::new(FaultKind::WriteError));
    assert_eq!(write(&file, 0, b"y"), Err(Failure::Io));
    let fired: Vec<_> = disk.take_fired().iter().map(|fired| fired.kind.name()).collect();
    assert_eq!(fired, ["no_space", "no_space", "read_error", "read_error", "write_error"]);
}

#[test]
fn a_slow_sync_is_told_and_the_world_may_crash_in_it() {
    let disk = disk();
    let file = named(&disk);
    disk.arm(Fault::new(FaultKind::SlowSync(Duration::from_secs(3))).at(2));
    let slept = Arc::new(AtomicU64::new(0));
    let (steered, total) = (disk.clone(), slept.clone());
    disk.on_sync(move |synced| {
        let ms = u64::try_from(synced.delay.as_millis()).expect("short");
        if total.fetch_add(ms, Ordering::Relaxed) + ms > 0 {
            steered.crash(Crash::Process, &mut || 0);
        }
    });
    assert_eq!(sync(&file), Ok(()));
    assert_eq!(sync(&file), Err(Failure::Dead));
    assert_eq!(slept.load(Ordering::Relaxed), 3_000);
}

#[test]
fn a_handle_of_an_earlier_life_is_dead() {
    let old = disk();
    let file = named(&old);
    let lock = old
        .lock(Path::new("/data/LOCK"), "old")
        .expect("a file")
        .ok()
        .unwrap_or_else(|| panic!("free"));
    let seen = old.lock(Path::new("/data/LOCK"), "x").expect("a file").err().expect("held");
    assert_eq!(seen, "old");
    let new = crash(&old, Crash::Process, 0);
    let held = new
        .lock(Path::new("/data/LOCK"), "new")
        .expect("a file")
        .ok()
        .unwrap_or_else(|| panic!("free again"));
    let before = new.digest();
    drop(lock);
    assert_eq!(write(&file, 0, b"late"), Err(Failure::Dead));
    assert!(old.write_atomically(Path::new(FILE), b"late").is_err());
    assert!(old.create_dir_all(Path::new("/late")).is_err() && old.read(Path::new(FILE)).is_err());
    assert!(new.lock(Path::new("/data/LOCK"), "x").expect("a file").is_err(), "still held");
    assert_eq!(new.digest(), before);
    drop(held);
    assert!(new.lock(Path::new("/data/LOCK"), "x").expect("a file").is_ok());
    assert!(old.revive_is_refused());
}

impl SimDisk {
    fn revive_is_refused(&self) -> bool {
        let disk = self.clone();
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(disk.revive()))).is_err()
    }
}

#[test]
fn paths_have_one_form() {
    for path in ["data/x", "/data/x", "./data//x", "/data/y/../x", "../data/x"] {
        assert_eq!(&*normalize(Path::new(path)), Path::new("/data/x"));
    }
}
