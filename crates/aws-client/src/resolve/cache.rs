//! Remembers the addresses of hosts, and looks each host up once at a time.
//!
//! ureq asks for every call, also when it has an open connection, and an upload makes two calls. So a host that is remembered
//! costs a lock that is held for a moment, and no thread is started for any. When an answer gets old, the first who asks
//! looks the host up again, and the others go on with the old answer; only a host without an answer lets them wait. When the name
//! servers are out of reach, the old answer serves for another hour (RFC 8767): the addresses of a service outlive most outages.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::event::{Event, Observer};
use crate::resolve::LookUp;
use crate::resolve::error::{Cause, LookupError};

/// How old an answer may get that is used because there is no newer one. S3's addresses change within hours.
const MAX_STALE: Duration = Duration::from_secs(3600);

/// How long a look-up may take when there is an old answer: a caller waits for it, and the old answer probably serves.
const REFRESH_TIMEOUT: Duration = Duration::from_secs(1);

/// How long name servers that could not be reached are left alone when there is an old answer (RFC 8767, section 5).
const RECHECK: Duration = Duration::from_secs(30);

/// The most hosts. A program has S3's and SQS's, and that of its credentials.
const MAX_HOSTS: usize = 64;

/// Addresses, at least one, or why there is none. All who waited for a look-up get the same.
pub(super) type Outcome = Result<Arc<[IpAddr]>, Arc<LookupError>>;

/// Remembers what a [`LookUp`] finds.
#[derive(Debug)]
pub(super) struct Cache<L> {
    source: L,
    remembered: Duration,
    hosts: Mutex<HashMap<String, Host>>,
    looked_up: Condvar,
    observer: Observer,
}

/// What is known of one host.
#[derive(Debug, Default)]
struct Host {
    /// How the last look-up ended, or the addresses of an earlier one that serve in its place. None before the first.
    outcome: Option<Outcome>,
    /// When the addresses were found.
    found: Option<Instant>,
    /// Until then the addresses are used without asking.
    fresh_until: Option<Instant>,
    /// Somebody looks the host up, and has an answer by then.
    looking_until: Option<Instant>,
    /// Look-ups that ended.
    rounds: u64,
    /// The addresses are used though the name servers did not confirm them. The observer was told.
    is_stale: bool,
}

impl Host {
    fn is_looked_up(&self, now: Instant) -> bool {
        self.looking_until.is_some_and(|until| now < until)
    }

    /// Addresses that may still serve, and that are not looked up again just for this caller.
    fn usable(&self, now: Instant) -> Option<Arc<[IpAddr]>> {
        let addresses = self.old(now)?;
        let is_fresh = self.fresh_until.is_some_and(|until| now < until);
        (is_fresh || self.is_looked_up(now)).then_some(addresses)
    }

    /// Addresses that may serve if there is nothing newer.
    fn old(&self, now: Instant) -> Option<Arc<[IpAddr]>> {
        let is_young = self.found.is_some_and(|found| now.saturating_duration_since(found) < MAX_STALE);
        self.outcome.as_ref()?.as_ref().ok().filter(|_| is_young).cloned()
    }
}

impl<L: LookUp> Cache<L> {
    /// Uses an answer of `source` for so long before it asks again.
    pub(super) fn new(source: L, remembered: Duration, observer: Observer) -> Cache<L> {
        Cache { source, remembered, hosts: Mutex::default(), looked_up: Condvar::new(), observer }
    }

    /// The addresses of a host, by the deadline.
    pub(super) fn get(&self, name: &str, deadline: Instant) -> Outcome {
        let mut hosts = self.lock();
        let now = Instant::now();
        if let Some(host) = hosts.get(name) {
            if let Some(addresses) = host.usable(now) {
                return Ok(addresses);
            }
            if host.is_looked_up(now) {
                return self.wait(hosts, name, deadline);
            }
        }
        if hosts.len() >= MAX_HOSTS {
            hosts.retain(|_, host| host.is_looked_up(now));
        }
        let host = hosts.entry(name.to_string()).or_default();
        let deadline = if host.old(now).is_some() { deadline.min(now + REFRESH_TIMEOUT) } else { deadline };
        host.looking_until = Some(deadline);
        drop(hosts);
        let found = self.source.look_up(name, deadline);
        self.keep(name, found)
    }

    /// Waits for the look-up of another thread.
    fn wait(&self, hosts: MutexGuard<HashMap<String, Host>>, name: &str, deadline: Instant) -> Outcome {
        let rounds = |hosts: &HashMap<String, Host>| hosts.get(name).map(|host| host.rounds);
        let before = rounds(&hosts);
        let left = deadline.saturating_duration_since(Instant::now());
        let (hosts, waited) = self
            .looked_up
            .wait_timeout_while(hosts, left, |hosts| rounds(hosts) == before)
            .unwrap_or_else(PoisonError::into_inner);
        let outcome = hosts.get(name).and_then(|host| host.outcome.clone()).filter(|_| !waited.timed_out());
        outcome.unwrap_or_else(|| {
            Err(Arc::new(LookupError { host: name.to_string(), server: None, cause: Cause::timed_out() }))
        })
    }

    /// Keeps how a look-up ended, and tells those who wait for it.
    fn keep(&self, name: &str, found: Result<Vec<IpAddr>, LookupError>) -> Outcome {
        let mut hosts = self.lock();
        let now = Instant::now();
        let host = hosts.entry(name.to_string()).or_default();
        host.looking_until = None;
        host.rounds += 1;
        let mut stale = None;
        let outcome = match found {
            Ok(addresses) => {
                host.found = Some(now);
                host.fresh_until = Some(now + self.remembered);
                host.is_stale = false;
                Ok(addresses.into())
            }
            Err(error) => match host.old(now).filter(|_| error.cause.is_passing()) {
                Some(addresses) => {
                    host.fresh_until = Some(now + RECHECK);
                    stale = Some(error).filter(|_| !host.is_stale);
                    host.is_stale = true;
                    Ok(addresses)
                }
                None => Err(Arc::new(error)),
            },
        };
        host.outcome = Some(outcome.clone());
        drop(hosts);
        self.looked_up.notify_all();
        if let Some(error) = stale {
            (self.observer)(&Event::OldAddressesUsed { host: name, error: &error });
        }
        outcome
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Host>> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
