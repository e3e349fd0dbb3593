//! Times as text: RFC 3339 for the log and for when credentials expire, and the HTTP `Date` header.
//!
//! All are in UTC, so a few lines of the Gregorian calendar do without a calendar library. Years are taken to begin in March:
//! the leap day is then a year's last, and the lengths of the months follow a formula.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// 400 years, after which the calendar repeats itself.
const DAYS_OF_400_YEARS: u64 = 146_097;

/// From 0000-03-01 to 1970-01-01.
const DAYS_BEFORE_EPOCH: u64 = 719_468;

/// Writes `2026-11-24T06:34:10.123Z`: RFC 3339 to the millisecond. A time before 1970 is written as its beginning.
pub fn to_rfc3339(time: SystemTime) -> String {
    let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = since_epoch.as_secs();
    let (year, month, day) = date_of_day(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let millisecond = since_epoch.subsec_millis();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millisecond:03}Z")
}

/// Reads `2026-11-24T06:34:10Z`, with or without a fraction of a second, which is dropped. AWS calls it ISO 8601.
pub fn from_rfc3339(text: &str) -> Option<SystemTime> {
    let (seconds, zone) = (text.get(..19)?, text.get(19..)?);
    let fraction = zone.strip_suffix('Z')?;
    let digits = fraction.strip_prefix('.').unwrap_or(fraction);
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (date, time) = seconds.split_once('T')?;
    let [year, month, day] = numbers(date, '-')?;
    let [hour, minute, second] = numbers(time, ':')?;
    let in_range = (1970..=9999).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    // A leap second is taken for the one after it.
    if !in_range || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let days = day_of_date(year, month, day);
    let exists = date_of_day(days) == (year, month, day); // unlike 30 February
    exists.then(|| UNIX_EPOCH + Duration::from_secs((days * 24 + hour) * 3600 + minute * 60 + second))
}

/// Reads `Tue, 24 Nov 2026 06:34:10 GMT`, and the two older forms that RFC 9110, section 5.6.7 has recipients accept.
pub(crate) fn from_http_date(text: &str) -> Option<SystemTime> {
    httpdate::parse_http_date(text).ok()
}

fn numbers(text: &str, separator: char) -> Option<[u64; 3]> {
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| text.parse().ok())?
    };
    let numbers: Vec<u64> = text.split(separator).map(number).collect::<Option<_>>()?;
    numbers.try_into().ok()
}

/// Year, month and day of a day counted from 1970-01-01.
fn date_of_day(day: u64) -> (u64, u64, u64) {
    let days = day + DAYS_BEFORE_EPOCH;
    let (era, day_of_era) = (days / DAYS_OF_400_YEARS, days % DAYS_OF_400_YEARS);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day_of_month)
}

/// The reverse, for years from 1970 on.
fn day_of_date(year: u64, month: u64, day: u64) -> u64 {
    let (year, month_from_march) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days_before_month = (153 * month_from_march + 2) / 5;
    let days = year * 365 + year / 4 - year / 100 + year / 400 + days_before_month + day - 1;
    days - DAYS_BEFORE_EPOCH
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(time: Option<SystemTime>) -> Option<u64> {
        time.map(|time| time.duration_since(UNIX_EPOCH).unwrap().as_secs())
    }

    #[test]
    fn all_forms() {
        for (rfc3339, http, expected) in [
            ("1970-01-01T00:00:00Z", "Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("2000-02-29T12:00:00Z", "Tue, 29 Feb 2000 12:00:00 GMT", 951_825_600),
            ("2013-05-24T00:00:00Z", "Fri, 24 May 2013 00:00:00 GMT", 1_369_353_600),
            ("2026-11-24T06:34:10Z", "Tue, 24 Nov 2026 06:34:10 GMT", 1_795_502_050),
            ("2100-03-01T00:00:00Z", "Mon, 01 Mar 2100 00:00:00 GMT", 4_107_542_400),
        ] {
            assert_eq!(seconds(from_rfc3339(rfc3339)), Some(expected), "{rfc3339}");
            assert_eq!(seconds(from_http_date(http)), Some(expected), "{http}");
            let written = to_rfc3339(UNIX_EPOCH + Duration::from_secs(expected));
            assert_eq!(written, rfc3339.replace('Z', ".000Z"));
        }
        assert_eq!(seconds(from_rfc3339("1970-01-01T00:00:01.987Z")), Some(1));
        assert_eq!(
            to_rfc3339(UNIX_EPOCH + Duration::from_millis(1_709_210_096_007)),
            "2024-02-29T12:34:56.007Z"
        );
        assert_eq!(to_rfc3339(UNIX_EPOCH - Duration::from_secs(1)), "1970-01-01T00:00:00.000Z");
    }

    /// Counted with a table of the months, which the code does without.
    #[test]
    fn every_day_both_ways() {
        let mut expected = 0;
        for year in 1970..2410 {
            for month in 1..=12 {
                let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
                let days = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
                for day in 1..=days[month as usize - 1] {
                    assert_eq!(day_of_date(year, month, day), expected, "{year}-{month}-{day}");
                    assert_eq!(date_of_day(expected), (year, month, day));
                    expected += 1;
                }
                let no_day = days[month as usize - 1] + 1;
                assert_eq!(from_rfc3339(&format!("{year}-{month:02}-{no_day}T00:00:00Z")), None);
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
            "2026-11-24T06:34:61Z",
            "2026-1-2-4T06:34:10Z",
            "-026-11-24T06:34:10Z",
            "2026-11-24T06:34:10.xZ",
            "2026-11-24T06:34:1éZ",
            "0000-01-01T00:00:00Z",
        ] {
            assert_eq!(from_rfc3339(bad), None, "{bad:?}");
        }
        for bad in
            ["", " GMT", "Tue, 24 Nov 2026 06:34:10", "Tue, 24 Nox 2026 06:34:10 GMT", "1 2 3 4 5 GMT", "é"]
        {
            assert_eq!(from_http_date(bad), None, "{bad:?}");
        }
    }
}
