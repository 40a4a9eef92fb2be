//! Times of every kind, and the clocks of three zones.

use jiff::Timestamp;

use super::*;

fn at(text: &str) -> WallMs {
    let at: Timestamp = text.parse().expect("a timestamp");
    WallMs(u64::try_from(at.as_millisecond()).expect("after 1970"))
}

fn cron(expression: &str, zone: &str) -> When {
    When::cron(expression, zone).unwrap_or_else(|error| panic!("{expression} in {zone}: {error}"))
}

/// The times of an expression between two moments, by searching forwards, and the same by searching backwards.
fn between(expression: &str, zone: &str, from: &str, to: &str) -> Vec<WallMs> {
    let (when, from, to) = (cron(expression, zone), at(from), at(to));
    let mut found = when.next(from, 100);
    found.retain(|time| *time <= to);
    let first = found[0];
    let later = u32::try_from(found.len() - 1).expect("few");
    for (index, time) in found.iter().enumerate() {
        let index = u32::try_from(index).expect("few");
        assert_eq!(when.last_but(first, to, later - index), *time, "{expression}, backwards");
    }
    found
}

#[track_caller]
fn assert_times(found: &[WallMs], expected: &[&str]) {
    let shown: Vec<_> = found
        .iter()
        .map(|at| {
            let at = i64::try_from(at.0).expect("near");
            Timestamp::from_millisecond(at).expect("near").to_string()
        })
        .collect();
    assert_eq!(shown, expected);
}

#[test]
fn a_fixed_time_in_the_gap_runs_right_after_it() {
    // Berlin, 30 March 2025: 02:00 CET is followed by 03:00 CEST.
    let berlin =
        between("30 2 * * *", "Europe/Berlin", "2025-03-29T00:00:00Z", "2025-04-01T00:00:00Z");
    let expected = ["2025-03-29T01:30:00Z", "2025-03-30T01:00:00Z", "2025-03-31T00:30:00Z"];
    assert_times(&berlin, &expected);
    // New York, 9 March 2025: 02:00 EST is followed by 03:00 EDT.
    let york =
        between("30 2 * * *", "America/New_York", "2025-03-08T05:00:00Z", "2025-03-11T00:00:00Z");
    let expected = ["2025-03-08T07:30:00Z", "2025-03-09T07:00:00Z", "2025-03-10T06:30:00Z"];
    assert_times(&york, &expected);
    // Lord Howe, 5 October 2025: 02:00 +10:30 is followed by 02:30 +11:00.
    let howe = between(
        "15 2 * * *",
        "Australia/Lord_Howe",
        "2025-10-03T20:00:00Z",
        "2025-10-06T00:00:00Z",
    );
    assert_times(&howe, &["2025-10-04T15:30:00Z", "2025-10-05T15:15:00Z"]);
}

#[test]
fn an_interval_leaves_the_gap_out() {
    let berlin =
        between("*/30 2 * * *", "Europe/Berlin", "2025-03-29T01:00:00Z", "2025-03-31T01:00:00Z");
    let expected = ["2025-03-29T01:30:00Z", "2025-03-31T00:00:00Z", "2025-03-31T00:30:00Z"];
    assert_times(&berlin, &expected);
    let york =
        between("*/20 * * * *", "America/New_York", "2025-03-09T06:30:00Z", "2025-03-09T07:30:00Z");
    let expected = ["2025-03-09T06:40:00Z", "2025-03-09T07:00:00Z", "2025-03-09T07:20:00Z"];
    assert_times(&york, &expected);
    let howe = between(
        "*/15 * * * *",
        "Australia/Lord_Howe",
        "2025-10-04T15:10:00Z",
        "2025-10-04T15:50:00Z",
    );
    let expected = ["2025-10-04T15:15:00Z", "2025-10-04T15:30:00Z", "2025-10-04T15:45:00Z"];
    assert_times(&howe, &expected);
}

#[test]
fn a_fixed_time_in_the_fold_runs_once_at_the_first_of_both() {
    // Berlin, 26 October 2025: 03:00 CEST is followed by 02:00 CET.
    let berlin =
        between("30 2 * * *", "Europe/Berlin", "2025-10-25T00:00:00Z", "2025-10-28T00:00:00Z");
    let expected = ["2025-10-25T00:30:00Z", "2025-10-26T00:30:00Z", "2025-10-27T01:30:00Z"];
    assert_times(&berlin, &expected);
    // New York, 2 November 2025: 02:00 EDT is followed by 01:00 EST.
    let york =
        between("30 1 * * *", "America/New_York", "2025-11-01T05:00:00Z", "2025-11-04T00:00:00Z");
    let expected = ["2025-11-01T05:30:00Z", "2025-11-02T05:30:00Z", "2025-11-03T06:30:00Z"];
    assert_times(&york, &expected);
    // Lord Howe, 6 April 2025: 02:00 +11:00 is followed by 01:30 +10:30.
    let howe = between(
        "45 1 * * *",
        "Australia/Lord_Howe",
        "2025-04-04T15:00:00Z",
        "2025-04-07T00:00:00Z",
    );
    assert_times(&howe, &["2025-04-05T14:45:00Z", "2025-04-06T15:15:00Z"]);
}

#[test]
fn an_interval_runs_in_both_hours_of_the_fold() {
    let berlin =
        between("*/30 2 * * *", "Europe/Berlin", "2025-10-25T12:00:00Z", "2025-10-26T12:00:00Z");
    let expected = [
        "2025-10-26T00:00:00Z",
        "2025-10-26T00:30:00Z",
        "2025-10-26T01:00:00Z",
        "2025-10-26T01:30:00Z",
    ];
    assert_times(&berlin, &expected);
    let york =
        between("15 * * * *", "America/New_York", "2025-11-02T05:00:00Z", "2025-11-02T08:00:00Z");
    let expected = ["2025-11-02T05:15:00Z", "2025-11-02T06:15:00Z", "2025-11-02T07:15:00Z"];
    assert_times(&york, &expected);
    let howe = between(
        "45 * * * *",
        "Australia/Lord_Howe",
        "2025-04-05T14:00:00Z",
        "2025-04-05T16:30:00Z",
    );
    let expected = ["2025-04-05T14:45:00Z", "2025-04-05T15:15:00Z", "2025-04-05T16:15:00Z"];
    assert_times(&howe, &expected);
}

#[test]
fn what_is_no_cron_expression_is_told_by_field_and_place() {
    for (expression, told) in [
        (
            "99 * * * *",
            "field 1 (minute) of the cron expression `99 * * * *`, at character 1, is `99`",
        ),
        (
            "0 25 * * MON",
            "field 2 (hour) of the cron expression `0 25 * * MON`, at character 3, is `25`",
        ),
        (
            "0  9 * * FOO",
            "field 5 (day of week) of the cron expression `0  9 * * FOO`, at character 10, is `FOO`",
        ),
        ("61 0 9 * * MON", "field 1 (second)"),
        ("0 9 * 13 *", "field 4 (month)"),
        ("*/0 * * * *", "field 1 (minute)"),
        ("5-1 * * * *", "field 1 (minute)"),
        (", * * * *", "field 1 (minute)"),
        ("0 0 , * * *", "field 3 (hour)"),
        ("0 0 * ,, *", "field 4 (month)"),
        ("* * *", "has 3 fields"),
        ("", "has 0 fields"),
        ("@never", "no short form"),
        ("0 0 30 2 *", "no day ever fits"),
        ("0 ä * * *", "field 2 (hour)"),
    ] {
        let error = When::cron(expression, "UTC").expect_err(expression);
        assert_eq!(error.code(), "schedule.malformed", "{error}");
        assert!(error.message().contains(told), "{error}");
    }
    let long = When::cron(&"0,".repeat(200), "UTC").expect_err("it is long");
    assert!(long.message().contains("400 bytes, the limit is 256"), "{long}");
    for zone in ["Europe/Atlantis", "", "../etc/passwd", "+01:00"] {
        let error = When::cron("* * * * *", zone).expect_err(zone);
        assert_eq!(error.code(), "zone.unknown", "{error}");
        assert!(error.message().contains(zone), "{error}");
    }
}

#[test]
fn a_period_counts_from_when_it_is_set() {
    let when = When::every(Duration::from_millis(250)).expect("long enough");
    assert_eq!(when.next(WallMs(1_000), 3), [1_250, 1_500, 1_750].map(WallMs));
    let set = when.set_at(WallMs(1_000));
    assert_eq!(set.next(WallMs(0), 2), [1_250, 1_500].map(WallMs));
    assert_eq!(set.after(WallMs(1_250)), Some(WallMs(1_500)));
    assert_eq!(set.after(WallMs(1_499)), Some(WallMs(1_500)));
    assert_eq!(set.last(WallMs(1_250), WallMs(2_100)), WallMs(2_000));
    assert_eq!(set.last_but(WallMs(1_250), WallMs(2_100), 2), WallMs(1_500));
    assert_eq!(set.last_but(WallMs(1_250), WallMs(2_100), 9), WallMs(1_250));
    let short = When::every(Duration::from_millis(99)).expect_err("too short");
    assert!(short.message().contains("99ms, possible are 100ms"), "{short}");
    assert!(When::every(Duration::MAX).is_err());
}

#[test]
fn once_is_once() {
    let when = When::once(WallMs(700));
    assert_eq!(when.next(WallMs(0), 5), [WallMs(700)]);
    assert_eq!(when.first(WallMs(900)), Some(WallMs(700)), "what is past is at once");
    assert_eq!(when.after(WallMs(700)), None);
    assert_eq!(when.last(WallMs(700), WallMs(900)), WallMs(700));
}

#[test]
fn far_ends_of_time_are_no_panic() {
    for when in [
        When::every(Duration::from_secs(3_155_760_000)).expect("a hundred years").set_at(WallMs(5)),
        cron("0 0 29 2 *", "Pacific/Apia"),
        When::once(WallMs(u64::MAX)),
    ] {
        for edge in [0, 1, u64::MAX / 2, u64::MAX - 1, u64::MAX] {
            drop(when.next(WallMs(edge), 3));
            assert!(when.last(WallMs(7), WallMs(edge)) >= WallMs(7));
        }
    }
}

#[test]
fn the_next_ten_are_in_order_and_a_preview_is_bounded() {
    let when = cron("0 9 * * MON", "Europe/Berlin");
    let ten = when.next(at("2025-10-01T00:00:00Z"), 10);
    assert_eq!(ten.len(), 10);
    assert!(ten.is_sorted());
    assert_times(&ten[..1], &["2025-10-06T07:00:00Z"]);
    assert_times(&ten[9..], &["2025-12-08T08:00:00Z"]);
    assert_eq!(when.next(WallMs(0), usize::MAX).len(), SCHEDULE_PREVIEW_MAX);
    assert_eq!(when.to_string(), "0 9 * * MON in Europe/Berlin");
}
