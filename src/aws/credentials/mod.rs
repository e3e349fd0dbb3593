//! Where the access keys come from, and how they are kept fresh.
//!
//! The places are those of every AWS SDK, in the same order, so that what works for the aws CLI works here: environment
//! variables, the shared files, the container endpoint, the instance metadata. Keys from the last two live for hours at
//! most. They are fetched again before they expire, by one thread while the others go on with the old ones; and when
//! fetching fails the old ones serve until they have really expired, so a hiccup of the metadata service goes unnoticed.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, SystemTime};

pub mod container;
pub mod imds;
pub mod profile;
use crate::domain::failure::{Cause, Failure};
use crate::support::env::Env;

/// How long before they expire credentials are fetched again. The metadata service has new ones "at least five minutes prior
/// to the expiration of the old" (EC2 User Guide, "IAM roles for Amazon EC2").
pub const REFRESH_EARLY: Duration = Duration::from_secs(5 * 60);

/// How long after a fetch the next may come. It keeps a metadata service that fails, or that still has the old credentials,
/// from being asked before every call. Only the first refusal by AWS is reason to ask again at once.
pub const REFRESH_PAUSE: Duration = Duration::from_secs(5);

/// An access key.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Public: it says whose key it is.
    pub access_key_id: String,
    /// Never sent, never shown; requests are signed with it.
    pub secret_access_key: String,
    /// Sent along with temporary credentials.
    pub session_token: Option<String>,
    /// When they cease to work; none for long-lived ones.
    pub expires: Option<SystemTime>,
}

impl Credentials {
    /// A long-lived key.
    pub fn of_key(access_key_id: &str, secret_access_key: &str) -> Credentials {
        Credentials {
            access_key_id: access_key_id.to_string(),
            secret_access_key: secret_access_key.to_string(),
            session_token: None,
            expires: None,
        }
    }

    fn works_for(&self, time: Duration, now: SystemTime) -> bool {
        self.expires.is_none_or(|expires| now + time < expires)
    }
}

/// Without what is secret.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("access_key_id", &self.access_key_id)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

/// Why one of the places gave no credentials.
#[derive(Clone, Debug)]
pub enum Unavailable {
    /// Nothing points to this place; the next one is tried. The text says what is missing.
    Absent(Failure),
    /// Something points to this place, but it does not work. That is an error, because to go on with whatever another place
    /// holds would be to act as somebody else.
    Broken(Failure),
}

impl Unavailable {
    /// Where the difference does not matter.
    pub fn into_reason(self) -> Failure {
        match self {
            Unavailable::Absent(reason) | Unavailable::Broken(reason) => reason,
        }
    }

    fn absent(text: impl Into<String>) -> Unavailable {
        Unavailable::Absent(Failure::new(Cause::Refused, text))
    }

    fn broken(text: impl Into<String>) -> Unavailable {
        Unavailable::Broken(Failure::new(Cause::Refused, text))
    }
}

/// Looks in all the places.
pub fn find(env: &Env) -> Result<Credentials, Failure> {
    type Place = fn(&Env) -> Result<Credentials, Unavailable>;
    let places: [Place; 5] = [
        from_environment,
        profile::credentials,
        from_web_identity,
        container::credentials,
        imds::credentials,
    ];
    let mut absent = Vec::new();
    for place in places {
        match place(env) {
            Ok(credentials) => return Ok(credentials),
            Err(Unavailable::Absent(reason)) => absent.push(reason.to_string()),
            Err(Unavailable::Broken(reason)) => return Err(reason.about("no AWS credentials")),
        }
    }
    let text = format!(
        "no AWS credentials: {}. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the instance or container a role",
        absent.join("; ")
    );
    Err(Failure::new(Cause::Refused, text))
}

fn from_environment(env: &Env) -> Result<Credentials, Unavailable> {
    match (env.get("AWS_ACCESS_KEY_ID"), env.get("AWS_SECRET_ACCESS_KEY")) {
        (Some(id), Some(secret)) => {
            let mut credentials = Credentials::of_key(id, secret);
            credentials.session_token = env.get("AWS_SESSION_TOKEN").map(str::to_string);
            Ok(credentials)
        }
        (None, None) => Err(Unavailable::absent("AWS_ACCESS_KEY_ID is not set")),
        (Some(_), None) => Err(Unavailable::broken(
            "AWS_ACCESS_KEY_ID is set but AWS_SECRET_ACCESS_KEY is not; set both or neither",
        )),
        (None, Some(_)) => Err(Unavailable::broken(
            "AWS_SECRET_ACCESS_KEY is set but AWS_ACCESS_KEY_ID is not; set both or neither",
        )),
    }
}

/// A token to be exchanged for keys, as EKS mounts it for a service account with a role. The exchange is not made here, and
/// going on would mean to act as the node.
fn from_web_identity(env: &Env) -> Result<Credentials, Unavailable> {
    match env.get("AWS_WEB_IDENTITY_TOKEN_FILE") {
        None => Err(Unavailable::absent("AWS_WEB_IDENTITY_TOKEN_FILE is not set")),
        Some(path) => Err(Unavailable::broken(format!(
            "AWS_WEB_IDENTITY_TOKEN_FILE is {path}, but roles of service accounts are not supported here; use EKS Pod \
             Identity, which sets AWS_CONTAINER_CREDENTIALS_FULL_URI, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        ))),
    }
}

/// What fetches credentials when there are none that are fresh.
pub type Fetch = Box<dyn Fn() -> Result<Credentials, Failure> + Send + Sync>;

/// Credentials, fetched when they are first needed and kept fresh after that. Shared by all threads.
pub struct CredentialCache {
    fetch: Fetch,
    /// Held while fetching, by the one thread that does.
    fetching: Mutex<()>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    credentials: Option<Credentials>,
    /// When the last fetch began and how it failed, if it did.
    last_fetch: Option<(SystemTime, Option<Failure>)>,
    /// AWS has refused credentials, and no pause has been kept since.
    refused: bool,
}

impl CredentialCache {
    /// An empty cache. Nothing is fetched yet.
    pub fn new(fetch: Fetch) -> CredentialCache {
        CredentialCache { fetch, fetching: Mutex::new(()), state: Mutex::default() }
    }

    /// Credentials that work now. Waits for a fetch only if there are none; the error is that of the last fetch.
    ///
    /// What was fetched just now is given out even if it has expired: AWS will say so, unless it is this machine's clock that is
    /// wrong, which its answer then puts right.
    pub fn get(&self, now: SystemTime) -> Result<Credentials, Failure> {
        if let Some(settled) = self.without_fetching(now) {
            return settled;
        }
        let old = self.state().credentials.clone().filter(|old| old.works_for(Duration::ZERO, now));
        let _fetching = match (self.fetching.try_lock(), old) {
            (Err(TryLockError::WouldBlock), Some(old)) => return Ok(old),
            (Err(TryLockError::WouldBlock), None) => {
                self.fetching.lock().unwrap_or_else(PoisonError::into_inner)
            }
            (Err(TryLockError::Poisoned(guard)), _) => guard.into_inner(),
            (Ok(guard), _) => guard,
        };
        if let Some(settled) = self.without_fetching(now) {
            return settled;
        }
        let fetched = (self.fetch)();
        let mut state = self.state();
        state.refused &= state.last_fetch.is_none();
        state.last_fetch = Some((now, fetched.as_ref().err().cloned()));
        match fetched {
            Ok(credentials) => {
                state.credentials = Some(credentials.clone());
                Ok(credentials)
            }
            Err(error) => {
                state.credentials.clone().filter(|old| old.works_for(Duration::ZERO, now)).ok_or(error)
            }
        }
    }

    /// Forgets credentials that AWS calls expired, unless another thread has replaced them already. The next are fetched at
    /// once; if AWS refuses these too, only after the pause.
    pub fn refuse(&self, refused: &Credentials) {
        let mut state = self.state();
        if state.credentials.as_ref() != Some(refused) {
            return;
        }
        state.credentials = None;
        if !state.refused {
            state.last_fetch = None;
        }
        state.refused = true;
    }

    /// The answer, if it is settled: the credentials are fresh, or a fetch was made just now.
    fn without_fetching(&self, now: SystemTime) -> Option<Result<Credentials, Failure>> {
        let state = self.state();
        let credentials = state.credentials.as_ref();
        if let Some(fresh) = credentials.filter(|credentials| credentials.works_for(REFRESH_EARLY, now)) {
            return Some(Ok(fresh.clone()));
        }
        let (fetched_at, error) = state.last_fetch.as_ref()?;
        // A clock that was set back must not hold up the next fetch; but a thread that read it before another one began to fetch
        // must not fetch again.
        let since = now.duration_since(*fetched_at).unwrap_or_else(|before| before.duration());
        if since >= REFRESH_PAUSE {
            return None;
        }
        match (credentials, error) {
            (Some(old), None) => Some(Ok(old.clone())),
            (Some(old), Some(_)) if old.works_for(Duration::ZERO, now) => Some(Ok(old.clone())),
            (_, Some(error)) => Some(Err(error.clone())),
            (None, None) => Some(Err(Failure::new(
                Cause::Refused,
                "AWS calls the credentials expired that were fetched just now; \
                 check AWS_SESSION_TOKEN, or what hands out the credentials",
            ))),
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
    fn cache(results: Vec<Result<Credentials, Failure>>) -> (CredentialCache, Arc<AtomicUsize>) {
        let fetches = Arc::new(AtomicUsize::new(0));
        let counter = fetches.clone();
        let fetch = move || results[counter.fetch_add(1, SeqCst)].clone();
        (CredentialCache::new(Box::new(fetch)), fetches)
    }

    #[test]
    fn secrets_are_not_shown() {
        let mut credentials = Credentials::of_key("AKIDEXAMPLE", "hush");
        credentials.session_token = Some("hush too".to_string());
        let shown = format!("{credentials:?}");
        assert!(shown.contains("AKIDEXAMPLE") && !shown.contains("hush"), "{shown}");
    }

    #[test]
    fn the_environment_comes_first_and_whole() {
        let env: Env =
            [("AWS_ACCESS_KEY_ID", "A"), ("AWS_SECRET_ACCESS_KEY", "B"), ("AWS_SESSION_TOKEN", "C")]
                .into_iter()
                .collect();
        let found = find(&env).unwrap();
        assert_eq!((found.access_key_id.as_str(), found.session_token.as_deref()), ("A", Some("C")));
        for half in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
            let error = find(&[(half, "A")].into_iter().collect()).unwrap_err().to_string();
            assert!(
                error.contains("AWS_ACCESS_KEY_ID") && error.contains("AWS_SECRET_ACCESS_KEY"),
                "{error}"
            );
        }
    }

    #[test]
    fn nothing_found_says_what_was_tried() {
        let env: Env =
            [("AWS_EC2_METADATA_DISABLED", "true"), ("HOME", "/nonexistent")].into_iter().collect();
        let error = find(&env).unwrap_err().to_string();
        for tried in [
            "AWS_ACCESS_KEY_ID is not set",
            "/nonexistent/.aws/credentials",
            "AWS_WEB_IDENTITY_TOKEN_FILE",
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
            "AWS_EC2_METADATA_DISABLED",
            "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        ] {
            assert!(error.contains(tried), "{tried} is not in: {error}");
        }
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
        let down = || Err(Failure::new(Cause::TimedOut, "metadata is down"));
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
            cache(vec![Err(Failure::new(Cause::TimedOut, "down")), Ok(Credentials::of_key("A", "B"))]);
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
        let (cache, fetches) = cache(vec![Err(Failure::new(Cause::TimedOut, "down"))]);
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

    #[test]
    fn a_place_that_is_pointed_to_must_work() {
        let home = ("HOME", "/nonexistent");
        let keys = [("AWS_ACCESS_KEY_ID", "A"), ("AWS_SECRET_ACCESS_KEY", "B")];
        for wrong in [
            ("AWS_PROFILE", "nobody"),
            ("AWS_WEB_IDENTITY_TOKEN_FILE", "/nonexistent"),
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://example.com/"),
        ] {
            let error = find(&[wrong, home].into_iter().collect()).unwrap_err().to_string();
            assert!(error.contains(wrong.0) || error.contains(wrong.1), "{error}");
            assert!(find(&keys.into_iter().chain([wrong, home]).collect()).is_ok());
        }
    }
}
