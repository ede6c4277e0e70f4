//! Points and lengths of time in both of their texts.

use winremote::cim::{DateTime, Interval};

#[test]
fn a_point_in_time_reads_the_same_from_both_texts() {
    let iso = DateTime::parse_iso("2026-01-02T03:04:05.25+01:00").unwrap();
    let cim = DateTime::parse_cim("20260102030405.250000+060").unwrap();
    assert_eq!(iso, cim);
    assert_eq!(iso.unix_micros(), 1_767_319_445_250_000);
    assert_eq!(iso.to_iso(), "2026-01-02T03:04:05.25+01:00");
    assert_eq!(iso.to_cim(), "20260102030405.250000+060");
}

#[test]
fn the_never_of_windows_is_a_date_like_any_other() {
    let never = DateTime::parse_iso("1601-01-01T00:00:00Z").unwrap();
    assert_eq!(never.unix_micros(), -11_644_473_600_000_000);
    assert_eq!(never.to_cim(), "16010101000000.000000+000");
    assert_eq!(never.to_iso(), "1601-01-01T00:00:00Z");
}

#[test]
fn leap_days_exist_only_in_leap_years() {
    assert!(DateTime::parse_iso("2024-02-29T00:00:00Z").is_some());
    assert!(DateTime::parse_iso("2000-02-29T00:00:00Z").is_some());
    assert!(DateTime::parse_iso("2023-02-29T00:00:00Z").is_none());
    assert!(DateTime::parse_iso("1900-02-29T00:00:00Z").is_none());
}

#[test]
fn what_is_no_point_in_time_is_not_read() {
    for text in
        ["", "T", "2026-01-02", "2026-13-01T00:00:00Z", "2026-01-01T24:00:00Z", "+026-01-01T00:00:00Z"]
    {
        assert_eq!(DateTime::parse_iso(text), None, "{text}");
    }
    for text in ["", "20260102030405.000000", "20260102030405.******+000", "20260102030405,000000+000"] {
        assert_eq!(DateTime::parse_cim(text), None, "{text}");
    }
    assert_eq!(DateTime::parse_cim("0000010100000.0000000+000"), None);
    assert_eq!(DateTime::from_unix_micros(i64::MAX), None);
}

#[test]
fn a_length_of_time_reads_the_same_from_both_texts() {
    let iso = Interval::parse_iso("P0DT0H1M40S").unwrap();
    assert_eq!(Some(iso), Interval::parse_cim("00000000000140.000000:000"));
    assert_eq!(iso.to_duration().as_secs(), 100);
    assert_eq!((iso.to_iso().as_str(), iso.to_cim().as_str()), ("P0DT0H1M40S", "00000000000140.000000:000"));
}

#[test]
fn short_lengths_of_time_leave_parts_out() {
    assert_eq!(Interval::parse_iso("PT60S").unwrap().micros(), 60_000_000);
    assert_eq!(Interval::parse_iso("PT0.5S").unwrap().micros(), 500_000);
    assert_eq!(Interval::parse_iso("P2D").unwrap().micros(), 172_800_000_000);
}

#[test]
fn what_is_no_length_of_time_is_not_read() {
    for text in ["", "P", "60", "P1Y", "PT1M1H", "PT-1S", "PTS", "P99999999999999999D", "P100000000D"] {
        assert_eq!(Interval::parse_iso(text), None, "{text}");
    }
    for text in ["00000000000160.000000:000", "00000000240000.000000:000", "00000000000140.000000+000"] {
        assert_eq!(Interval::parse_cim(text), None, "{text}");
    }
}
