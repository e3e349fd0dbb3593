//! Viewers behind a cache: nginx in the place of CloudFront, which remembers that a thumbnail was not there yet.
//!
//! The template lets CloudFront remember a 403 or 404 for 1 second where its default is 10. Both are tried, on the same image.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::curl::{Reply, curl, upload};
use crate::engine::engine;
use crate::nginx::Nginx;
use crate::pictures::{self, look};
use crate::program::{Program, wait_until};
use crate::stack::Stack;

/// What CloudFront does, as far as it matters here: it asks the bucket without the query string, caches an answer by its path for
/// as long as `Cache-Control` says, and has a time of its own for errors.
const CONFIGURATION: &str = "
proxy_cache_path DIRECTORY/cache keys_zone=images:1m inactive=1h;
server {
    listen 127.0.0.1:PORT;
    location / {
        proxy_pass ORIGIN$uri;
        proxy_http_version 1.1;
        proxy_set_header Connection '';
        proxy_set_header Host HOST;
        proxy_cache images;
        proxy_cache_key $uri;
        proxy_cache_valid 403 404 ERRORS_FOR;
        add_header X-Cache-Status $upstream_cache_status always;
    }
}
";

/// A running cache.
pub(crate) struct Cdn {
    /// Where viewers look.
    pub url: String,
    _nginx: Nginx,
}

impl Cdn {
    /// Starts one in front of an origin. It remembers errors for so long.
    fn start(origin: &str, errors_for: Duration) -> Cdn {
        Cdn::of_site("$proxy_host", origin, errors_for)
    }

    /// The same for one of several sites of the origin.
    pub(crate) fn of_site(host: &str, origin: &str, errors_for: Duration) -> Cdn {
        let configuration = CONFIGURATION
            .replace("ORIGIN", origin)
            .replace("HOST", host)
            .replace("ERRORS_FOR", &format!("{}s", errors_for.as_secs()));
        let nginx = Nginx::start(&configuration);
        Cdn { url: format!("http://127.0.0.1:{}", nginx.port), _nginx: nginx }
    }
}

/// How the cache came by its answer: `MISS`, `HIT`, or `EXPIRED` when it had one and asked again.
fn cache_status(reply: &Reply) -> &str {
    reply.header("X-Cache-Status").unwrap_or_else(|| panic!("not from the cache: {reply:?}"))
}

/// What a viewer saw that asked until there was a picture.
struct Seen {
    at: Instant,
    picture: Reply,
    /// How the cache came by the answers before.
    before: Vec<String>,
}

fn look_until_seen(url: &str) -> Seen {
    let mut before = Vec::new();
    wait_until(url, || {
        let reply = curl(&[url]);
        if reply.status == 200 {
            return Some(Seen { at: Instant::now(), picture: reply, before: std::mem::take(&mut before) });
        }
        assert_eq!(reply.status, 404, "{reply:?}");
        before.push(cache_status(&reply).to_owned());
        None
    })
}

/// Asks too early, and makes sure that the cache remembers the error, also with a query string.
fn not_there_yet(url: &str) {
    let reply = curl(&[url]);
    assert_eq!((reply.status, cache_status(&reply)), (404, "MISS"), "{url}");
    wait_until("the 404 is remembered", || {
        let reply = curl(&[&format!("{url}?again")]);
        assert_eq!(reply.status, 404, "{reply:?}");
        (cache_status(&reply) == "HIT").then_some(()) // on a slow machine it may have been forgotten again
    });
}

/// How long the template lets CloudFront remember an error.
fn remembered_by_the_template() -> Duration {
    let template = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/template.yaml");
    let template = fs::read_to_string(template).unwrap();
    let after = template.split("ErrorCode: 404, ErrorCachingMinTTL: ").nth(1).expect("it says so");
    let (seconds, _) = after.split_once('}').expect("a list in one line");
    Duration::from_secs(seconds.parse().unwrap())
}

/// Stops the program, or lets it go on.
fn tell(program: &Program, signal: Signal) {
    let process = Pid::from_raw(program.id() as i32).expect("a process has a number");
    kill_process(process, signal).expect("the program runs");
}

const CLOUDFRONTS_DEFAULT: Duration = Duration::from_secs(10);

#[test]
fn a_thumbnail_that_was_asked_for_too_early_is_seen_soon_after_it_is_stored() {
    let (short, default) = (remembered_by_the_template(), CLOUDFRONTS_DEFAULT);
    let ours = Cdn::start(&engine().endpoint, short);
    let theirs = Cdn::start(&engine().endpoint, default);
    let stack = Stack::shown_by(&ours.url);
    // It is ready, so that its start takes nothing of the 10 s, but stands still until all have asked.
    let worker = stack.worker();
    tell(&worker, Signal::STOP);
    let picture = pictures::jpeg(640, 480);
    let urls = upload(&stack.url, &picture).urls();
    assert!(urls.small.starts_with(&ours.url), "{urls:?}");
    assert_eq!(curl(&[&urls.original]).body, picture);

    // The caches remember these answers.
    let path = urls.small.strip_prefix(&ours.url).expect("it was asserted");
    let small_of_theirs = format!("{}{path}", theirs.url);
    not_there_yet(&urls.small);
    let early = Instant::now();
    not_there_yet(&small_of_theirs);

    let (stored, seen) = thread::scope(|scope| {
        let viewer = scope.spawn(|| look_until_seen(&urls.small));
        tell(&worker, Signal::CONT);
        worker.line_with(&["outcome=done"]);
        (Instant::now(), viewer.join().expect("it was seen"))
    });
    let seen_of_theirs = look_until_seen(&small_of_theirs);
    assert!(seen.at < early + default, "as late as with CloudFront's default");
    assert_eq!(seen_of_theirs.before.first().map(String::as_str), Some("HIT"), "it is not seen there yet");

    for (name, seen) in [("1 s", &seen), ("10 s", &seen_of_theirs)] {
        let late = seen.at.saturating_duration_since(stored).as_secs_f64();
        println!("errors remembered for {name}: a thumbnail is seen {late:.1} s after it is stored");
        let from_cache = seen.before.iter().all(|status| status == "HIT" || status == "EXPIRED");
        assert!(from_cache, "{:?}", seen.before);
        assert_eq!(cache_status(&seen.picture), "EXPIRED", "the store was asked again");
        assert_eq!(look(&seen.picture.body), ("jpg", 100, 100));
    }

    a_picture_is_kept(&urls.small, path, &seen.picture.body);
}

/// An object is never rewritten, so the cache never asks for it again.
fn a_picture_is_kept(url: &str, path: &str, picture: &[u8]) {
    let is_kept = |url: &str| {
        let reply = curl(&[url]);
        assert_eq!((reply.status, cache_status(&reply)), (200, "HIT"), "{url}: {}", reply.head);
        assert_eq!(reply.header("Cache-Control"), Some("public, max-age=31536000, immutable"));
        assert_eq!(reply.header("Content-Type"), Some("image/jpeg"));
        assert_eq!(reply.body, picture);
    };
    is_kept(url);
    is_kept(&format!("{url}?uploads")); // on S3 itself a query string may ask for something else
    for unknown in ["small.png", "small.jpg/", "tiny.jpg"].map(|name| url.replace("small.jpg", name)) {
        let asked = [unknown.clone(), format!("{unknown}?again")].map(|unknown| {
            let reply = curl(&[&unknown]);
            (reply.status, cache_status(&reply).to_owned())
        });
        assert_eq!(asked[0], (404, "MISS".to_owned()), "{unknown}");
        assert_eq!(asked[1].0, 404, "{unknown}");
    }
    is_kept(url);
    engine().remove(path);
    assert_eq!(curl(&[&format!("{}{path}", engine().endpoint)]).status, 404);
    is_kept(url);
}
