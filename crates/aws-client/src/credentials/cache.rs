//! Credentials, fetched when they are first needed and kept fresh after that. All threads share one cache.
//!
//! One thread fetches while the others go on with the credentials that there are. A failed fetch is remembered for a moment,
//! and so is one that brought credentials which AWS refuses: neither is repeated before every call.

use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, SystemTime};

use super::Credentials;
use crate::error::{Error, ErrorKind};

/// How long before they expire credentials are fetched again. The metadata service has new ones "at least five minutes prior
/// to the expiration of the old" (EC2 User Guide, "IAM roles for Amazon EC2").
pub const REFRESH_EARLY: Duration = Duration::from_secs(5 * 60);

/// How long after a fetch the next may come. It keeps a metadata service that fails, or that still has the old credentials,
/// from being asked before every call. Only the first refusal by AWS is reason to ask again at once.
const REFRESH_PAUSE: Duration = Duration::from_secs(5);

type Fetch = Box<dyn Fn() -> Result<Credentials, Error> + Send + Sync>;

pub(crate) struct CredentialCache {
    fetch: Fetch,
    /// Held while fetching, by the one thread that does.
    fetching: Mutex<()>,
    state: Mutex<State>,
}

#[derive(Default)]
enum State {
    /// Nothing has been fetched yet.
    #[default]
    Empty,
    Fetched {
        credentials: Credentials,
        at: SystemTime,
        /// These replace credentials that AWS called expired.
        after_refusal: bool,
    },
    /// The last fetch failed. The old credentials serve while they work.
    Failed { at: SystemTime, error: Error, old: Option<Credentials> },
    /// AWS has called the credentials expired. The next are fetched at once.
    RefusedOnce,
    /// AWS has called their replacements expired too. The next are fetched after the pause.
    RefusedAgain { at: SystemTime },
}

impl State {
    fn credentials(&self) -> Option<&Credentials> {
        match self {
            State::Fetched { credentials, .. } => Some(credentials),
            State::Failed { old, .. } => old.as_ref(),
            State::Empty | State::RefusedOnce | State::RefusedAgain { .. } => None,
        }
    }

    fn that_work(&self, now: SystemTime) -> Option<Credentials> {
        self.credentials().filter(|credentials| credentials.works_for(Duration::ZERO, now)).cloned()
    }

    /// What `get` answers without a fetch: the credentials are fresh, or a fetch was made just now.
    fn settled(&self, now: SystemTime) -> Option<Result<Credentials, Error>> {
        let fresh = self.credentials().filter(|credentials| credentials.works_for(REFRESH_EARLY, now));
        if let Some(fresh) = fresh {
            return Some(Ok(fresh.clone()));
        }
        match self {
            State::Empty | State::RefusedOnce => None,
            State::Fetched { credentials, at, .. } => is_recent(*at, now).then(|| Ok(credentials.clone())),
            State::Failed { at, error, .. } => {
                is_recent(*at, now).then(|| self.that_work(now).ok_or_else(|| error.clone()))
            }
            State::RefusedAgain { at } => is_recent(*at, now).then(|| {
                Err(Error::new(
                    ErrorKind::Refused,
                    "AWS calls the credentials expired that were fetched just now; check AWS_SESSION_TOKEN, or what hands \
                     out the credentials",
                ))
            }),
        }
    }
}

/// Whether the pause after a fetch is not over. A clock that was set back must not hold up the next fetch. But a thread that
/// read the clock before another one began to fetch must not fetch again.
fn is_recent(fetched_at: SystemTime, now: SystemTime) -> bool {
    now.duration_since(fetched_at).unwrap_or_else(|before| before.duration()) < REFRESH_PAUSE
}

impl CredentialCache {
    /// An empty cache. Nothing is fetched yet.
    pub(crate) fn new(fetch: Fetch) -> CredentialCache {
        CredentialCache { fetch, fetching: Mutex::new(()), state: Mutex::default() }
    }

    /// Credentials that work now. Waits for a fetch only if there are none; the error is that of the last fetch.
    ///
    /// What was fetched just now is given out even if it has expired: AWS will say so, unless it is this machine's clock that is
    /// wrong, which its answer then puts right.
    pub(crate) fn get(&self, now: SystemTime) -> Result<Credentials, Error> {
        if let Some(settled) = self.state().settled(now) {
            return settled;
        }
        let old = self.state().that_work(now);
        let _fetching = match (self.fetching.try_lock(), old) {
            (Err(TryLockError::WouldBlock), Some(old)) => return Ok(old),
            (Err(TryLockError::WouldBlock), None) => {
                self.fetching.lock().unwrap_or_else(PoisonError::into_inner)
            }
            (Err(TryLockError::Poisoned(guard)), _) => guard.into_inner(),
            (Ok(guard), _) => guard,
        };
        if let Some(settled) = self.state().settled(now) {
            return settled; // another thread has fetched meanwhile
        }
        let fetched = (self.fetch)();
        let mut state = self.state();
        match fetched {
            Ok(credentials) => {
                let after_refusal = matches!(*state, State::RefusedOnce);
                *state = State::Fetched { credentials: credentials.clone(), at: now, after_refusal };
                Ok(credentials)
            }
            Err(error) => {
                let (that_work, old) = (state.that_work(now), state.credentials().cloned());
                *state = State::Failed { at: now, error: error.clone(), old };
                that_work.ok_or(error)
            }
        }
    }

    /// Forgets credentials that AWS calls expired, unless another thread has replaced them already. The next are fetched at
    /// once; if AWS refuses these too, only after the pause.
    pub(crate) fn refuse(&self, refused: &Credentials) {
        let mut state = self.state();
        if state.credentials() == Some(refused) {
            *state = match *state {
                State::Fetched { at, after_refusal: true, .. } => State::RefusedAgain { at },
                _ => State::RefusedOnce,
            };
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::sync::mpsc::{Receiver, channel};
    use std::thread;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + 1000 * HOUR
    }

    fn numbered(n: usize, expires: SystemTime) -> Credentials {
        Credentials { expires: Some(expires), ..Credentials::of_key(&format!("KEY{n}"), "secret") }
    }

    /// A cache whose fetches give what is in the list, one after the other, and how many there were.
    fn cache(results: Vec<Result<Credentials, Error>>) -> (CredentialCache, Arc<AtomicUsize>) {
        let fetches = Arc::new(AtomicUsize::new(0));
        let counter = fetches.clone();
        let fetch = move || results[counter.fetch_add(1, SeqCst)].clone();
        (CredentialCache::new(Box::new(fetch)), fetches)
    }

    #[test]
    fn long_lived_ones_are_fetched_once() {
        let (cache, fetches) = cache(vec![Ok(Credentials::of_key("A", "B"))]);
        for hours in [0, 1, 100_000] {
            assert_eq!(cache.get(now() + hours * HOUR).unwrap().access_key_id, "A");
        }
        assert_eq!(fetches.load(SeqCst), 1);
    }

    #[test]
    fn fetched_again_before_they_expire() {
        let (cache, fetches) = cache(vec![Ok(numbered(1, now() + HOUR)), Ok(numbered(2, now() + 2 * HOUR))]);
        assert_eq!(cache.get(now()).unwrap().access_key_id, "KEY1");
        assert_eq!(cache.get(now() + HOUR - REFRESH_EARLY * 2).unwrap().access_key_id, "KEY1");
        assert_eq!(fetches.load(SeqCst), 1);
        assert_eq!(cache.get(now() + HOUR - REFRESH_EARLY).unwrap().access_key_id, "KEY2");
    }

    #[test]
    fn the_old_ones_serve_while_fetching_fails() {
        let down = || Err(Error::new(ErrorKind::TimedOut, "metadata is down"));
        let (cache, fetches) = cache(vec![Ok(numbered(1, now() + HOUR)), down(), down(), down()]);
        cache.get(now()).unwrap();
        let late = now() + HOUR - REFRESH_EARLY;
        assert_eq!(cache.get(late).unwrap().access_key_id, "KEY1");
        assert_eq!(cache.get(late + REFRESH_PAUSE / 2).unwrap().access_key_id, "KEY1");
        assert_eq!(fetches.load(SeqCst), 2, "asked again within the pause");
        assert_eq!(cache.get(late + REFRESH_PAUSE).unwrap().access_key_id, "KEY1");
        assert_eq!(fetches.load(SeqCst), 3);
        assert_eq!(cache.get(now() + HOUR).unwrap_err().to_string(), "metadata is down");
        assert_eq!(cache.get(now() + HOUR + REFRESH_PAUSE / 2).unwrap_err().to_string(), "metadata is down");
        assert_eq!(fetches.load(SeqCst), 4, "a failure is remembered for the pause");
    }

    #[test]
    fn a_clock_set_back_does_not_stop_fetching() {
        let (cache, _) =
            cache(vec![Err(Error::new(ErrorKind::TimedOut, "down")), Ok(Credentials::of_key("A", "B"))]);
        cache.get(now()).unwrap_err();
        assert!(cache.get(now() - HOUR).is_ok());
    }

    #[test]
    fn refused_ones_are_forgotten_once() {
        let (cache, _) = cache(vec![Ok(numbered(1, now() + HOUR)), Ok(numbered(2, now() + HOUR))]);
        let first = cache.get(now()).unwrap();
        cache.refuse(&first);
        assert_eq!(cache.get(now()).unwrap().access_key_id, "KEY2");
        cache.refuse(&first);
        assert_eq!(cache.get(now()).unwrap().access_key_id, "KEY2");
    }

    #[test]
    fn expired_ones_are_not_fetched_before_every_call() {
        let fetches = Arc::new(AtomicUsize::new(0));
        let counter = fetches.clone();
        let cache =
            CredentialCache::new(Box::new(move || Ok(numbered(counter.fetch_add(1, SeqCst), now() - HOUR))));
        for n in 0..100 {
            assert!(cache.get(now() + REFRESH_PAUSE / 100 * n).is_ok());
        }
        assert_eq!(fetches.load(SeqCst), 1);
        cache.get(now() + REFRESH_PAUSE).unwrap();
        assert_eq!(fetches.load(SeqCst), 2);
    }

    #[test]
    fn refused_ones_are_fetched_again_at_once_but_once() {
        let fetches = Arc::new(AtomicUsize::new(0));
        let counter = fetches.clone();
        let cache = CredentialCache::new(Box::new(move || {
            counter.fetch_add(1, SeqCst);
            Ok(numbered(7, now() + HOUR))
        }));
        for pause in 0..3 {
            for n in 0..50 {
                match cache.get(now() + REFRESH_PAUSE * pause + REFRESH_PAUSE / 100 * n) {
                    Ok(credentials) => cache.refuse(&credentials),
                    Err(error) => {
                        assert!(error.to_string().contains("AWS calls the credentials expired"), "{error}");
                    }
                }
            }
            assert_eq!(fetches.load(SeqCst) as u32, 2 * (pause + 1));
        }
    }

    #[test]
    fn a_thread_that_read_the_clock_first_does_not_fetch_again() {
        let (cache, fetches) = cache(vec![Err(Error::new(ErrorKind::TimedOut, "down"))]);
        cache.get(now()).unwrap_err();
        cache.get(now() - Duration::from_millis(1)).unwrap_err();
        assert_eq!(fetches.load(SeqCst), 1);
    }

    /// One thread is held up in a fetch; the others must not wait for it.
    #[test]
    fn one_fetches_while_the_others_use_the_old() {
        let patience = Duration::from_secs(5);
        let ((entered, in_fetch), (release, gate)) = (channel::<()>(), channel::<()>());
        let gate: Mutex<Receiver<()>> = Mutex::new(gate);
        let fetches = AtomicUsize::new(0);
        let cache = CredentialCache::new(Box::new(move || {
            let n = fetches.fetch_add(1, SeqCst);
            if n == 1 {
                entered.send(()).unwrap();
                gate.lock().unwrap().recv_timeout(patience).unwrap();
            }
            Ok(numbered(n, now() + HOUR * (n as u32 + 1)))
        }));
        assert_eq!(cache.get(now()).unwrap().access_key_id, "KEY0");
        let late = now() + HOUR - REFRESH_EARLY;
        thread::scope(|scope| {
            let slow = scope.spawn(|| cache.get(late).unwrap());
            in_fetch.recv_timeout(patience).unwrap();
            for _ in 0..100 {
                assert_eq!(cache.get(late).unwrap().access_key_id, "KEY0");
            }
            release.send(()).unwrap();
            assert_eq!(slow.join().unwrap().access_key_id, "KEY1");
        });
        assert_eq!(cache.get(late).unwrap().access_key_id, "KEY1");
    }
}
