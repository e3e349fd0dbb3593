//! So many a second and no more: jobs that are queued again must not drown those of live uploads.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

/// When the next one may go.
pub struct Pace {
    interval: Duration,
    next: Option<Instant>,
}

impl Pace {
    /// So many a second, evenly.
    pub fn new(per_second: NonZeroU32) -> Pace {
        Pace { interval: Duration::from_secs(1) / per_second.get(), next: None }
    }

    /// `count` have just gone: how long to wait until the next may go. Time that passed unused is not made up for.
    pub fn rest(&mut self, count: u32, now: Instant) -> Duration {
        let next = self.next.map_or(now, |next| next.max(now)) + self.interval * count;
        self.next = Some(next);
        next - now
    }
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
}
