//! The time, as the wire and the files write it.

use std::time::{SystemTime, UNIX_EPOCH};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Unix milliseconds now.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// `2026-11-22T18:48:37Z` of a time in Unix milliseconds; UTC, whole seconds.
pub fn rfc3339(ms: u64) -> String {
    let seconds = i64::try_from(ms / 1000).unwrap_or(i64::MAX);
    OffsetDateTime::from_unix_timestamp(seconds)
        .ok()
        .and_then(|it| it.format(&Rfc3339).ok())
        .unwrap_or_else(|| format!("{seconds} s after 1970"))
}

/// A span of milliseconds for people: `45s`, `12m`, `3h 5m`, `2d 4h`.
pub fn span(ms: u64) -> String {
    let seconds = ms / 1000;
    match (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, minutes) => format!("{minutes}m"),
        (0, hours, minutes) => format!("{hours}h {minutes}m"),
        (days, hours, _) => format!("{days}d {hours}h"),
    }
}

/// Unix milliseconds of a time as people write it: `2026-11-23`, `2026-11-23T10:00`, with seconds, their parts, `Z` or
/// `+02:00` where they like. UTC where no zone is named.
pub fn parse(text: &str) -> Option<u64> {
    let (date, rest) = text.split_once(['T', 't', ' ']).unwrap_or((text, "0:00"));
    let mut parts = date.splitn(3, '-').map(number);
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    let month = time::Month::try_from(u8::try_from(month).ok()?).ok()?;
    let day = u8::try_from(day).ok()?;
    let midnight = time::Date::from_calendar_date(i32::try_from(year).ok()?, month, day).ok()?.midnight();
    let (clock, zone) = match rest.find(['Z', 'z', '+', '-']) {
        Some(at) => rest.split_at(at),
        None => (rest, "Z"),
    };
    let clock = clock.split_once('.').map_or(clock, |it| it.0);
    let seconds = seconds_of(clock, true)? - offset(zone)?;
    u64::try_from((midnight.assume_utc().unix_timestamp() + seconds) * 1000).ok()
}

/// A span as people write it: `45s`, `10m`, `2h`, `3d`, `1w`. Milliseconds.
pub fn parse_span(text: &str) -> Option<u64> {
    let unit = text.chars().next_back()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        'w' => 604_800,
        _ => return None,
    };
    let count = number(text.strip_suffix(unit)?)?;
    u64::try_from(count).ok()?.checked_mul(seconds)?.checked_mul(1000)
}

fn number(text: &str) -> Option<i64> {
    let plain = (1..=9).contains(&text.len()) && text.bytes().all(|it| it.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

fn offset(zone: &str) -> Option<i64> {
    match zone.split_at_checked(1)? {
        ("Z" | "z", "") => Some(0),
        ("+", it) => seconds_of(it, false),
        ("-", it) => seconds_of(it, false).map(|it| -it),
        _ => None,
    }
}

fn seconds_of(clock: &str, may_have_seconds: bool) -> Option<i64> {
    let mut parts = clock.split(':').map(number);
    let (hours, minutes) = (parts.next()??, parts.next()??);
    let seconds = match parts.next() {
        Some(it) if may_have_seconds => it?,
        Some(_) => return None,
        None => 0,
    };
    let is_time = hours < 24 && minutes < 60 && seconds < 60 && parts.next().is_none();
    is_time.then_some(hours * 3600 + minutes * 60 + seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_dates_read_like_a_person_would_write_them() {
        assert_eq!(span(45_900), "45s");
        assert_eq!(span(12 * 60_000), "12m");
        assert_eq!(span(11_100_000), "3h 5m");
        assert_eq!(span(187_200_000), "2d 4h");
        assert_eq!(rfc3339(1_795_365_636_645), "2026-11-22T16:40:36Z");
    }

    #[test]
    fn times_and_spans_are_read_as_people_write_them() {
        for (text, expected) in [
            ("2026-11-22T16:40:36Z", Some("2026-11-22T16:40:36Z")),
            ("2026-11-22T16:40", Some("2026-11-22T16:40:00Z")),
            ("2026-11-22 16:40:36.5+02:00", Some("2026-11-22T14:40:36Z")),
            ("2026-11-22T00:10-01:30", Some("2026-11-22T01:40:00Z")),
            ("2026-02-28", Some("2026-02-28T00:00:00Z")),
            ("2026-02-30", None),
            ("2026-11-22T25:00", None),
            ("2026-11-22T", None),
            ("2026-11-22T10", None),
            ("2026-11-22T10:00+", None),
            ("yesterday", None),
            ("", None),
        ] {
            assert_eq!(parse(text).map(rfc3339).as_deref(), expected, "{text}");
        }
        for (text, expected) in [
            ("10m", Some(600_000)),
            ("2h", Some(7_200_000)),
            ("1w", Some(604_800_000)),
            ("0s", Some(0)),
            ("m", None),
            ("10", None),
            ("-1h", None),
            ("1.5h", None),
            ("9é", None),
        ] {
            assert_eq!(parse_span(text), expected, "{text}");
        }
    }
}
