//! Jobs in memory, with SQS's semantics: receipts, visibility timeouts, receive counts and dead letters.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::domain::job::Job;
use crate::domain::queue::{
    Depth, MAX_BATCH, MAX_RECEIVES, Message, Queue, QueueError, Receipt, VISIBILITY_SECONDS,
};
use crate::support::log;

/// Jobs held at a time, about 50 MB. Past that uploads are refused until the worker has caught up.
const MAX_JOBS: usize = 100_000;

/// A dead letter is tried again after this long, and its receives are counted from zero. Nobody looks after a dead-letter queue
/// on one machine, and the cause, such as a full disk, passes.
const REDRIVE_AFTER: Duration = Duration::from_secs(600);

#[derive(Default)]
pub struct LocalQueue {
    state: Mutex<Messages>,
    changed: Condvar,
}

#[derive(Default)]
struct Messages {
    next_number: u64,
    /// By the time at which they become visible, then by age. The first is the next to be received.
    entries: BTreeMap<(Instant, u64), Entry>,
    /// Where the receipts' messages are.
    in_flight: BTreeMap<Receipt, (Instant, u64)>,
    /// The dead letters, by the time at which they are tried again.
    dead: VecDeque<(Instant, String)>,
    closed: bool,
}

struct Entry {
    body: String,
    receive_count: u32,
    /// Of the last receive. Until the visibility timeout passes the message is this receipt's.
    receipt: Option<Receipt>,
}

impl LocalQueue {
    /// From now on `receive` returns nothing at once, because the process is stopping.
    pub fn close(&self) {
        self.state().closed = true;
        self.changed.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, Messages> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Messages {
    fn add(&mut self, body: String, now: Instant) {
        let place = (now, self.next_number);
        self.next_number += 1;
        self.entries.insert(place, Entry { body, receive_count: 0, receipt: None });
    }

    /// Takes up to `max` messages that are visible now.
    fn receive(&mut self, max: usize, now: Instant) -> Vec<Message> {
        while let Some((_, body)) = self.dead.pop_front_if(|(at, _)| *at <= now) {
            self.add(body, now);
        }
        let mut messages = Vec::new();
        while messages.len() < max {
            let Some(first) = self.entries.first_entry().filter(|entry| entry.key().0 <= now) else { break };
            let ((_, number), mut entry) = first.remove_entry();
            if let Some(receipt) = entry.receipt.take() {
                self.in_flight.remove(&receipt);
            }
            if entry.receive_count >= MAX_RECEIVES {
                log::error("dead_letter", &[("job", &entry.body), ("receives", &entry.receive_count)]);
                self.dead.push_back((now + REDRIVE_AFTER, entry.body));
                continue;
            }
            entry.receive_count += 1;
            let receipt = Receipt(format!("{number}-{}", entry.receive_count));
            entry.receipt = Some(receipt.clone());
            messages.push(Message {
                receipt: receipt.clone(),
                body: entry.body.clone(),
                receive_count: entry.receive_count,
            });
            let place = (now + Duration::from_secs(VISIBILITY_SECONDS.into()), number);
            self.entries.insert(place, entry);
            self.in_flight.insert(receipt, place);
        }
        messages
    }
}

impl Queue for LocalQueue {
    fn send(&self, job: &Job) -> Result<(), QueueError> {
        let mut state = self.state();
        if state.entries.len() + state.dead.len() >= MAX_JOBS {
            return Err(QueueError::Full);
        }
        state.add(job.to_json(), Instant::now());
        self.changed.notify_one();
        Ok(())
    }

    fn receive(&self, max: usize, wait: Duration) -> Result<Vec<Message>, QueueError> {
        let deadline = Instant::now() + wait;
        let mut state = self.state();
        loop {
            let now = Instant::now();
            let messages = if state.closed { Vec::new() } else { state.receive(max.min(MAX_BATCH), now) };
            if !messages.is_empty() || state.closed || now >= deadline {
                return Ok(messages);
            }
            let next_visible =
                state.entries.first_key_value().map_or(deadline, |(&(visible_at, _), _)| visible_at);
            let timeout = next_visible.min(deadline).saturating_duration_since(now);
            state = self.changed.wait_timeout(state, timeout).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn delete(&self, receipts: &[Receipt]) -> Result<(), QueueError> {
        let mut state = self.state();
        for receipt in receipts {
            if let Some(place) = state.in_flight.remove(receipt) {
                state.entries.remove(&place);
            }
        }
        Ok(())
    }

    fn change_visibility(&self, changes: &[(Receipt, u32)]) -> Result<(), QueueError> {
        let mut state = self.state();
        for (receipt, seconds) in changes {
            let Some(place) = state.in_flight.get(receipt).copied() else { continue };
            let Some(entry) = state.entries.remove(&place) else { continue };
            let new_place = (Instant::now() + Duration::from_secs((*seconds).into()), place.1);
            state.entries.insert(new_place, entry);
            state.in_flight.insert(receipt.clone(), new_place);
        }
        self.changed.notify_all();
        Ok(())
    }

    fn depth(&self) -> Result<Depth, QueueError> {
        let state = self.state();
        let now = Instant::now();
        let visible = state.entries.keys().take_while(|(visible_at, _)| *visible_at <= now).count() as u64;
        Ok(Depth { visible, in_flight: state.entries.len() as u64 - visible, delayed: 0 })
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::domain::format::{Format, ThumbnailFormat};
    use crate::domain::image_id::ImageId;
    use crate::domain::key::Key;

    #[test]
    fn a_dead_letter_is_tried_again() {
        let original = Key::original(ImageId::random().unwrap(), Format::Jpeg);
        let job = Job { original, thumbnails: ThumbnailFormat::Jpeg, uploaded_at: SystemTime::now() };
        let queue = LocalQueue::default();
        queue.send(&job).unwrap();
        let (mut state, mut now) = (queue.state(), Instant::now());
        for count in 1..=MAX_RECEIVES {
            assert_eq!(state.receive(1, now)[0].receive_count, count);
            now += Duration::from_secs(VISIBILITY_SECONDS.into());
        }
        assert!(state.receive(1, now).is_empty());
        now += REDRIVE_AFTER;
        let again = state.receive(1, now);
        assert_eq!((again[0].body.as_str(), again[0].receive_count), (job.to_json().as_str(), 1));
    }
}
