use proptest::prelude::*;

use super::super::in_memory;
use super::*;

const NO: ObjectNo = ObjectNo(7);

fn a_page(byte: u8) -> Page {
    vec![byte; SQL_PAGE_BYTES].into()
}

fn stored(connection: &Connection) -> StoredSql {
    load(connection, NO).expect("read").expect("whole")
}

#[test]
fn a_fold_takes_the_place_of_the_log_and_of_pages_past_its_end() {
    let connection = in_memory();
    let mut writes = Writes::prepare(&connection).expect("our own statements");
    let pages = |numbers: &[u32]| numbers.iter().map(|no| (*no, a_page(*no as u8))).collect();
    let first = SqlWrite::Fold { count: 3, pages: pages(&[1, 2, 3]) };
    writes.write(NO, 1, &first).expect("stored");
    let deltas = [(1, Delta::Whole(a_page(9))), (2, Delta::Ranges(vec![0..2, 9..10], a_page(8)))];
    let log = seal_log(place(NO, 1), 2, 3, &deltas);
    writes.write(NO, 2, &SqlWrite::Log { row: 1, deltas: log }).expect("stored");
    let found = stored(&connection);
    assert_eq!((found.count, found.log.len(), found.log[0].1.0), (3, 1, 3));
    writes.write(NO, 3, &SqlWrite::Fold { count: 2, pages: pages(&[2]) }).expect("stored");
    let found = stored(&connection);
    assert_eq!((found.count, found.log.len()), (2, 0));
    assert_eq!(page(&connection, NO, 2).expect("read"), Ok(a_page(2)));
    assert_eq!(page(&connection, NO, 3).expect("read"), Err(PageError::Missing { number: 3 }));
    assert_eq!(load(&connection, ObjectNo(8)).expect("read").expect("nothing").count, 0);
}

#[test]
fn a_row_of_the_log_that_is_missing_is_missed() {
    let connection = in_memory();
    let mut writes = Writes::prepare(&connection).expect("our own statements");
    for row in 1..=3 {
        let deltas = seal_log(place(NO, row), row.into(), 1, &[(1, Delta::Whole(a_page(1)))]);
        writes.write(NO, row.into(), &SqlWrite::Log { row, deltas }).expect("stored");
    }
    connection.execute("DELETE FROM sql_log WHERE commit_no = 2", []).expect("deleted");
    assert_eq!(
        load(&connection, NO).expect("read").expect_err("a gap"),
        PageError::LogGap { row: 2 }
    );
}

proptest! {
    #[test]
    fn a_row_of_the_log_round_trips(
        number in 1_u32..1 << 24,
        commit_no in 1_u64..1 << 60,
        count in 0..=SQL_PAGES_MAX,
        whole in any::<u8>(),
        ranges in prop::collection::vec((0_usize..1_000, 1_usize..24), 1..5),
    ) {
        let place = place(NO, number);
        let ranges: Vec<_> = ranges.into_iter().map(|(start, len)| start..start + len).collect();
        let deltas = [(3, Delta::Whole(a_page(whole))), (9, Delta::Ranges(ranges.clone(), a_page(5)))];
        let row = seal_log(place, commit_no, count, &deltas);
        let (found, pages) = open_log(place, commit_no, &row).expect("whole");
        prop_assert_eq!((found, pages.len()), (count, 2));
        prop_assert!(matches!(&pages[0], (3, Replayed::Whole(page)) if *page == a_page(whole)));
        let (9, Replayed::Ranges(parts)) = &pages[1] else { panic!("ranges were written") };
        let parts: Vec<_> = parts.iter().map(|(start, bytes)| *start..start + bytes.len()).collect();
        prop_assert_eq!(parts, ranges);
    }

    #[test]
    fn a_flipped_bit_is_damage(bit in 0_usize..8 * 1_040) {
        let place = place(NO, 1);
        let mut row = seal_log(place, 4, 1, &[(1, Delta::Whole(a_page(1)))]);
        let bit = bit % (row.len() * 8);
        row[bit / 8] ^= 1 << (bit % 8);
        let damaged = open_log(place, 4, &row).expect_err("damaged");
        prop_assert_eq!(damaged, PageError::LogChecksum { row: 1 });
        let mut row = seal(place, &a_page(1));
        let bit = bit % (row.len() * 8);
        row[bit / 8] ^= 1 << (bit % 8);
        prop_assert_eq!(open(place, &row), Err(PageError::Checksum { number: 1 }));
    }
}

#[test]
fn numbers_that_no_page_has_are_damage() {
    let log = |count: u32, number: u32| {
        let row = seal_log(place(NO, 1), 4, count, &[(number, Delta::Whole(a_page(1)))]);
        open_log(place(NO, 1), 4, &row).map(drop)
    };
    assert_eq!(log(SQL_PAGES_MAX, SQL_PAGES_MAX), Ok(()));
    for (count, number) in [(SQL_PAGES_MAX + 1, 1), (1, 0), (1, SQL_PAGES_MAX + 1)] {
        assert_eq!(log(count, number), Err(PageError::LogMeaning { row: 1 }), "{count} {number}");
    }
    let head = |count: u32| {
        let rest = [&[ENVELOPE][..], &count.to_le_bytes(), &[0; 8]].concat();
        open_head(place(NO, 0), &seal(place(NO, 0), &rest))
    };
    assert_eq!(head(SQL_PAGES_MAX), Ok(SQL_PAGES_MAX));
    assert_eq!(head(u32::MAX), Err(PageError::Count { pages: u32::MAX }));
}

#[test]
fn what_another_place_holds_is_damage_here() {
    let row = seal(place(NO, 1), &a_page(1));
    assert_eq!(open(place(NO, 2), &row), Err(PageError::Checksum { number: 2 }));
    let row = seal_log(place(NO, 1), 4, 1, &[]);
    assert!(open_log(place(NO, 1), 4, &row).is_ok());
    let moved = open_log(place(NO, 1), 5, &row).expect_err("another commit's");
    assert_eq!(moved, PageError::LogChecksum { row: 1 });
    let newer = open_log(place(NO, 1), 4, &sealed_newer()).expect_err("newer");
    assert!(newer.is_newer());
}

fn sealed_newer() -> Vec<u8> {
    let mut row = seal_log(place(NO, 1), 4, 1, &[]);
    row[CRC_BYTES] = 9;
    let crc = log_checksum(place(NO, 1), 4, &row);
    row[..CRC_BYTES].copy_from_slice(&crc.to_le_bytes());
    row
}
