//! Clients that upload without a pause, and remember the answers.

use std::ops::Add;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use image::ImageFormat;

use crate::audit::{Audit, agent};
use crate::curl::Reply;
use crate::pictures;
use samples::mutate::Random;

/// How long a client that was turned away, or not answered at all, waits. A good one would wait longer, and see less.
const TURNED_AWAY_PAUSE: Duration = Duration::from_millis(20);

/// A number that may be set by a variable.
pub(crate) fn number_from(variable: &str, unless_set: usize) -> usize {
    std::env::var(variable).map_or(unless_set, |text| text.parse().expect(variable))
}

/// Random numbers from `SEED`, or from the clock; says which seed it is.
pub(crate) fn seeded() -> Random {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let seed = number_from("SEED", now as usize);
    println!("SEED={seed}");
    Random::new(seed as u64)
}

/// What the clients were answered.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Answers {
    /// 202.
    pub accepted: usize,
    /// 503, with a `Retry-After`.
    pub turned_away: usize,
    /// Connections that could not be made, or broke before there was a whole answer.
    pub unanswered: usize,
}

impl Add for Answers {
    type Output = Answers;

    fn add(self, other: Answers) -> Answers {
        Answers {
            accepted: self.accepted + other.accepted,
            turned_away: self.turned_away + other.turned_away,
            unanswered: self.unanswered + other.unanswered,
        }
    }
}

/// Uploading clients. They end when they are told to.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Answers>>,
}

impl Load {
    /// Starts so many clients. Each begins an upload no sooner than `pace` after it began the last one.
    pub(crate) fn start(clients: usize, pace: Duration, url: &str, audit: &Arc<Audit>) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let pictures = Arc::new(some_pictures());
        pictures.iter().for_each(|picture| audit.expect(picture));
        let client = |number| {
            let (stop, pictures, audit) = (stop.clone(), pictures.clone(), audit.clone());
            let url = url.to_owned();
            thread::spawn(move || {
                let mut answers = Answers::default();
                let agent = agent();
                for picture in pictures.iter().cycle().skip(number) {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let began = Instant::now();
                    match post(&agent, &url, picture) {
                        Some(reply) if reply.status == 202 => {
                            audit.note(reply.urls(), picture);
                            answers.accepted += 1;
                            thread::sleep(pace.saturating_sub(began.elapsed()));
                        }
                        Some(reply) => {
                            assert_eq!(reply.status, 503, "{reply:?}");
                            assert!(reply.header("Retry-After").is_some(), "{reply:?}");
                            answers.turned_away += 1;
                            thread::sleep(TURNED_AWAY_PAUSE);
                        }
                        None => {
                            answers.unanswered += 1;
                            thread::sleep(TURNED_AWAY_PAUSE);
                        }
                    }
                }
                answers
            })
        };
        let clients = (0..clients).map(client).collect();
        Load { stop, clients }
    }

    /// Ends the clients, after what they have in hand.
    pub(crate) fn stop(mut self) -> Answers {
        self.stop.store(true, Ordering::Relaxed);
        let answers = self.clients.drain(..).map(|client| client.join().expect("no panic in a client"));
        answers.fold(Answers::default(), Answers::add)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Pictures that are small, so that there can be many, differ, so that a mix-up shows, and are not all JPEGs.
pub(crate) fn some_pictures() -> Vec<Arc<[u8]>> {
    let jpegs = (0..6).map(|number| pictures::jpeg(320 + 32 * number, 240));
    let others = [pictures::transparent(ImageFormat::Png), pictures::opaque(ImageFormat::WebP)];
    jpegs.chain(others).map(Arc::from).collect()
}

/// `multipart/form-data; boundary=b` with a picture.
pub(crate) fn form(picture: &[u8]) -> Vec<u8> {
    let start = "--b\r\nContent-Disposition: form-data; name=\"image\"; filename=\"a\"\r\n\r\n";
    [start.as_bytes(), picture, b"\r\n--b--\r\n"].concat()
}

/// An upload's answer, if it came and was whole.
pub(crate) fn post(agent: &ureq::Agent, url: &str, picture: &[u8]) -> Option<Reply> {
    let body = form(picture);
    let request = agent.post(url).header("Accept", "application/json");
    let request = request.header("Content-Type", "multipart/form-data; boundary=b");
    let mut response = request.send(&body).ok()?;
    let headers = response.headers().iter();
    let head: String =
        headers.map(|(name, value)| format!("{name}: {}\n", value.to_str().unwrap())).collect();
    let body = response.body_mut().read_to_vec().ok()?;
    Some(Reply { status: response.status().as_u16(), head, body })
}
