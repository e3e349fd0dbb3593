//! The two ways that AWS writes a time: ISO 8601 for when credentials expire, and the HTTP `Date` header.
//!
//! Both are fixed in width and always UTC, so that two short readers do without a calendar library.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Reads `2026-11-24T06:34:10Z`, with or without a fraction of a second, which is dropped.
pub fn from_iso8601(text: &str) -> Option<SystemTime> {
    let (seconds, zone) = (text.get(..19)?, text.get(19..)?);
    let fraction = zone.strip_suffix('Z')?;
    let digits = fraction.strip_prefix('.').unwrap_or(fraction);
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (date, time) = seconds.split_once('T')?;
    let mut date = date.splitn(3, '-');
    let (year, month, day) = (number(date.next()?)?, number(date.next()?)?, number(date.next()?)?);
    at(year, month, day, time)
}

/// Reads `Tue, 24 Nov 2026 06:34:10 GMT`: RFC 9110, section 5.6.7, the form that senders must use.
pub fn from_http_date(text: &str) -> Option<SystemTime> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut words = text.strip_suffix(" GMT")?.split(' ').skip(1);
    let (day, month, year, time) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let month = MONTHS.iter().position(|name| *name == month)? as u64 + 1;
    at(number(year)?, month, number(day)?, time)
}

fn at(year: u64, month: u64, day: u64, time: &str) -> Option<SystemTime> {
    let mut time = time.splitn(3, ':');
    let (hour, minute, second) = (number(time.next()?)?, number(time.next()?)?, number(time.next()?)?);
    let in_range = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    let seconds = (days_since_epoch(year, month, day) * 24 + hour) * 3600 + minute * 60 + second;
    in_range.then(|| UNIX_EPOCH + Duration::from_secs(seconds))
}

/// Days from 1970-01-01. The year is counted from March, so that the leap day comes last and months need no table.
fn days_since_epoch(year: u64, month: u64, day: u64) -> u64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year.saturating_sub(1), month + 9) };
    let days_before_month = (153 * month + 2) / 5;
    (year * 365 + year / 4 - year / 100 + year / 400 + days_before_month + day).saturating_sub(719_469)
}

fn number(text: &str) -> Option<u64> {
    let digits = (1..=4).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(time: Option<SystemTime>) -> Option<u64> {
        time.map(|time| time.duration_since(UNIX_EPOCH).unwrap().as_secs())
    }

    #[test]
    fn both_forms() {
        for (iso, http, expected) in [
            ("1970-01-01T00:00:00Z", "Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("2000-02-29T12:00:00Z", "Tue, 29 Feb 2000 12:00:00 GMT", 951_825_600),
            ("2013-05-24T00:00:00Z", "Fri, 24 May 2013 00:00:00 GMT", 1_369_353_600),
            ("2026-11-24T06:34:10Z", "Tue, 24 Nov 2026 06:34:10 GMT", 1_795_502_050),
            ("2100-03-01T00:00:00Z", "Mon, 01 Mar 2100 00:00:00 GMT", 4_107_542_400),
        ] {
            assert_eq!(seconds(from_iso8601(iso)), Some(expected), "{iso}");
            assert_eq!(seconds(from_http_date(http)), Some(expected), "{http}");
        }
        assert_eq!(seconds(from_iso8601("1970-01-01T00:00:01.987Z")), Some(1));
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let mut expected = 0;
        for year in 1970..2110 {
            for month in 1..=12 {
                let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
                let days = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
                for day in 1..=days[month as usize - 1] {
                    assert_eq!(days_since_epoch(year, month, day), expected, "{year}-{month}-{day}");
                    expected += 1;
                }
            }
        }
    }

    #[test]
    fn anything_else_is_no_date() {
        for bad in [
            "",
            "Z",
            "2026-11-24",
            "2026-11-24T06:34:10",
            "2026-11-24T06:34:10+01:00",
            "2026-13-24T06:34:10Z",
            "2026-11-24T24:34:10Z",
            "-026-11-24T06:34:10Z",
            "2026-11-24T06:34:10.xZ",
            "2026-11-24T06:34:1éZ",
            "0000-01-01T00:00:00Z",
        ] {
            assert_eq!(from_iso8601(bad), None, "{bad:?}");
        }
        for bad in ["", " GMT", "Tue, 24 Nov 2026 06:34:10", "Tue, 24 Nox 2026 06:34:10 GMT", "1 2 3 4 5 GMT"]
        {
            assert_eq!(from_http_date(bad), None, "{bad:?}");
        }
    }
}
