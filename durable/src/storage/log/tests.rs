//! What sweeps take and leave, of objects that write and fold in any order.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::limits::SQL_PAGE_BYTES;
use crate::sql::Page;
use crate::storage::rows::in_memory;
use crate::storage::rows::sql::{Chain, SqlWrite, Writes};

/// A shard without a writer: what it stores is stored at once.
struct Bench {
    connection: Connection,
    log: Log,
    /// The rows that each object ever had, and how many of them are folded.
    objects: BTreeMap<i64, (Vec<u64>, usize)>,
    commits: u64,
}

impl Bench {
    /// `bytes_min`: what is added before the first sweep.
    fn new(bytes_min: u64) -> Self {
        let log = Log { bytes_min, ..Log::new(0) };
        Bench { connection: in_memory(), log, objects: BTreeMap::new(), commits: 0 }
    }

    fn write(&mut self, object: i64, write: &SqlWrite) {
        self.commits += 1;
        let highest = self.log.highest(&self.connection).expect("looked");
        let (rows, folded) = self.objects.entry(object).or_default();
        let mut chain = Chain { end: rows.last().copied().unwrap_or(0), highest };
        let mut writes = Writes::prepare(&self.connection).expect("our own statements");
        let written = writes.write(ObjectNo(object), self.commits, write, Some(&mut chain));
        written.expect("stored");
        match write {
            SqlWrite::Log { .. } => rows.push(chain.end),
            SqlWrite::Fold { .. } => *folded = rows.len(),
        }
        let end = log::seal_end(ObjectNo(object), chain.end);
        let sql = "INSERT OR REPLACE INTO snapshots VALUES (?1, 1, 1, ?2, x'', NULL)";
        self.connection.execute(sql, [object, end]).expect("stored");
        self.log.on_added(chain.highest, write.bytes());
    }

    fn log(&mut self, object: i64) {
        self.write(object, &SqlWrite::Log { deltas: log::encode(1, &[]) });
    }

    fn fold(&mut self, object: i64) {
        let page: Page = vec![0; SQL_PAGE_BYTES].into();
        self.write(object, &SqlWrite::Fold { count: 1, pages: vec![(1, page)] });
    }

    fn sweep(&mut self) {
        self.log.sweep(&self.connection).expect("swept");
    }

    fn erase(&mut self, object: i64) {
        sql::erase(&self.connection, ObjectNo(object)).expect("erased");
        let sql = "DELETE FROM snapshots WHERE object_no = ?1";
        self.connection.execute(sql, [object]).expect("erased");
        self.objects.remove(&object);
    }

    /// The rows that are there, by object.
    fn rows(&self) -> BTreeMap<i64, Vec<u64>> {
        let mut rows = BTreeMap::<i64, Vec<u64>>::new();
        for row in log::seen(&self.connection, (0, 1 << 40), 1 << 20).expect("read") {
            rows.entry(row.object_no.0).or_default().push(row.log_no);
        }
        rows
    }

    fn check(&self) {
        let mut found = self.rows();
        for (object, (rows, folded)) in &self.objects {
            let left = found.remove(object).unwrap_or_default();
            assert!(rows.ends_with(&left), "{left:?} of {rows:?} is not the end of it");
            assert!(left.len() >= rows.len() - folded, "{left:?} of {rows:?}, {folded} folded");
            let stored = sql::load(&self.connection, ObjectNo(*object)).expect("read");
            assert_eq!(stored.expect("whole").log.len(), rows.len() - folded);
        }
        assert!(found.is_empty(), "rows of nobody: {found:?}");
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Log(i64),
    Fold(i64),
    Sweep,
    Boot,
    Erase(i64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (1_i64..5).prop_map(Step::Log),
        2 => (1_i64..5).prop_map(Step::Fold),
        4 => Just(Step::Sweep),
        1 => Just(Step::Boot),
        1 => (1_i64..5).prop_map(Step::Erase),
    ]
}

proptest! {
    #[test]
    fn what_is_left_is_the_end_of_each_chain(
        bytes_min in 0_u64..100,
        steps in prop::collection::vec(step(), 0..200),
    ) {
        let mut bench = Bench::new(bytes_min);
        bench.connection.execute("INSERT INTO meta VALUES (1, 1, 0, 1, x'', 1, 0, 0)", []).expect("stored");
        let mut given = 0;
        for step in steps {
            match step {
                Step::Log(object) => bench.log(object),
                Step::Fold(object) => bench.fold(object),
                Step::Sweep => bench.sweep(),
                // What the writer knew is lost, and numbers are counted from what is stored.
                Step::Boot => bench.log = Log { bytes_min, ..Log::new(0) },
                Step::Erase(object) => bench.erase(object),
            }
            bench.check();
            let highest = log::highest(&bench.connection).expect("read");
            prop_assert!(highest >= given, "a number is given twice");
            given = highest;
        }
    }
}

#[test]
fn folded_rows_are_no_more_than_the_others() {
    let mut bench = Bench::new(100);
    for round in 0..2_000 {
        for object in 1..=20 {
            if (round + object) % 10 == 0 { bench.fold(object) } else { bench.log(object) }
        }
        bench.sweep();
    }
    bench.check();
    let left: usize = bench.rows().values().map(Vec::len).sum();
    assert!((90..400).contains(&left), "{left} rows of 36,000 are left, about 100 are needed");
}

#[test]
fn an_object_that_is_idle_keeps_its_rows_and_stands_in_nobodys_way() {
    let mut bench = Bench::new(0);
    bench.log(1);
    for round in 1..500 {
        if round % 10 == 0 {
            bench.fold(2)
        } else {
            bench.log(2)
        }
        bench.sweep();
        bench.check();
    }
    let rows = bench.rows();
    assert_eq!(rows[&1], [1]);
    assert!(rows[&2].len() < 50, "{} rows", rows[&2].len());
}

#[test]
fn a_fold_covers_rows_that_were_swept_when_all_behind_them_is_erased() {
    let mut bench = Bench::new(0);
    bench
        .connection
        .execute("INSERT INTO meta VALUES (1, 1, 0, 1, x'', 1, 0, 0)", [])
        .expect("stored");
    bench.log(2);
    bench.fold(2);
    bench.log(3);
    bench.sweep();
    bench.erase(3);
    bench.fold(2);
    bench.check();
}
