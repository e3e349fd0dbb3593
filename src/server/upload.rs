//! An upload's way from its bytes to its four URLs.
//!
//! The order of the steps is the service's promise. The original is stored, then the job is queued, and only then is the
//! client told 202: so nothing that was answered 202 is ever without its original or its job. If queueing fails the original
//! is taken back, and the client is told to try again.

use std::time::{Duration, Instant, SystemTime};

use pictures::{Inspected, inspect};

use super::answer::Answer;
use super::api::{Api, unavailable};
use super::form::find_image;
use super::refusal::Refusal;
use super::request::Incoming;
use crate::domain::failure::Cause;
use crate::domain::format::ThumbnailFormat;
use crate::domain::image_id::ImageId;
use crate::domain::job::Job;
use crate::domain::key::Key;
use crate::domain::size::Size;
use crate::domain::store::StoreError;
use crate::support::log;

/// How many ids are tried if the store says that an id is taken. One collision will not be seen in the life of the service; a
/// second in a row is a broken random source or store.
const MAX_IDS: u32 = 3;

impl Api {
    pub(super) fn upload(&self, incoming: &Incoming, body: &[u8]) -> Result<Answer, Refusal> {
        let content_type = incoming.head.content_type.as_deref().unwrap_or_default();
        let image = find_image(content_type, body)?;
        let inspected =
            inspect(image, self.max_pixels).map_err(|error| Refusal::new(400, error.to_string()))?;

        let began = Instant::now();
        let original = self.store_original(image, &inspected, incoming)?;
        let store_took = began.elapsed();
        let thumbnails = inspected.thumbnail_format();
        self.queue_job(Job { original, thumbnails, uploaded_at: SystemTime::now() }, incoming)?;
        let queue_took = began.elapsed() - store_took;

        self.count_upload(incoming, image.len(), store_took, queue_took);
        log::info(
            "upload",
            &[
                ("request", &incoming.id),
                ("peer", &incoming.peer),
                ("client", &incoming.client),
                ("id", &original.id),
                ("status", &202),
                ("bytes", &image.len()),
                ("width", &inspected.width),
                ("height", &inspected.height),
                ("format", &original.format.extension()),
                ("body_ms", &incoming.body_took.as_millis()),
                ("store_ms", &store_took.as_millis()),
                ("queue_ms", &queue_took.as_millis()),
            ],
        );
        Ok(self.accepted(original, thumbnails))
    }

    fn store_original(
        &self,
        image: &[u8],
        inspected: &Inspected,
        incoming: &Incoming,
    ) -> Result<Key, Refusal> {
        for _ in 0..MAX_IDS {
            let id = ImageId::random()
                .map_err(|error| unavailable(incoming, "random source", Cause::of_io(&error), &error))?;
            let key = Key::original(id, inspected.format);
            match self.store.create(&key, image) {
                Ok(()) => return Ok(key),
                Err(StoreError::Exists(key)) => {
                    log::warn("id_taken", &[("request", &incoming.id), ("key", &key)])
                }
                Err(error) => return Err(unavailable(incoming, "store", error.cause(), &error)),
            }
        }
        Err(unavailable(incoming, "store", Cause::Other, &"every new id was taken"))
    }

    fn queue_job(&self, job: Job, incoming: &Incoming) -> Result<(), Refusal> {
        let Err(error) = self.queue.send(&job) else { return Ok(()) };
        // If this fails too, an original stays whose id nobody knows.
        if let Err(error) = self.store.delete(&job.original) {
            log::warn(
                "original_left_behind",
                &[("request", &incoming.id), ("key", &job.original), ("error", &error)],
            );
        }
        Err(unavailable(incoming, "queue", error.cause(), &error))
    }

    fn count_upload(&self, incoming: &Incoming, bytes: usize, store_took: Duration, queue_took: Duration) {
        self.metrics.upload_bytes.add(bytes as u64);
        self.metrics.body.observe(incoming.body_took);
        self.metrics.store.observe(store_took);
        self.metrics.queue.observe(queue_took);
    }

    /// The 202, with the image's four URLs.
    fn accepted(&self, original: Key, thumbnails: ThumbnailFormat) -> Answer {
        let url = |key: Key| format!("{}/{key}", self.public_url);
        let thumbnail = |size| url(Key::thumbnail(original.id, size, thumbnails));
        Answer::json(
            202,
            &[
                ("original", &url(original)),
                ("small", &thumbnail(Size::Small)),
                ("medium", &thumbnail(Size::Medium)),
                ("large", &thumbnail(Size::Large)),
            ],
        )
    }
}
