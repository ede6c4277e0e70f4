//! CIM `datetime` in its two texts: ISO 8601 in WS-Management replies, the 25-character form inside CIM-XML.
//!
//! Hyper-V refuses ISO text inside an embedded instance (return value 32768), and WS-Management never shows the CIM
//! form, so both are needed. Calendar arithmetic is done here, proleptic Gregorian, years 1 to 9999: hosts send
//! `1601-01-01T00:00:00Z` for "never". Follows DSP0004 2.2.1 and XML Schema 1.0 part 2.

use std::fmt;

const MICROS_PER_SECOND: i64 = 1_000_000;
const MICROS_PER_MINUTE: i64 = 60 * MICROS_PER_SECOND;
const SECONDS_PER_DAY: i64 = 86_400;
/// The CIM form has three digits for the offset, in minutes.
const OFFSET_MINUTES_MAX: i16 = 999;

/// A point in time with the offset from UTC in which it was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DateTime {
    unix_micros: i64,
    offset_minutes: i16,
}

impl DateTime {
    /// A point in time in UTC from microseconds since 1970; `None` outside of the years 1 to 9999.
    pub fn from_unix_micros(unix_micros: i64) -> Option<Self> {
        Self::with_offset(unix_micros, 0)
    }

    /// A point in time told at an offset from UTC of at most ±999 minutes.
    pub fn with_offset(unix_micros: i64, offset_minutes: i16) -> Option<Self> {
        let local = unix_micros.checked_add(i64::from(offset_minutes) * MICROS_PER_MINUTE)?;
        let (year, ..) = civil_from_days(local.div_euclid(SECONDS_PER_DAY * MICROS_PER_SECOND));
        let fits = offset_minutes.abs() <= OFFSET_MINUTES_MAX && (1..=9999).contains(&year);
        fits.then_some(Self { unix_micros, offset_minutes })
    }

    /// Microseconds since 1970-01-01 UTC.
    pub fn unix_micros(self) -> i64 {
        self.unix_micros
    }

    /// Milliseconds since 1970-01-01 UTC.
    pub fn unix_millis(self) -> i64 {
        self.unix_micros.div_euclid(1000)
    }

    /// Reads `2025-03-09T03:06:25Z`, with fraction and offset where given; without offset it is UTC.
    pub fn parse_iso(text: &str) -> Option<Self> {
        let (date, time) = text.trim().split_once('T')?;
        let [year, month, day] = split_numbers(date, '-', [4, 2, 2])?;
        let zone_at = time.find(['Z', '+', '-']).unwrap_or(time.len());
        let (clock, zone) = time.split_at(zone_at);
        let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
        let [hour, minute, second] = split_numbers(clock, ':', [2, 2, 2])?;
        let micros = parse_fraction(fraction)?;
        Self::from_parts([year, month, day, hour, minute, second], micros, parse_zone(zone)?)
    }

    /// Reads `20260102030405.000000+060`. Points with unknown digits (`*`) are not read.
    pub fn parse_cim(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        if bytes.len() != 25 || bytes[14] != b'.' || !text.is_ascii() {
            return None;
        }
        let mut parts = [0; 6];
        for (part, (from, to)) in parts.iter_mut().zip([(0, 4), (4, 6), (6, 8), (8, 10), (10, 12), (12, 14)])
        {
            *part = digits(&text[from..to])?;
        }
        let minutes = i16::try_from(digits(&text[22..25])?).ok()?;
        let offset = match bytes[21] {
            b'+' => minutes,
            b'-' => -minutes,
            _ => return None,
        };
        Self::from_parts(parts, digits(&text[15..21])?, offset)
    }

    /// ISO 8601 as hosts write it: seconds, a fraction only when there is one, `Z` or an offset.
    pub fn to_iso(self) -> String {
        let ([year, month, day, hour, minute, second], micros) = self.local_parts();
        let mut text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}");
        if micros != 0 {
            text.push_str(format!(".{micros:06}").trim_end_matches('0'));
        }
        match self.offset_minutes {
            0 => text.push('Z'),
            offset => {
                let sign = if offset < 0 { '-' } else { '+' };
                text.push_str(&format!("{sign}{:02}:{:02}", offset.abs() / 60, offset.abs() % 60));
            }
        }
        text
    }

    /// The 25-character CIM form.
    pub fn to_cim(self) -> String {
        let ([year, month, day, hour, minute, second], micros) = self.local_parts();
        let sign = if self.offset_minutes < 0 { '-' } else { '+' };
        let offset = self.offset_minutes.abs();
        format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}.{micros:06}{sign}{offset:03}")
    }

    fn from_parts(parts: [i64; 6], micros: i64, offset_minutes: i16) -> Option<Self> {
        let [year, month, day, hour, minute, second] = parts;
        let days = days_from_civil(year, month, day);
        let exists = civil_from_days(days) == (year, month, day);
        if !exists || hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let seconds = days * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second;
        let local = seconds * MICROS_PER_SECOND + micros;
        Self::with_offset(local - i64::from(offset_minutes) * MICROS_PER_MINUTE, offset_minutes)
    }

    fn local_parts(self) -> ([i64; 6], i64) {
        let local = self.unix_micros + i64::from(self.offset_minutes) * MICROS_PER_MINUTE;
        let (seconds, micros) = (local.div_euclid(MICROS_PER_SECOND), local.rem_euclid(MICROS_PER_SECOND));
        let (year, month, day) = civil_from_days(seconds.div_euclid(SECONDS_PER_DAY));
        let clock = seconds.rem_euclid(SECONDS_PER_DAY);
        ([year, month, day, clock / 3600, clock / 60 % 60, clock % 60], micros)
    }
}

impl fmt::Display for DateTime {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.to_iso())
    }
}

/// A length of time; CIM has eight digits for its days.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Interval {
    micros: u64,
}

/// One more than the greatest interval that fits eight digits of days.
const INTERVAL_MICROS_END: u64 = 100_000_000 * 86_400 * 1_000_000;

impl Interval {
    /// An interval of so many microseconds; `None` from 100,000,000 days on.
    pub fn from_micros(micros: u64) -> Option<Self> {
        (micros < INTERVAL_MICROS_END).then_some(Self { micros })
    }

    /// The length in microseconds.
    pub fn micros(self) -> u64 {
        self.micros
    }

    /// The length as a standard duration.
    pub fn to_duration(self) -> std::time::Duration {
        std::time::Duration::from_micros(self.micros)
    }

    /// Reads `P0DT0H1M40S`; years and months are refused because they have no fixed length.
    pub fn parse_iso(text: &str) -> Option<Self> {
        let body = text.trim().strip_prefix('P').filter(|body| !body.is_empty())?;
        let (days, clock) = body.split_once('T').unwrap_or((body, ""));
        let mut micros = sum_units(days, &[('D', 86_400)])?;
        micros = micros.checked_add(sum_units(clock, &[('H', 3600), ('M', 60), ('S', 1)])?)?;
        Self::from_micros(micros)
    }

    /// Reads `00000000000140.000000:000`.
    pub fn parse_cim(text: &str) -> Option<Self> {
        if text.len() != 25 || !text.is_ascii() || &text[14..15] != "." || &text[21..] != ":000" {
            return None;
        }
        let part =
            |from: usize, to: usize| digits(&text[from..to]).and_then(|value| u64::try_from(value).ok());
        let (hours, minutes, seconds) = (part(8, 10)?, part(10, 12)?, part(12, 14)?);
        if hours > 23 || minutes > 59 || seconds > 59 {
            return None;
        }
        let whole = part(0, 8)? * 86_400 + hours * 3600 + minutes * 60 + seconds;
        Self::from_micros(whole * 1_000_000 + part(15, 21)?)
    }

    /// `P0DT0H1M40S`, as hosts write it.
    pub fn to_iso(self) -> String {
        let (days, hours, minutes, seconds, micros) = self.parts();
        let mut text = format!("P{days}DT{hours}H{minutes}M{seconds}");
        if micros != 0 {
            text.push_str(format!(".{micros:06}").trim_end_matches('0'));
        }
        text.push('S');
        text
    }

    /// The 25-character CIM form.
    pub fn to_cim(self) -> String {
        let (days, hours, minutes, seconds, micros) = self.parts();
        format!("{days:08}{hours:02}{minutes:02}{seconds:02}.{micros:06}:000")
    }

    fn parts(self) -> (u64, u64, u64, u64, u64) {
        let seconds = self.micros / 1_000_000;
        (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60, self.micros % 1_000_000)
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.to_iso())
    }
}

/// Only ASCII digits; `str::parse` alone would take a sign. At most 18 digits, so that nothing overflows.
fn digits(text: &str) -> Option<i64> {
    let plain = (1..=18).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

fn split_numbers(text: &str, mark: char, widths: [usize; 3]) -> Option<[i64; 3]> {
    let mut parts = text.split(mark);
    let mut numbers = [0; 3];
    for (number, width) in numbers.iter_mut().zip(widths) {
        *number = parts.next().filter(|part| part.len() == width).and_then(digits)?;
    }
    parts.next().is_none().then_some(numbers)
}

/// Microseconds of a decimal fraction; finer digits are cut off.
fn parse_fraction(text: &str) -> Option<i64> {
    digits(text)?;
    digits(&format!("{text:0<6}")[..6])
}

fn parse_zone(zone: &str) -> Option<i16> {
    match zone {
        "" | "Z" => Some(0),
        _ => {
            let (hours, minutes) = zone[1..].split_once(':')?;
            let minutes = i16::try_from(digits(hours)?.checked_mul(60)? + digits(minutes)?).ok()?;
            Some(if zone.starts_with('-') { -minutes } else { minutes })
        }
    }
}

/// Sums `1H40M` style text, each unit at most once and in order, fractions in any of them.
fn sum_units(mut text: &str, units: &[(char, u64)]) -> Option<u64> {
    let mut micros = 0u64;
    for (letter, seconds) in units {
        let Some((number, rest)) = text.split_once(*letter) else { continue };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        let whole = u64::try_from(digits(whole)?).ok()?.checked_mul(1_000_000)?;
        let amount = whole.checked_add(u64::try_from(parse_fraction(fraction)?).ok()?)?;
        micros = micros.checked_add(amount.checked_mul(*seconds)?)?;
        text = rest;
    }
    text.is_empty().then_some(micros)
}

/// Days since 1970-01-01 of a proleptic Gregorian date, counting from March so that leap days come last.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The date of a day count; the inverse of [`days_from_civil`].
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}
