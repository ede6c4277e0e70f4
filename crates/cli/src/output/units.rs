//! Figures as people read them: binary units for bytes, short durations, moments in UTC.

use std::time::Duration;

/// `1536` becomes `1.5 KiB`; exact bytes below one KiB.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut value = count as f64 / 1024.0;
    let mut unit = 0;
    // 1023.95 would print as "1024.0", so the step up happens where rounding would reach it.
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// `1.2 s`, `3 min 05 s`, `2 h 10 min`.
pub(crate) fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..=59 => format!("{:.1} s", time.as_secs_f64()),
        60..=3599 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// A moment as `2026-11-22 07:00:12Z`. UTC, because a list of restore points from several sites must sort.
pub(crate) fn moment(unix_ms: u64) -> String {
    let stamp = i64::try_from(unix_ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    match stamp {
        Some(stamp) => stamp.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
        None => format!("{unix_ms} ms after 1970"),
    }
}

/// `3 disks`, `1 disk`.
pub(crate) fn count(number: u64, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}

/// `part` of `whole` in percent, for people; a whole of nothing is nothing.
pub(crate) fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "0 %".to_owned();
    }
    let share = part as f64 * 100.0 / whole as f64;
    if share >= 10.0 { format!("{share:.0} %") } else { format!("{share:.1} %") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_step_up_before_rounding_shows_1024() {
        let shown: Vec<String> =
            [0, 1023, 1024, 1536, 1_048_575, 1 << 20, 64 << 30].into_iter().map(bytes).collect();
        assert_eq!(shown, ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "1.0 MiB", "1.0 MiB", "64.0 GiB"]);
    }

    #[test]
    fn durations_use_at_most_two_units() {
        let shown: Vec<String> =
            [500, 61_000, 7_260_000].into_iter().map(|ms| duration(Duration::from_millis(ms))).collect();
        assert_eq!(shown, ["0.5 s", "1 min 01 s", "2 h 01 min"]);
    }

    #[test]
    fn moments_are_utc_and_survive_nonsense() {
        assert_eq!(moment(1_700_000_000_000), "2023-11-14 22:13:20Z");
        assert_eq!(moment(u64::MAX), format!("{} ms after 1970", u64::MAX));
    }

    #[test]
    fn a_share_of_nothing_is_nothing() {
        assert_eq!(percent(5, 0), "0 %");
        assert_eq!((percent(1, 100), percent(50, 100)), ("1.0 %".into(), "50 %".into()));
    }
}
