//! Finds images that were answered 202 and not finished, and queues their jobs again.
//!
//! An upload stores an original and then queues a job, and the queue keeps the job until its thumbnails are there. A job is
//! lost all the same when a queue is purged, when a dead-letter queue forgets it after fourteen days, when its thumbnails are
//! deleted, or when a process ends that had the queue in its memory. But the store knows: an original without its three
//! thumbnails is an unfinished job. `worker --reconcile` looks through a bucket for these, and `server --local` through its
//! directory at each start. [`redrive`] is for jobs that are not lost but wait in the dead-letter queue.
//!
//! A job that is queued again while it is already queued, or in progress, does no harm: jobs are idempotent, and one that is
//! done twice stores the same bytes twice. It costs a worker's time, so young images are left alone, and the
//! [pace](operator::Pace) is bounded.
//!
//! A scan is resumable, because the listing is in the order of ids: all up to [`Scan::done_to`] is done, or was too young.
//! A scan skips young images and does not wait for them. With live uploads there is always one near the start of the id order.

mod images;
pub mod operator;
pub mod redrive;

use std::error::Error;
use std::fmt::Display;
use std::time::{Duration, SystemTime};

use crate::domain::format::{MAX_IMAGE_BYTES, ThumbnailFormat};
use crate::domain::image_id::ImageId;
use crate::domain::job::Job;
use crate::domain::key::Key;
use crate::domain::queue::QueueError;
use crate::domain::store::{Listed, Listing, Store, StoreError};
use crate::support::log;
use crate::support::shutdown::Shutdown;
use images::{Image, Images};

/// How old an unfinished original must be before its job is taken for lost. A server takes at most 39 s from the original to the
/// job, and a job that fails is tried for seven minutes. A job that is unfinished after twice that time waits in a long backlog,
/// or is lost. The clocks of two machines differ by less than what remains.
pub const GRACE: Duration = Duration::from_secs(15 * 60);

/// Jobs queued again a second. One small worker finishes about as many, so jobs of live uploads in the same queue hardly wait
/// longer. A million take 14 hours.
pub const PER_SECOND: u32 = 20;

/// The most objects of a page: S3's own limit.
pub const PAGE: usize = 1000;

/// After this many originals in a row that could not be read, the store is to blame, and the scan ends.
pub const MAX_FAILURES_IN_A_ROW: u32 = 5;

/// How many images there were, and what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub images: u64,
    /// Images without their three thumbnails. Each is counted once more below.
    pub unfinished: u64,
    pub queued: u64,
    pub young: u64,
    /// Originals that are no images, or were deleted meanwhile.
    pub left_alone: u64,
    /// Originals that could not be read.
    pub failed: u64,
}

pub struct Scan<'a> {
    store: &'a dyn Store,
    /// Asked before each image.
    shutdown: &'a Shutdown,
    /// Originals that were stored at this time or later are left alone.
    pub before: Option<SystemTime>,
    /// The scan ends when more originals in a row than this cannot be read.
    pub max_failures: u32,
    pub counts: Counts,
    /// All images up to this one are queued, complete, or left alone.
    pub done_to: Option<ImageId>,
    failures_in_a_row: u32,
}

impl<'a> Scan<'a> {
    /// A scan that leaves alone only what is no image, and goes on after any number of originals that cannot be read.
    pub fn new(store: &'a dyn Store, shutdown: &'a Shutdown) -> Scan<'a> {
        Scan {
            store,
            shutdown,
            before: None,
            max_failures: u32::MAX,
            counts: Counts::default(),
            done_to: None,
            failures_in_a_row: 0,
        }
    }

    /// Goes through the listing. `queue_again` queues a job, or returns false if the process is to stop instead. `show` is called
    /// after each image. Returns false if the process was told to stop.
    pub fn run(
        &mut self,
        listing: Listing,
        mut queue_again: impl FnMut(&Job) -> Result<bool, QueueError>,
        mut show: impl FnMut(&Counts),
    ) -> Result<bool, Box<dyn Error>> {
        let mut images = Images::new(listing, self.shutdown);
        while let Some(image) = images.next()? {
            if self.shutdown.is_requested() {
                break;
            }
            if let Some(original) = image.original() {
                if !image.is_complete() {
                    if let Some(job) = self.job_of(&image, original)? {
                        if !queue_again(&job)? {
                            return Ok(false);
                        }
                        self.counts.queued += 1;
                    }
                    self.counts.unfinished += 1;
                }
                self.counts.images += 1;
            }
            if self.counts.failed == 0 {
                self.done_to = Some(image.id); // those that failed are to be tried again
            }
            show(&self.counts);
        }
        Ok(!self.shutdown.is_requested())
    }

    /// The job of an unfinished image. `None` if the image is left alone.
    fn job_of(&mut self, image: &Image, original: Listed) -> Result<Option<Job>, StoreError> {
        if self.before.is_some_and(|before| original.modified >= before) {
            self.counts.young += 1;
            return Ok(None);
        }
        let found = self.thumbnail_format(image, &original.key);
        let reason: &dyn Display = match &found {
            Ok(Some(thumbnails)) => {
                let (original, uploaded_at) = (original.key, original.modified);
                return Ok(Some(Job { original, thumbnails: *thumbnails, uploaded_at }));
            }
            Ok(None) => &"it is no image",
            Err(error) => error,
        };
        log::warn("left_unfinished", &[("key", &original.key), ("error", reason)]);
        match found {
            Err(error @ StoreError::Failed(_)) => {
                self.counts.failed += 1;
                self.failures_in_a_row += 1;
                if self.failures_in_a_row > self.max_failures {
                    return Err(error);
                }
            }
            _ => self.counts.left_alone += 1,
        }
        Ok(None)
    }

    /// An existing thumbnail has the format that the others must have. Without one the original's bytes decide, as at the upload.
    /// `None` if they are no image.
    fn thumbnail_format(
        &mut self,
        image: &Image,
        original: &Key,
    ) -> Result<Option<ThumbnailFormat>, StoreError> {
        if let Some(format) = image.thumbnail_format() {
            return Ok(Some(format));
        }
        let bytes = self.store.get(original, MAX_IMAGE_BYTES)?;
        self.failures_in_a_row = 0;
        Ok(pictures::thumbnail_format(&bytes))
    }
}
