use proptest::prelude::*;

use super::super::in_memory;
use super::*;
use crate::kernel::pages::{Delta, Replayed};
use crate::storage::rows::unsigned;

const NO: ObjectNo = ObjectNo(7);

fn a_page(byte: u8) -> Page {
    vec![byte; SQL_PAGE_BYTES].into()
}

fn stored(connection: &Connection) -> StoredSql {
    load(connection, NO).expect("read").expect("whole")
}

/// The snapshot of an object whose chain ends with this row.
fn lead_to(connection: &Connection, object_no: ObjectNo, log_no: u64) {
    let sql = "INSERT OR REPLACE INTO snapshots VALUES (?1, 1, 1, ?2, x'', NULL)";
    let row = (object_no.0, log::seal_end(object_no, log_no));
    connection.execute(sql, row).expect("stored");
}

/// What is stored of an object, by commits from 1 on.
struct Bench {
    connection: Connection,
    chain: Chain,
    commit_no: u64,
}

impl Bench {
    fn new() -> Self {
        Bench { connection: in_memory(), chain: Chain { end: 0, highest: 0 }, commit_no: 0 }
    }

    fn write(&mut self, write: &SqlWrite) {
        self.commit_no += 1;
        let mut writes = Writes::prepare(&self.connection).expect("our own statements");
        let chain = Some(&mut self.chain);
        writes.write(NO, self.commit_no, write, chain).expect("stored");
        lead_to(&self.connection, NO, self.chain.end);
    }

    fn log(&mut self, count: u32, deltas: &[(u32, Delta<Page>)]) {
        self.write(&SqlWrite::Log { deltas: log::encode(count, deltas) });
    }

    fn fold(&mut self, count: u32, numbers: &[u32]) {
        let pages = numbers.iter().map(|no| (*no, a_page(*no as u8))).collect();
        self.write(&SqlWrite::Fold { count, pages });
    }

    fn rows(&self) -> u64 {
        let sql = "SELECT count(*) FROM sql_log";
        self.connection.query_row(sql, [], |row| unsigned(row, 0)).expect("counted")
    }
}

#[test]
fn a_fold_takes_the_place_of_the_log_and_of_pages_past_its_end() {
    let mut bench = Bench::new();
    bench.fold(3, &[1, 2, 3]);
    let deltas = [(1, Delta::Whole(a_page(9))), (2, Delta::Ranges(vec![0..2, 9..10], a_page(8)))];
    bench.log(3, &deltas);
    let found = stored(&bench.connection);
    assert_eq!((found.count, found.log.len(), found.log[0].1.0), (3, 1, 3));
    bench.fold(2, &[2]);
    let connection = &bench.connection;
    let found = stored(connection);
    assert_eq!((found.count, found.log.len()), (2, 0));
    assert_eq!(page(connection, NO, 2).expect("read"), Ok(a_page(2)));
    assert_eq!(page(connection, NO, 3).expect("read"), Err(PageError::Missing { number: 3 }));
    assert_eq!(load(connection, ObjectNo(8)).expect("read").expect("nothing").count, 0);
    bench.log(2, &deltas[..1]);
    assert_eq!(stored(&bench.connection).log.len(), 1, "the log goes on");
    assert_eq!(bench.rows(), 2, "a row that is folded is left to a sweep");
}

#[test]
fn a_row_of_the_log_that_is_missing_is_missed() {
    let mut bench = Bench::new();
    for _ in 0..3 {
        bench.log(1, &[(1, Delta::Whole(a_page(1)))]);
    }
    assert_eq!(stored(&bench.connection).log.len(), 3);
    for row in [2_i64, 3, 1] {
        bench.connection.execute_batch("BEGIN").expect("begun");
        let sql = "DELETE FROM sql_log WHERE log_no = ?1";
        bench.connection.execute(sql, [row]).expect("deleted");
        let found = load(&bench.connection, NO).expect("read").expect_err("a gap");
        assert_eq!(found, PageError::LogGap { row: row.unsigned_abs() });
        bench.connection.execute_batch("ROLLBACK").expect("undone");
    }
}

#[test]
fn an_end_that_is_not_the_newest_row_is_damage() {
    let mut bench = Bench::new();
    for _ in 0..3 {
        bench.log(1, &[(1, Delta::Whole(a_page(1)))]);
    }
    for bit in 0..64 {
        let flip = "UPDATE snapshots SET log_end = (log_end | ?1) - (log_end & ?1)";
        bench.connection.execute(flip, [1_i64 << bit]).expect("flipped");
        let found = load(&bench.connection, NO).expect("read").expect_err("damaged");
        assert_eq!(found, PageError::LogEnd, "bit {bit}");
        bench.connection.execute(flip, [1_i64 << bit]).expect("flipped back");
    }
    lead_to(&bench.connection, NO, 2);
    let found = check(&bench.connection, NO, 3).expect("read");
    assert_eq!(found, Err(PageError::LogStray { rows: 1 }), "whoever verifies sees the rest");
}

#[test]
fn a_row_of_another_object_is_no_part_of_a_chain() {
    let mut bench = Bench::new();
    bench.log(1, &[(1, Delta::Whole(a_page(1)))]);
    let other = ObjectNo(8);
    lead_to(&bench.connection, other, 1);
    let found = load(&bench.connection, other).expect("read").expect_err("another's");
    assert_eq!(found, PageError::LogMeaning { row: 1 });
}

#[test]
fn an_erased_object_leaves_no_row_and_no_number() {
    for gap in [None, Some(1), Some(4)] {
        let mut bench = Bench::new();
        for _ in 0..3 {
            bench.log(1, &[(1, Delta::Whole(a_page(1)))]);
        }
        bench.fold(1, &[1]);
        bench.log(1, &[(1, Delta::Whole(a_page(2)))]);
        let sql = "INSERT INTO meta VALUES (1, 1, 0, 1, x'', 1, 0, 0)";
        bench.connection.execute(sql, []).expect("stored");
        let sql = "DELETE FROM sql_log WHERE log_no = ?1";
        // The first row may have gone in a sweep, the last one only by damage.
        bench.connection.execute(sql, [gap]).expect("deleted");
        erase(&bench.connection, NO).expect("erased");
        assert_eq!(bench.rows(), 0, "without {gap:?}");
        assert_eq!(log::highest(&bench.connection).expect("read"), 4, "4 is given to no other");
    }
}

proptest! {
    #[test]
    fn a_row_of_the_log_round_trips(
        numbers in (1_u64..1 << 40, 0_u64..1 << 40),
        commit_no in 1_u64..1 << 60,
        count in 0..=SQL_PAGES_MAX,
        whole in any::<u8>(),
        ranges in prop::collection::vec((0_usize..1_000, 1_usize..24), 1..5),
    ) {
        let (log_no, before_no) = numbers;
        let head = Head { log_no, object_no: NO, commit_no, before_no };
        let ranges: Vec<_> = ranges.into_iter().map(|(start, len)| start..start + len).collect();
        let deltas = [(3, Delta::Whole(a_page(whole))), (9, Delta::Ranges(ranges.clone(), a_page(5)))];
        let mut row = log::encode(count, &deltas);
        log::seal(&head, &mut row);
        let (found, pages) = log::open(&head, &row).expect("whole");
        prop_assert_eq!((found, pages.len()), (count, 2));
        prop_assert!(matches!(&pages[0], (3, Replayed::Whole(page)) if *page == a_page(whole)));
        let (9, Replayed::Ranges(parts)) = &pages[1] else { panic!("ranges were written") };
        let parts: Vec<_> = parts.iter().map(|(start, bytes)| *start..start + bytes.len()).collect();
        prop_assert_eq!(parts, ranges);
    }

    #[test]
    fn a_flipped_bit_is_damage(bit in 0_usize..8 * 1_040) {
        let mut row = sealed(1, &[(1, Delta::Whole(a_page(1)))]);
        let bit = bit % (row.len() * 8);
        row[bit / 8] ^= 1 << (bit % 8);
        let damaged = log::open(&HEAD, &row).expect_err("damaged");
        prop_assert_eq!(damaged, PageError::LogChecksum { row: 1 });
        let place = place(NO, 1);
        let mut row = seal(place, &a_page(1));
        let bit = bit % (row.len() * 8);
        row[bit / 8] ^= 1 << (bit % 8);
        prop_assert_eq!(open(place, &row), Err(PageError::Checksum { number: 1 }));
    }
}

const HEAD: Head = Head { log_no: 1, object_no: NO, commit_no: 4, before_no: 0 };

/// The row of that head.
fn sealed(count: u32, deltas: &[(u32, Delta<Page>)]) -> Vec<u8> {
    let mut row = log::encode(count, deltas);
    log::seal(&HEAD, &mut row);
    row
}

#[test]
fn numbers_that_no_page_has_are_damage() {
    let log = |count: u32, number: u32| {
        let row = sealed(count, &[(number, Delta::Whole(a_page(1)))]);
        log::open(&HEAD, &row).map(drop)
    };
    assert_eq!(log(SQL_PAGES_MAX, SQL_PAGES_MAX), Ok(()));
    for (count, number) in [(SQL_PAGES_MAX + 1, 1), (1, 0), (1, SQL_PAGES_MAX + 1)] {
        assert_eq!(log(count, number), Err(PageError::LogMeaning { row: 1 }), "{count} {number}");
    }
    let head = |count: u32| {
        let rest = [&[ENVELOPE][..], &count.to_le_bytes(), &[0; 8], &[7, 0, 0, 0, 0, 0, 0, 0]];
        open_head(place(NO, 0), &seal(place(NO, 0), &rest.concat()))
    };
    assert_eq!(head(SQL_PAGES_MAX), Ok(Fold { count: SQL_PAGES_MAX, log_no: 7 }));
    assert_eq!(head(u32::MAX), Err(PageError::Count { pages: u32::MAX }));
}

#[test]
fn what_another_place_holds_is_damage_here() {
    let row = seal(place(NO, 1), &a_page(1));
    assert_eq!(open(place(NO, 2), &row), Err(PageError::Checksum { number: 2 }));
    let row = sealed(1, &[]);
    assert!(log::open(&HEAD, &row).is_ok());
    for head in [
        Head { log_no: 2, ..HEAD },
        Head { object_no: ObjectNo(8), ..HEAD },
        Head { commit_no: 5, ..HEAD },
        Head { before_no: 1, ..HEAD },
    ] {
        let moved = log::open(&head, &row).expect_err("another row's");
        assert_eq!(moved, PageError::LogChecksum { row: head.log_no });
    }
    let mut newer = log::encode(1, &[]);
    newer[CRC_BYTES] = 9;
    log::seal(&HEAD, &mut newer);
    assert!(log::open(&HEAD, &newer).expect_err("newer").is_newer());
}
