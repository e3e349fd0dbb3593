//! Jobs in memory, with SQS's semantics: receipts, visibility timeouts, receive counts and dead letters.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::domain::job::Job;
use crate::domain::queue::{
    Depth, MAX_BATCH, MAX_RECEIVES, Message, Queue, QueueError, Receipt, VISIBILITY_SECONDS, VisibilityChange,
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

/// Where a message is in the order in which messages are received: when it becomes visible, then its number.
type Place = (Instant, u64);

#[derive(Default)]
struct Messages {
    next_number: u64,
    /// The first is the next to be received. Dead letters are among these, as new messages that become visible late.
    entries: BTreeMap<Place, Entry>,
    /// Where the receipts' messages are. A receipt stays until its message is deleted or received again.
    received: HashMap<Receipt, Place>,
    closed: bool,
}

struct Entry {
    body: String,
    receive_count: u32,
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
    fn add(&mut self, body: String, visible_at: Instant) {
        self.entries.insert((visible_at, self.next_number), Entry { body, receive_count: 0 });
        self.next_number += 1;
    }

    /// Takes up to `max` messages that are visible now.
    fn receive(&mut self, max: usize, now: Instant) -> Vec<Message> {
        let mut messages = Vec::new();
        while messages.len() < max {
            let Some(first) = self.entries.first_entry().filter(|entry| entry.key().0 <= now) else { break };
            let ((_, number), Entry { body, receive_count: before }) = first.remove_entry();
            self.received.remove(&receipt(number, before));
            if before >= MAX_RECEIVES {
                log::error("dead_letter", &[("job", &body), ("receives", &before)]);
                self.add(body, now + REDRIVE_AFTER);
                continue;
            }
            let (receive_count, receipt) = (before + 1, receipt(number, before + 1));
            let place = (now + Duration::from_secs(VISIBILITY_SECONDS.into()), number);
            self.entries.insert(place, Entry { body: body.clone(), receive_count });
            self.received.insert(receipt.clone(), place);
            messages.push(Message { receipt, body, receive_count });
        }
        messages
    }
}

/// Each receive of each message has a receipt of its own.
fn receipt(number: u64, receive_count: u32) -> Receipt {
    Receipt(format!("{number}-{receive_count}"))
}

impl Queue for LocalQueue {
    fn send(&self, job: &Job) -> Result<(), QueueError> {
        let mut state = self.state();
        if state.entries.len() >= MAX_JOBS {
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
            let next_visible = state.entries.first_key_value().map_or(deadline, |(place, _)| place.0);
            let timeout = next_visible.min(deadline).saturating_duration_since(now);
            state = self.changed.wait_timeout(state, timeout).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn delete(&self, receipts: &[Receipt]) -> Result<(), QueueError> {
        let mut state = self.state();
        for receipt in receipts {
            if let Some(place) = state.received.remove(receipt) {
                state.entries.remove(&place);
            }
        }
        Ok(())
    }

    fn change_visibility(&self, changes: &[VisibilityChange]) -> Result<(), QueueError> {
        let mut state = self.state();
        for VisibilityChange { receipt, seconds } in changes {
            let Messages { entries, received, .. } = &mut *state;
            if let Some(place) = received.get_mut(receipt)
                && let Some(entry) = entries.remove(place)
            {
                place.0 = Instant::now() + Duration::from_secs((*seconds).into());
                entries.insert(*place, entry);
            }
        }
        self.changed.notify_all();
        Ok(())
    }

    fn depth(&self) -> Result<Depth, QueueError> {
        let (state, now) = (self.state(), Instant::now());
        let visible = state.entries.keys().take_while(|place| place.0 <= now).count() as u64;
        let in_flight = state.received.values().filter(|place| place.0 > now).count() as u64;
        Ok(Depth { visible, in_flight, delayed: 0 })
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
