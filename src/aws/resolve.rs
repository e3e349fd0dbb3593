//! Which addresses a host has, remembered for a moment.
//!
//! ureq looks a host up for every call, also when it has an open connection to it, and on a thread of its own so that the lookup
//! can time out. A thread that starts and ends, and a question to the name server, would be a third of an upload's cost.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::http::uri::Authority;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// About as long as AWS's name servers allow. Only a new connection may go to an address that is this old: open connections are
/// used whatever the address.
pub(crate) const REMEMBERED: Duration = Duration::from_secs(5);

/// A resolver that asks another one, and remembers the answer for a while. There are two hosts, S3's and SQS's, so the memory
/// needs no limit.
#[derive(Debug)]
pub(crate) struct RememberingResolver<R> {
    other: R,
    remembered: Duration,
    known: Mutex<HashMap<Authority, Known>>,
}

#[derive(Debug)]
struct Known {
    since: Instant,
    addresses: Vec<SocketAddr>,
}

impl<R: Resolver> Resolver for RememberingResolver<R> {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let authority = uri.authority().ok_or_else(|| Error::BadUri(uri.to_string()))?;
        if let Some(known) =
            self.known().get(authority).filter(|known| known.since.elapsed() < self.remembered)
        {
            let mut addresses = self.empty();
            known.addresses.iter().for_each(|address| addresses.push(*address)); // as many as there were room for
            return Ok(addresses);
        }
        let addresses = self.other.resolve(uri, config, timeout)?;
        let known = Known { since: Instant::now(), addresses: addresses.to_vec() };
        self.known().insert(authority.clone(), known);
        Ok(addresses)
    }
}

impl<R> RememberingResolver<R> {
    /// Asks `other`, and remembers its answers for so long.
    pub(crate) fn new(other: R, remembered: Duration) -> RememberingResolver<R> {
        RememberingResolver { other, remembered, known: Mutex::default() }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Authority, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU16, Ordering};

    /// Gives another address every time.
    #[derive(Debug, Default)]
    struct Counting(AtomicU16);

    impl Resolver for Counting {
        fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
            let mut addresses = self.empty();
            addresses.push(SocketAddr::from(([127, 0, 0, 1], self.0.fetch_add(1, Ordering::SeqCst))));
            Ok(addresses)
        }
    }

    fn ports(remembered: Duration, urls: &[&str]) -> Vec<u16> {
        let resolver = RememberingResolver::new(Counting::default(), remembered);
        let resolve = |url: &&str| {
            let uri = url.parse().unwrap();
            resolver.resolve(&uri, &Config::default(), NextTimeout::default()).unwrap()[0].port()
        };
        urls.iter().map(resolve).collect()
    }

    #[test]
    fn a_host_is_looked_up_once_in_a_while() {
        let urls = ["https://s3/a", "https://sqs/", "https://s3/b", "https://sqs/", "https://s3:444/"];
        assert_eq!(ports(Duration::from_secs(3600), &urls), [0, 1, 0, 1, 2]);
        assert_eq!(ports(Duration::ZERO, &urls), [0, 1, 2, 3, 4]);
    }
}
