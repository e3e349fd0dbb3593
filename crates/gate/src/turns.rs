//! Turns to ask upstream: as many as it has handlers, in the order in which requests ask for one.
//!
//! A turn that ends is handed to the request that has waited longest. Were it only given back, a request that has just come
//! could take it first, and a request could wait for seconds while later ones are served.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub(crate) struct Turns(Mutex<Line>);

/// While there are free turns nobody waits.
struct Line {
    free: usize,
    /// The longest wait first. Each is a connection's thread, so there are no more than slots.
    waiting: VecDeque<Arc<Ticket>>,
}

#[derive(Default)]
struct Ticket {
    is_called: AtomicBool,
    called: Condvar,
}

/// The right to ask upstream, until it is dropped.
#[must_use]
pub(crate) struct Turn<'a>(&'a Turns);

impl Turns {
    pub(crate) fn new(turns: usize) -> Turns {
        Turns(Mutex::new(Line { free: turns, waiting: VecDeque::new() }))
    }

    /// Waits for a turn. None if that takes longer than `timeout`.
    pub(crate) fn take(&self, timeout: Duration) -> Option<Turn<'_>> {
        let mut line = self.lock();
        if line.free > 0 {
            line.free -= 1;
            return Some(Turn(self));
        }
        let ticket = Arc::new(Ticket::default());
        line.waiting.push_back(ticket.clone());
        let is_waiting = |_: &mut Line| !ticket.is_called.load(Ordering::Relaxed); // the lock orders it
        let waited = ticket.called.wait_timeout_while(line, timeout, is_waiting);
        let (mut line, result) = waited.unwrap_or_else(PoisonError::into_inner);
        if result.timed_out() {
            line.waiting.retain(|other| !Arc::ptr_eq(other, &ticket));
            return None;
        }
        Some(Turn(self))
    }

    fn lock(&self) -> MutexGuard<'_, Line> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    fn wait_for_line(&self, length: usize) {
        while self.lock().waiting.len() != length {
            std::thread::yield_now();
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut line = self.0.lock();
        match line.waiting.pop_front() {
            Some(ticket) => {
                ticket.is_called.store(true, Ordering::Relaxed);
                ticket.called.notify_one();
            }
            None => line.free += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;
    use std::time::Instant;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    /// A request that comes when a turn has just ended goes to the end of the line, too.
    #[test]
    fn turns_come_in_the_order_of_asking() {
        let turns = Turns::new(1);
        let (served, order) = mpsc::channel();
        thread::scope(|scope| {
            let first = turns.take(LONG);
            for number in 0..20 {
                let (turns, served) = (&turns, served.clone());
                scope.spawn(move || {
                    let turn = turns.take(LONG);
                    served.send(number).unwrap();
                    drop(turn);
                });
                turns.wait_for_line(number + 1);
            }
            drop(first);
            let late = turns.take(LONG);
            served.send(20).unwrap();
            drop(late);
        });
        let order: Vec<usize> = order.try_iter().collect();
        assert_eq!(order, (0..=20).collect::<Vec<_>>());
    }

    #[test]
    fn no_more_than_there_are_and_no_longer_than_allowed() {
        let turns = Turns::new(2);
        let (first, second) = (turns.take(LONG), turns.take(LONG));
        assert!(first.is_some() && second.is_some());
        let began = Instant::now();
        assert!(turns.take(Duration::from_millis(30)).is_none());
        assert!(began.elapsed() >= Duration::from_millis(30));
        turns.wait_for_line(0);
        drop(first);
        assert!(turns.take(Duration::ZERO).is_some(), "who gave up does not hold the turn");
        drop(second);
        assert_eq!(turns.lock().free, 2);
    }
}
