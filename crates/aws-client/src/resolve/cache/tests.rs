//! The cache, in front of a look-up that the test answers when it likes.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;

use super::*;

const HOUR: Duration = Duration::from_secs(3600);

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

fn address(n: u8) -> IpAddr {
    Ipv4Addr::new(192, 0, 2, n).into()
}

fn error(host: &str, cause: Cause) -> LookupError {
    LookupError { host: host.to_string(), server: None, cause }
}

/// Finds another address every time; what is set here first is how it fails.
#[derive(Default)]
struct Counting {
    asked: AtomicU8,
    fails: Mutex<Option<fn() -> Cause>>,
}

impl LookUp for Counting {
    fn look_up(&self, host: &str, _: Instant) -> Result<Vec<IpAddr>, LookupError> {
        let n = self.asked.fetch_add(1, Ordering::SeqCst);
        match *self.fails.lock().unwrap() {
            Some(cause) => Err(error(host, cause())),
            None => Ok(vec![address(n)]),
        }
    }
}

fn found(cache: &Cache<Counting>, hosts: &[&str]) -> Vec<IpAddr> {
    hosts.iter().map(|host| cache.get(host, soon()).unwrap()[0]).collect()
}

#[test]
fn a_host_is_looked_up_once_in_a_while() {
    let cache = Cache::new(Counting::default(), HOUR, |_| ());
    assert_eq!(found(&cache, &["s3", "sqs", "s3", "sqs"]), [0, 1, 0, 1].map(address));
    let cache = Cache::new(Counting::default(), Duration::ZERO, |_| ());
    assert_eq!(found(&cache, &["s3", "sqs", "s3", "sqs"]), [0, 1, 2, 3].map(address));
}

#[test]
fn hosts_beyond_any_need_are_forgotten() {
    let cache = Cache::new(Counting::default(), HOUR, |_| ());
    (0..200).for_each(|n| drop(cache.get(&format!("host{n}"), soon())));
    assert!(cache.lock().len() <= MAX_HOSTS);
}

#[test]
fn old_addresses_serve_while_the_name_servers_do_not() {
    let cache = Cache::new(Counting::default(), Duration::ZERO, |_| ());
    assert_eq!(found(&cache, &["s3"]), [address(0)]);
    *cache.source.fails.lock().unwrap() = Some(Cause::timed_out);
    // The second time nobody is asked.
    assert_eq!(found(&cache, &["s3", "s3", "s3"]), [0, 0, 0].map(address));
    assert_eq!(cache.source.asked.load(Ordering::SeqCst), 2);
    assert!(cache.lock()["s3"].is_stale);
    assert!(cache.get("sqs", soon()).is_err());

    // When it is asked again, and answered, all is as before.
    cache.lock().get_mut("s3").unwrap().fresh_until = None;
    *cache.source.fails.lock().unwrap() = None;
    assert_eq!(found(&cache, &["s3"]), [address(3)]);
    assert!(!cache.lock()["s3"].is_stale);
}

#[test]
fn what_is_too_old_or_denied_does_not_serve() {
    let cache = Cache::new(Counting::default(), Duration::ZERO, |_| ());
    found(&cache, &["s3", "sqs"]);
    *cache.source.fails.lock().unwrap() = Some(|| Cause::NoSuchName);
    assert!(matches!(cache.get("s3", soon()).unwrap_err().cause, Cause::NoSuchName));
    *cache.source.fails.lock().unwrap() = Some(Cause::timed_out);
    assert!(cache.get("s3", soon()).is_err());
    let Some(long_ago) = Instant::now().checked_sub(MAX_STALE) else { return }; // just booted
    cache.lock().get_mut("sqs").unwrap().found = Some(long_ago);
    assert!(cache.get("sqs", soon()).is_err());
}

/// What a look-up is to find.
type Told = Result<u8, Cause>;

/// Says that it was asked, and answers when it is told to.
struct Slow {
    asked: SyncSender<Instant>,
    go: Mutex<Receiver<Told>>,
}

impl Slow {
    fn cache(remembered: Duration) -> (Arc<Cache<Slow>>, Receiver<Instant>, SyncSender<Told>) {
        let (asked, was_asked) = mpsc::sync_channel(100);
        let (tell, go) = mpsc::sync_channel(100);
        let slow = Slow { asked, go: Mutex::new(go) };
        (Arc::new(Cache::new(slow, remembered, |_| ())), was_asked, tell)
    }
}

impl LookUp for Slow {
    fn look_up(&self, host: &str, deadline: Instant) -> Result<Vec<IpAddr>, LookupError> {
        self.asked.send(deadline).unwrap();
        let told = self.go.lock().unwrap().recv().unwrap();
        told.map(|n| vec![address(n)]).map_err(|cause| error(host, cause))
    }
}

fn ask(cache: &Arc<Cache<Slow>>, deadline: Instant) -> thread::JoinHandle<Outcome> {
    let cache = cache.clone();
    thread::spawn(move || cache.get("s3", deadline))
}

#[test]
fn many_who_ask_at_once_share_one_look_up() {
    let (cache, was_asked, tell) = Slow::cache(HOUR);
    let first = ask(&cache, soon());
    was_asked.recv().unwrap();
    // One whose time is up meanwhile goes without.
    let impatient = ask(&cache, Instant::now() + Duration::from_millis(10)).join().unwrap();
    assert_eq!(impatient.unwrap_err().kind(), std::io::ErrorKind::TimedOut);
    let others: Vec<_> = (0..32).map(|_| ask(&cache, soon())).collect();
    tell.send(Ok(7)).unwrap();
    for thread in others.into_iter().chain([first]) {
        assert_eq!(thread.join().unwrap().unwrap()[0], address(7));
    }
    assert!(was_asked.try_recv().is_err(), "asked twice");
}

#[test]
fn who_waits_for_a_look_up_shares_its_failure() {
    for _ in 0..100 {
        let (cache, was_asked, tell) = Slow::cache(HOUR);
        let first = ask(&cache, soon());
        was_asked.recv().unwrap();
        let second = ask(&cache, soon());
        (0..1000).for_each(|_| thread::yield_now());
        (0..2).for_each(|_| tell.send(Err(Cause::NoSuchName)).unwrap());
        for thread in [first, second] {
            assert!(matches!(thread.join().unwrap().unwrap_err().cause, Cause::NoSuchName));
        }
        if was_asked.try_recv().is_err() {
            return;
        } // or the second came late, and asked for itself
    }
    panic!("nobody waited");
}

#[test]
fn with_an_old_answer_only_one_waits_and_not_for_long() {
    let (cache, was_asked, tell) = Slow::cache(Duration::ZERO);
    tell.send(Ok(1)).unwrap();
    cache.get("s3", soon()).unwrap();
    was_asked.recv().unwrap();
    let first = ask(&cache, soon());
    assert!(was_asked.recv().unwrap() <= Instant::now() + REFRESH_TIMEOUT);
    assert_eq!(cache.get("s3", Instant::now()).unwrap()[0], address(1));
    tell.send(Ok(2)).unwrap();
    assert_eq!(first.join().unwrap().unwrap()[0], address(2));
}

#[test]
fn a_look_up_that_never_ended_is_made_again() {
    let (cache, was_asked, tell) = Slow::cache(Duration::ZERO);
    let lost = ask(&cache, Instant::now());
    was_asked.recv().unwrap();
    let second = ask(&cache, soon());
    was_asked.recv().unwrap();
    tell.send(Ok(1)).unwrap();
    tell.send(Ok(1)).unwrap();
    assert!(lost.join().unwrap().is_ok() && second.join().unwrap().is_ok());
}
