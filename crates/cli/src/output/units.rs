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

/// What people write for sizes: bytes, or a number with K, M, G or T (binary, `KiB` and `kb` mean the same).
pub(crate) fn parse_bytes(text: &str) -> Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = match unit.trim().to_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return Err("write it in bytes or with K, M, G or T, such as 100G".to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| "it does not begin with a number".to_owned())?;
    number.checked_mul(1 << shift).ok_or_else(|| "it is too large".to_owned())
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
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in
            [("512", 512), ("2M", 2 << 20), ("100G", 100 << 30), ("1 TiB", 1 << 40), ("4kb", 4096)]
        {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
        for text in ["", "G", "-1", "1.5G", "12X", "99999999999T"] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
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
