//! The questions that every test of failure ends with. Of all that was ever answered 202, are the four objects there? And of all
//! that is in the store, is each object whole and right?
//!
//! Right is strict: an original is byte for byte a picture that the test uploaded, and a thumbnail is byte for byte what that
//! picture's thumbnail is. A thumbnail that was right early on and is right at the end has not changed, however often its job
//! was done.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ::pictures::Fit;
use ::pictures::inspect;
use image_sharer::domain::image_id::ImageId;
use image_sharer::domain::key::{Key, Kind};
use image_sharer::domain::size::Size;

use crate::curl::{Reply, Urls, upload};
use crate::pictures::look;
use crate::program::{PATIENCE, wait_within};

/// The longest that a thumbnail is waited for: a job that failed a third time comes back after 80 s.
const THERE_WITHIN: Duration = Duration::from_secs(240);

/// The most that any object of a test has.
const MAX_OBJECT_BYTES: u64 = 1 << 21;

/// The default of `MAX_PIXELS`.
pub(crate) const MAX_PIXELS: u64 = 40_000_000;

/// A picture's thumbnails, from the smallest on.
type Thumbnails = Arc<[Vec<u8>; 3]>;

/// What was answered 202. One value is shared by all threads of a test.
#[derive(Default)]
pub(crate) struct Audit {
    pub accepted: Mutex<Vec<(Urls, Arc<[u8]>)>>,
    /// By picture.
    thumbnails: Mutex<HashMap<Vec<u8>, Thumbnails>>,
    seen: Mutex<BTreeSet<Key>>,
}

/// What there is in a store.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Uploads that were answered 202.
    pub accepted: usize,
    /// Of these, the ones without an original.
    pub lost: usize,
    /// Of these, the ones that lack a thumbnail.
    pub unfinished: usize,
    /// Objects that are not what they should be, by their keys.
    pub wrong: Vec<String>,
    /// Thumbnails that an earlier look has seen.
    pub seen_before: usize,
    /// Images whose 202 did not reach the client, with nothing but an original.
    pub untold_originals: usize,
    /// Images whose 202 did not reach the client, with thumbnails.
    pub untold_images: usize,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally { accepted, lost, unfinished, wrong, seen_before, untold_originals, untold_images } = self;
        write!(
            f,
            "{accepted} uploads answered 202, lost {lost}, unfinished {unfinished}, half-written or wrong {}; \
             {seen_before} thumbnails seen earlier are the same; orphans: {untold_originals} originals alone, \
             {untold_images} with thumbnails",
            wrong.len()
        )
    }
}

impl Audit {
    /// Uploads a picture, and notes it if the answer is 202.
    pub(crate) fn upload(&self, url: &str, picture: &Arc<[u8]>) -> Reply {
        let reply = upload(url, picture);
        if reply.status == 202 {
            self.note(reply.urls(), picture);
        }
        reply
    }

    /// Says that this picture is going to be uploaded, so that it is known even if no answer comes.
    pub(crate) fn expect(&self, picture: &[u8]) {
        self.thumbnails_of(picture);
    }

    /// How many uploads were answered 202 until now.
    pub(crate) fn accepted(&self) -> usize {
        self.accepted.lock().unwrap().len()
    }

    /// Notes an upload that was answered 202 with these URLs.
    pub(crate) fn note(&self, urls: Urls, picture: &Arc<[u8]>) {
        self.accepted.lock().unwrap().push((urls, picture.clone()));
    }

    /// Waits for the thumbnails of all, makes sure of all four objects of each, and says how many uploads there were.
    pub(crate) fn nothing_is_lost(&self) -> usize {
        self.check(str::to_owned)
    }

    /// The same when the server has another address by now, as a local server has after each start.
    pub(crate) fn nothing_is_lost_at(&self, address: &str) -> usize {
        self.check(|url| {
            let path = url.splitn(4, '/').nth(3).expect("a path after the host");
            format!("{address}/{path}")
        })
    }

    fn check(&self, now_at: impl Fn(&str) -> String) -> usize {
        let accepted = self.accepted.lock().unwrap();
        self.check_all(&accepted, now_at);
        accepted.len()
    }

    /// Waits for the thumbnails of these, and makes sure of all four objects of each, wherever they are now.
    pub(crate) fn check_all(&self, accepted: &[(Urls, Arc<[u8]>)], now_at: impl Fn(&str) -> String) {
        let agent = agent();
        for (urls, picture) in accepted {
            let urls = urls.map(&now_at);
            let original = get(&agent, &urls.original);
            assert!(original.is_some_and(|(_, bytes)| *bytes == **picture), "{}", urls.original);
            for ((url, _), right) in urls.thumbnails().into_iter().zip(self.thumbnails_of(picture).iter()) {
                let (content_type, bytes) = wait_within(THERE_WITHIN, url, || get(&agent, url));
                assert!(bytes == *right, "{url} is not of its picture");
                assert_eq!(content_type, if url.ends_with("jpg") { "image/jpeg" } else { "image/png" });
            }
        }
    }

    /// Compares what was answered 202 with all that is in the store, which is listed now.
    pub(crate) fn tally(&self, list: impl FnOnce() -> Vec<(Key, Vec<u8>)>) -> Tally {
        let accepted: BTreeMap<ImageId, Arc<[u8]>> = {
            let accepted = self.accepted.lock().unwrap();
            accepted.iter().map(|(urls, picture)| (urls.id(), picture.clone())).collect()
        };
        let mut images: BTreeMap<ImageId, BTreeMap<Key, Vec<u8>>> = BTreeMap::new();
        for (key, bytes) in list() {
            images.entry(key.id).or_default().insert(key, bytes);
        }
        let lost = accepted.keys().filter(|id| !images.contains_key(id)).count();
        let mut tally = Tally { accepted: accepted.len(), lost, ..Tally::default() };
        for (id, objects) in &images {
            self.look_at(objects, accepted.get(id), &mut tally);
        }
        tally
    }

    fn look_at(&self, objects: &BTreeMap<Key, Vec<u8>>, picture: Option<&Arc<[u8]>>, tally: &mut Tally) {
        let original = objects.iter().find(|(key, _)| key.kind == Kind::Original).map(|(_, bytes)| bytes);
        match (picture, original) {
            (Some(_), None) => tally.lost += 1,
            (Some(_), Some(_)) => tally.unfinished += usize::from(objects.len() < 4),
            (None, _) if objects.len() == 1 => tally.untold_originals += 1,
            (None, _) => tally.untold_images += 1,
        }
        for (key, bytes) in objects {
            let right = original.is_some_and(|original| match key.kind {
                Kind::Original => picture.map_or(self.is_known(bytes), |picture| **picture == **bytes),
                Kind::Thumbnail(size) => {
                    self.is_known(original)
                        && self.thumbnails_of(original)
                            [[100, 300, 600].binary_search(&size.pixels()).unwrap()]
                            == *bytes
                }
            });
            if !right {
                tally.wrong.push(format!("{key} of {} bytes", bytes.len()));
            } else if key.kind != Kind::Original && !self.seen.lock().unwrap().insert(*key) {
                tally.seen_before += 1;
            }
        }
    }

    /// Whether it is a picture of an upload that was answered 202, or was to be expected.
    fn is_known(&self, picture: &[u8]) -> bool {
        if self.thumbnails.lock().unwrap().contains_key(picture) {
            return true;
        }
        self.accepted.lock().unwrap().iter().any(|(_, accepted)| **accepted == *picture)
    }

    /// The right thumbnails of a picture. Another decoder makes sure that they are pictures of the right sides.
    fn thumbnails_of(&self, picture: &[u8]) -> Thumbnails {
        let mut made = self.thumbnails.lock().unwrap();
        if let Some(made) = made.get(picture) {
            return made.clone();
        }
        let format = inspect(picture, MAX_PIXELS).expect("a picture").thumbnail_format();
        let files = ::pictures::thumbnails(picture, format, Fit::Cover, Size::SIDES, MAX_PIXELS)
            .expect("a picture")
            .files;
        for (file, side) in files.iter().zip([100, 300, 600]) {
            assert_eq!(
                look(file),
                (image_sharer::domain::format::Format::from(format).extension(), side, side)
            );
        }
        let files = Arc::new(files);
        made.insert(picture.to_vec(), files.clone());
        files
    }
}

/// A client that keeps its connections.
pub(crate) fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder().http_status_as_error(false).proxy(None);
    config.timeout_global(Some(PATIENCE)).build().new_agent()
}

/// The Content-Type and the bytes, if it is there.
fn get(agent: &ureq::Agent, url: &str) -> Option<(String, Vec<u8>)> {
    let mut response = agent.get(url).call().unwrap_or_else(|error| panic!("{url}: {error}"));
    if response.status() != 200 {
        return None;
    }
    let content_type = response.headers().get("Content-Type").expect("a type").to_str().unwrap().to_owned();
    let bytes = response.body_mut().with_config().limit(MAX_OBJECT_BYTES).read_to_vec().unwrap();
    Some((content_type, bytes))
}

/// All objects in a local server's directory.
pub(crate) fn objects_in_directory(root: &std::path::Path) -> Vec<(Key, Vec<u8>)> {
    let mut objects = Vec::new();
    for image in std::fs::read_dir(root).unwrap().flatten() {
        let id = image.file_name().into_string().unwrap();
        if id.starts_with('.') {
            continue;
        }
        for file in std::fs::read_dir(image.path()).into_iter().flatten().flatten() {
            let name = format!("{id}/{}", file.file_name().into_string().unwrap());
            let key = name.parse().unwrap_or_else(|()| panic!("{name} is no object's name"));
            if let Ok(bytes) = std::fs::read(file.path()) {
                objects.push((key, bytes)); // unless the server has just taken it back
            }
        }
    }
    objects
}
