//! What an operator sees while a scan is under way: one line that is written over and over on a terminal, and now and then a
//! line of the log elsewhere.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use super::Counts;
use crate::support::log;

/// On a terminal: often enough to look alive.
const TERMINAL_INTERVAL: Duration = Duration::from_millis(200);

/// In a log: 360 lines an hour.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// When something was last shown.
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
    fn a_line_for_a_terminal() {
        let counts = Counts { images: 12_345, unfinished: 7, queued: 3, ..Counts::default() };
        assert_eq!(line(&counts), "12345 images, 7 unfinished, 3 queued");
    }
}
