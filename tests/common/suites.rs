//! What every store and every queue must do. One suite of tests for each of the two traits, and a macro that runs it on an
//! implementation: those of one machine in tests/it, those of S3 and SQS in tests/system.

use std::thread;
use std::time::{Duration, Instant, SystemTime};

use image_sharer::domain::format::{Format, ThumbnailFormat};
use image_sharer::domain::image_id::ImageId;
use image_sharer::domain::job::Job;
use image_sharer::domain::key::Key;
use image_sharer::domain::queue::Queue;
use image_sharer::domain::size::Size;
use image_sharer::domain::store::{Listed, Store};

use crate::program::wait_until;

/// Runs every test of a suite on what `$make` makes, which is made again for each. It may be anything that dereferences to what
/// the suite takes: a box, or a value that also owns the directory of the store and removes it at the end.
macro_rules! contract {
    ($name:ident: $suite:ident on $make:expr; $($test:ident)+) => {
        mod $name {
            use super::*;
            $(#[test] fn $test() { crate::contract::suites::$suite::$test(&*$make) })+
        }
    };
}

macro_rules! store_contract {
    ($name:ident, $make:expr) => {
        contract! { $name: store on $make;
            creates_once puts_again gets_what_was_put gets_no_more_than_asked misses_what_is_not_there
            deletes one_creates_of_many lists_in_order_and_in_pages
        }
    };
}

macro_rules! queue_contract {
    ($name:ident, $make:expr) => {
        contract! { $name: queue on $make;
            receives_what_was_sent waits_for_a_message returns_without_one hides_what_was_received
            gives_back_at_once gives_back_later keeps_what_is_extended counts_receives deletes_for_good
            takes_batches_of_any_size bears_stale_receipts knows_its_depth gives_up_after_max_receives
            gives_each_message_to_one
        }
    };
}

/// A queue under test, and its dead-letter queue if the test can read it.
pub(crate) struct QueueUnderTest {
    pub jobs: Box<dyn Queue>,
    pub dead: Option<Box<dyn Queue>>,
}

pub(crate) fn original() -> Key {
    Key::original(ImageId::random().unwrap(), Format::Png)
}

fn job() -> Job {
    Job { original: original(), thumbnails: ThumbnailFormat::Png, uploaded_at: SystemTime::now() }
}

/// Asks until the answer is yes.
fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    wait_until(what, || is_so().then_some(()));
}

pub(crate) mod store {
    use image_sharer::domain::store::StoreError;

    use super::*;

    pub(crate) fn creates_once(store: &dyn Store) {
        let key = original();
        store.create(&key, b"first").unwrap();
        let again = store.create(&key, b"second");
        assert!(matches!(&again, Err(StoreError::Exists(k)) if *k == key), "{again:?}");
        assert_eq!(store.get(&key, 100).unwrap(), b"first");
    }

    pub(crate) fn puts_again(store: &dyn Store) {
        let key = Key::thumbnail(ImageId::random().unwrap(), Size::Small, ThumbnailFormat::Jpeg);
        store.put(&key, b"first").unwrap();
        store.put(&key, b"second").unwrap();
        assert_eq!(store.get(&key, 100).unwrap(), b"second");
    }

    /// All byte values, none at all, and as many as an upload may have.
    pub(crate) fn gets_what_was_put(store: &dyn Store) {
        let id = ImageId::random().unwrap();
        let every_byte: Vec<u8> = (0..=255).collect();
        let largest: Vec<u8> =
            (0..1_048_576_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let bodies = [every_byte, Vec::new(), largest];
        let keys = Size::ALL.map(|size| Key::thumbnail(id, size, ThumbnailFormat::Png));
        for (key, body) in keys.iter().zip(&bodies) {
            store.put(key, body).unwrap();
        }
        for (key, body) in keys.iter().zip(&bodies) {
            assert!(store.get(key, 1_048_576).unwrap() == *body, "{key}");
        }
    }

    pub(crate) fn gets_no_more_than_asked(store: &dyn Store) {
        let key = original();
        store.create(&key, &[7; 1000]).unwrap();
        assert_eq!(store.get(&key, 1000).unwrap().len(), 1000);
        let more = store.get(&key, 999);
        assert!(matches!(&more, Err(StoreError::TooLarge { max_bytes: 999, .. })), "{more:?}");
    }

    pub(crate) fn misses_what_is_not_there(store: &dyn Store) {
        let key = original();
        assert!(!store.exists(&key).unwrap());
        let got = store.get(&key, 100);
        assert!(matches!(&got, Err(StoreError::NotFound(k)) if *k == key), "{got:?}");
        store.create(&key, b"x").unwrap();
        assert!(store.exists(&key).unwrap());
        let sibling = Key::thumbnail(key.id, Size::Small, ThumbnailFormat::Png);
        assert!(!store.exists(&sibling).unwrap());
    }

    pub(crate) fn deletes(store: &dyn Store) {
        let (key, other) = (original(), original());
        store.create(&key, b"x").unwrap();
        store.create(&other, b"y").unwrap();
        store.delete(&key).unwrap();
        assert!(!store.exists(&key).unwrap());
        assert!(store.exists(&other).unwrap());
        store.delete(&key).unwrap();
        store.create(&key, b"again").unwrap();
    }

    pub(crate) fn one_creates_of_many(store: &dyn Store) {
        let key = original();
        let create = |n: u8| store.create(&key, &[n; 100]).is_ok();
        let created: Vec<u8> = thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|n| scope.spawn(move || create(n).then_some(n))).collect();
            threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(created.len(), 1, "{created:?}");
        assert_eq!(store.get(&key, 100).unwrap(), [created[0]; 100]);
    }

    /// A page may end within an image or between two, and a page may have no object of ours.
    pub(crate) fn lists_in_order_and_in_pages(store: &dyn Store) {
        let list = |after, page| -> Vec<Vec<Listed>> {
            store.list(after, page).unwrap().map(Result::unwrap).collect()
        };
        assert_eq!(list(None, 1000).concat(), []);
        let before = SystemTime::now();
        let mut keys = Vec::new();
        for number in 0..5 {
            let original = original();
            let thumbnails = Size::ALL.map(|size| Key::thumbnail(original.id, size, ThumbnailFormat::Jpeg));
            let objects = [[original].as_slice(), &thumbnails[..number.min(3)]].concat();
            objects.iter().for_each(|key| store.put(key, b"x").unwrap());
            keys.extend(objects);
        }
        keys.sort_by_key(Key::to_string);
        for page in [1, 3, 4, 1000] {
            let pages = list(None, page);
            assert!(pages.iter().all(|objects| objects.len() <= page), "{pages:?}");
            assert_eq!(pages.concat().iter().map(|object| object.key).collect::<Vec<_>>(), keys);
            let hour = Duration::from_secs(3600);
            let recent = before - hour..before + hour;
            assert!(pages.concat().iter().all(|object| recent.contains(&object.modified)), "{pages:?}");
            for after in [keys[0].id, keys[9].id, keys[keys.len() - 1].id] {
                let rest: Vec<Key> = keys.iter().copied().filter(|key| key.id > after).collect();
                let listed = list(Some(after), page).concat();
                assert_eq!(listed.iter().map(|object| object.key).collect::<Vec<_>>(), rest);
            }
        }
    }
}

pub(crate) mod queue {
    use std::collections::HashSet;

    use image_sharer::domain::queue::{Depth, MAX_BATCH, MAX_RECEIVES, Message, Receipt};

    use super::*;
    use crate::program::PATIENCE;

    /// The longest that a test waits for a message that must come, and that SQS lets anybody wait.
    const WAIT: Duration = Duration::from_secs(20);

    fn receive_one(queue: &dyn Queue) -> Message {
        let messages = queue.receive(1, WAIT).unwrap();
        assert_eq!(messages.len(), 1, "a message within {WAIT:?}");
        messages.into_iter().next().unwrap()
    }

    fn nothing_comes(queue: &dyn Queue) -> bool {
        queue.receive(MAX_BATCH, Duration::from_secs(1)).unwrap().is_empty()
    }

    fn give_back(queue: &dyn Queue, message: &Message, seconds: u32) {
        queue.change_visibility(&[message.receipt.clone().visible_in(seconds)]).unwrap();
    }

    pub(crate) fn receives_what_was_sent(queue: &QueueUnderTest) {
        let job = job();
        queue.jobs.send(&job).unwrap();
        let message = receive_one(&*queue.jobs);
        let received = Job::from_json(&message.body).unwrap();
        assert_eq!((received.original, received.thumbnails), (job.original, job.thumbnails));
        assert_eq!(message.receive_count, 1);
    }

    pub(crate) fn waits_for_a_message(queue: &QueueUnderTest) {
        let start = Instant::now();
        thread::scope(|scope| {
            let receiver = scope.spawn(|| receive_one(&*queue.jobs));
            thread::sleep(Duration::from_millis(300));
            queue.jobs.send(&job()).unwrap();
            receiver.join().unwrap();
        });
        // By the message and not by the end of the wait, however busy the machine.
        assert!(start.elapsed() < WAIT, "woken after {:?}", start.elapsed());
    }

    pub(crate) fn returns_without_one(queue: &QueueUnderTest) {
        assert!(queue.jobs.receive(10, Duration::ZERO).unwrap().is_empty());
        let start = Instant::now();
        assert!(nothing_comes(&*queue.jobs));
        let waited = start.elapsed();
        assert!((Duration::from_millis(900)..PATIENCE).contains(&waited), "{waited:?}");
    }

    pub(crate) fn hides_what_was_received(queue: &QueueUnderTest) {
        queue.jobs.send(&job()).unwrap();
        receive_one(&*queue.jobs);
        assert!(nothing_comes(&*queue.jobs));
    }

    pub(crate) fn gives_back_at_once(queue: &QueueUnderTest) {
        queue.jobs.send(&job()).unwrap();
        let first = receive_one(&*queue.jobs);
        give_back(&*queue.jobs, &first, 0);
        let second = receive_one(&*queue.jobs);
        assert_eq!((second.body, second.receive_count), (first.body, 2));
    }

    /// What a worker that died leaves: nobody deletes it, and the timeout passes.
    pub(crate) fn gives_back_later(queue: &QueueUnderTest) {
        queue.jobs.send(&job()).unwrap();
        let first = receive_one(&*queue.jobs);
        let start = Instant::now();
        give_back(&*queue.jobs, &first, 2);
        let second = receive_one(&*queue.jobs);
        let waited = start.elapsed();
        assert!((Duration::from_millis(1500)..PATIENCE).contains(&waited), "{waited:?}");
        assert_eq!((second.body, second.receive_count), (first.body, 2));
    }

    /// What a heartbeat does: a timeout that was about to pass starts again.
    pub(crate) fn keeps_what_is_extended(queue: &QueueUnderTest) {
        queue.jobs.send(&job()).unwrap();
        let message = receive_one(&*queue.jobs);
        give_back(&*queue.jobs, &message, 1);
        give_back(&*queue.jobs, &message, 30);
        assert!(queue.jobs.receive(1, Duration::from_secs(2)).unwrap().is_empty());
        queue.jobs.delete(&[message.receipt]).unwrap();
    }

    pub(crate) fn counts_receives(queue: &QueueUnderTest) {
        queue.jobs.send(&job()).unwrap();
        for count in 1..=3 {
            let message = receive_one(&*queue.jobs);
            assert_eq!(message.receive_count, count);
            give_back(&*queue.jobs, &message, 0);
        }
    }

    pub(crate) fn deletes_for_good(queue: &QueueUnderTest) {
        let (kept, deleted) = (job(), job());
        queue.jobs.send(&deleted).unwrap();
        let message = receive_one(&*queue.jobs);
        queue.jobs.send(&kept).unwrap();
        queue.jobs.delete(std::slice::from_ref(&message.receipt)).unwrap();
        give_back(&*queue.jobs, &message, 0);
        let left = receive_one(&*queue.jobs);
        assert_eq!(Job::from_json(&left.body).unwrap().original, kept.original);
        assert!(nothing_comes(&*queue.jobs));
    }

    pub(crate) fn takes_batches_of_any_size(queue: &QueueUnderTest) {
        const JOBS: usize = 2 * MAX_BATCH + 3;
        for _ in 0..JOBS {
            queue.jobs.send(&job()).unwrap();
        }
        let mut received = receive_all(&*queue.jobs, JOBS);
        let changes: Vec<_> = received.iter().map(|message| message.receipt.clone().visible_in(0)).collect();
        queue.jobs.change_visibility(&changes).unwrap();
        received = receive_all(&*queue.jobs, JOBS);
        assert!(received.iter().all(|message| message.receive_count == 2));
        let receipts: Vec<_> = received.into_iter().map(|message| message.receipt).collect();
        queue.jobs.delete(&receipts).unwrap();
        eventually("the queue is empty", || queue.jobs.depth().unwrap().is_empty());
        queue.jobs.delete(&[]).unwrap();
        queue.jobs.change_visibility(&[]).unwrap();
    }

    fn receive_all(queue: &dyn Queue, count: usize) -> Vec<Message> {
        let mut received = Vec::new();
        while received.len() < count {
            let batch = queue.receive(MAX_BATCH, WAIT).unwrap();
            assert!(!batch.is_empty(), "{} of {count} came", received.len());
            assert!(batch.len() <= MAX_BATCH);
            received.extend(batch);
        }
        received
    }

    /// A stale receipt is no error and changes no message that another worker holds. Good receipts of the same batch work.
    pub(crate) fn bears_stale_receipts(queue: &QueueUnderTest) {
        queue.jobs.send(&job()).unwrap();
        let deleted = receive_one(&*queue.jobs);
        queue.jobs.delete(std::slice::from_ref(&deleted.receipt)).unwrap();
        queue.jobs.delete(std::slice::from_ref(&deleted.receipt)).unwrap();
        queue.jobs.send(&job()).unwrap();
        let expired = receive_one(&*queue.jobs);
        give_back(&*queue.jobs, &expired, 0);
        let current = receive_one(&*queue.jobs);
        let stale: [Receipt; 2] = [deleted.receipt, expired.receipt];
        let with_current =
            |seconds| [stale[0].clone().visible_in(30), current.receipt.clone().visible_in(seconds)];
        queue.jobs.change_visibility(&with_current(30)).unwrap();
        assert!(nothing_comes(&*queue.jobs));
        queue.jobs.delete(&[stale[0].clone(), current.receipt.clone()]).unwrap();
        eventually("the queue is empty", || queue.jobs.depth().unwrap().is_empty());
    }

    pub(crate) fn knows_its_depth(queue: &QueueUnderTest) {
        assert_eq!(queue.jobs.depth().unwrap(), Depth::default());
        for _ in 0..3 {
            queue.jobs.send(&job()).unwrap();
        }
        receive_one(&*queue.jobs);
        let expected = Depth { visible: 2, in_flight: 1, delayed: 0 };
        eventually("two are visible and one is in flight", || queue.jobs.depth().unwrap() == expected);
        assert!(!expected.is_empty());
    }

    pub(crate) fn gives_up_after_max_receives(queue: &QueueUnderTest) {
        let job = job();
        queue.jobs.send(&job).unwrap();
        for count in 1..=MAX_RECEIVES {
            let message = receive_one(&*queue.jobs);
            assert_eq!(message.receive_count, count);
            give_back(&*queue.jobs, &message, 0);
        }
        assert!(nothing_comes(&*queue.jobs));
        assert!(queue.jobs.depth().unwrap().is_empty());
        if let Some(dead) = &queue.dead {
            let message = receive_one(&**dead);
            assert_eq!(Job::from_json(&message.body).unwrap().original, job.original);
        }
    }

    pub(crate) fn gives_each_message_to_one(queue: &QueueUnderTest) {
        const JOBS: usize = 40;
        for _ in 0..JOBS {
            queue.jobs.send(&job()).unwrap();
        }
        let drain = || {
            let mut bodies = Vec::new();
            loop {
                let messages = queue.jobs.receive(3, Duration::from_secs(1)).unwrap();
                if messages.is_empty() {
                    return bodies;
                }
                bodies.extend(messages.into_iter().map(|message| message.body));
            }
        };
        let bodies: Vec<String> = thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(drain)).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        let distinct: HashSet<&String> = bodies.iter().collect();
        assert_eq!((bodies.len(), distinct.len()), (JOBS, JOBS));
    }
}
