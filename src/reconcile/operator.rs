//! What an operator's `worker --reconcile` or `--redrive` needs besides the scan. [`Pace`] keeps jobs that are queued again
//! from drowning those of live uploads. [`Progress`] shows the counts: on a terminal as one line, written over and over, and
//! elsewhere as a line of the log now and then.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use super::Counts;
use crate::support::log;

/// Says when the next job may be queued.
pub struct Pace {
    interval: Duration,
    next: Option<Instant>,
}

impl Pace {
    /// `per_second` jobs, evenly spaced.
    pub fn new(per_second: NonZeroU32) -> Pace {
        Pace { interval: Duration::from_secs(1) / per_second.get(), next: None }
    }

    /// How long to wait before the next job, when `count` have just been queued. Time that passed unused is not made up for.
    pub fn rest(&mut self, count: u32, now: Instant) -> Duration {
        let next = self.next.map_or(now, |next| next.max(now)) + self.interval * count;
        self.next = Some(next);
        next - now
    }
}

/// On a terminal: often enough to look alive.
const TERMINAL_INTERVAL: Duration = Duration::from_millis(200);

/// In a log: 360 lines an hour.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

pub struct Progress {
    on_terminal: bool,
    shown: Instant,
}

impl Progress {
    /// On standard error, whatever that is.
    pub fn on_stderr() -> Progress {
        Progress { on_terminal: io::stderr().is_terminal(), shown: Instant::now() }
    }

    /// Shows the counts, if it is time to.
    pub fn show(&mut self, counts: &Counts) {
        let interval = if self.on_terminal { TERMINAL_INTERVAL } else { LOG_INTERVAL };
        if self.shown.elapsed() < interval {
            return;
        }
        self.shown = Instant::now();
        if self.on_terminal {
            // The carriage return comes last: a line of the log, which is longer, is then written over this one.
            let _ = write!(io::stderr(), "{}\r", line(counts));
        } else {
            counts.log("reconciling");
        }
    }
}

impl Counts {
    /// As a line of the log.
    pub fn log(&self, event: &str) {
        let fields: [(&str, &dyn Display); 6] = [
            ("images", &self.images),
            ("unfinished", &self.unfinished),
            ("queued", &self.queued),
            ("young", &self.young),
            ("left_alone", &self.left_alone),
            ("failed", &self.failed),
        ];
        log::info(event, &fields);
    }
}

fn line(counts: &Counts) -> String {
    let Counts { images, unfinished, queued, .. } = counts;
    format!("{images} images, {unfinished} unfinished, {queued} queued")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evenly_and_without_catching_up() {
        let mut pace = Pace::new(NonZeroU32::new(4).unwrap());
        let start = Instant::now();
        let mut rest_at = |count, ms| pace.rest(count, start + Duration::from_millis(ms)).as_millis();
        assert_eq!(rest_at(1, 0), 250);
        assert_eq!(rest_at(1, 100), 400, "those before are counted");
        assert_eq!(rest_at(0, 100), 400);
        assert_eq!(rest_at(1, 60_000), 250, "a minute without any is no right to 240");
        assert_eq!(rest_at(10, 60_250), 2_500, "ten went together");
        assert_eq!(rest_at(0, 70_000), 0);
    }

    #[test]
    fn a_line_for_a_terminal() {
        let counts = Counts { images: 12_345, unfinished: 7, queued: 3, ..Counts::default() };
        assert_eq!(line(&counts), "12345 images, 7 unfinished, 3 queued");
    }
}
