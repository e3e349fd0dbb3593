//! The heartbeat of a job in hand, on any queue: its message stays invisible until the job is settled.

use std::thread;
use std::time::{Duration, Instant, SystemTime};

use image_sharer::domain::format::{Format, ThumbnailFormat};
use image_sharer::domain::image_id::ImageId;
use image_sharer::domain::job::Job;
use image_sharer::domain::key::Key;
use image_sharer::domain::queue::{Queue, VISIBILITY_SECONDS};
use image_sharer::worker::heartbeat::Heartbeat;

/// Past the visibility timeout, a watched message has not become visible.
pub(crate) fn keeps_invisible(queue: &dyn Queue) {
    let job = Job {
        original: Key::original(ImageId::random().unwrap(), Format::Png),
        thumbnails: ThumbnailFormat::Png,
        uploaded_at: SystemTime::now(),
    };
    queue.send(&job).unwrap();
    let received = queue.receive(1, Duration::from_secs(5)).unwrap();
    let began = Instant::now();
    let heartbeat = Heartbeat::default();
    heartbeat.watch(&received[0].receipt);
    thread::scope(|scope| {
        scope.spawn(|| heartbeat.beat(queue));
        let mut early = Vec::new();
        while early.is_empty() && began.elapsed() < Duration::from_secs(u64::from(VISIBILITY_SECONDS) + 5) {
            early = queue.receive(1, Duration::from_secs(5)).unwrap();
        }
        // No later beat overwrites the delay that it is settled with, though one is due within it.
        heartbeat.stop(&received[0].receipt);
        queue
            .change_visibility(&[received[0].receipt.clone().visible_in(VISIBILITY_SECONDS / 3 + 2)])
            .unwrap();
        let again = queue.receive(1, Duration::from_secs(20)).unwrap();
        heartbeat.end(); // or the scope does not end
        assert!(early.is_empty(), "visible after {:?}", began.elapsed());
        assert_eq!(again.first().map(|message| message.receive_count), Some(2));
    });
}
