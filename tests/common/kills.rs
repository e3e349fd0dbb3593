//! For the tests that kill programs at random moments while clients upload.

use std::thread;
use std::time::Duration;

use samples::mutate::Random;

use crate::load::number_from;

/// Kills of a test, unless `CRASHES` says otherwise.
const DEFAULT_CRASHES: usize = 20;

/// Clients that upload all the while.
pub(crate) const CLIENTS: usize = 4;

/// The longest that a program lives, in milliseconds: enough for many uploads and jobs, of which each step takes some.
const LONGEST_LIFE_MS: usize = 500;

/// A dead worker's jobs wait 30 s for another, up to four times.
pub(crate) const ALL_DONE_WITHIN: Duration = Duration::from_secs(180);

/// How often the store is looked through while the programs are being killed.
pub(crate) const LOOKS: usize = 3;

/// How many kills the test is to make.
pub(crate) fn number() -> usize {
    number_from("CRASHES", DEFAULT_CRASHES)
}

/// Waits for as long as a program is to live.
pub(crate) fn let_live(random: &mut Random) {
    thread::sleep(Duration::from_millis(random.below(LONGEST_LIFE_MS) as u64));
}
