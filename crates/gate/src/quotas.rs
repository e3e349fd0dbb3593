//! How many slots one client may have. A client that has filled its quota evicts only its own connections.
//!
//! A client is an IPv4 address, or an IPv6 /64 network: a provider gives no customer a smaller one.
//! Behind a trusted proxy, the peer is the proxy, and the client is who the proxy says it took the request from.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::networks::{Networks, network};

/// The bits of an IPv6 address that all addresses of one customer share.
const IPV6_BITS: u32 = 64;

/// How many slots each client has: of connections, or behind a trusted proxy of requests in hand.
pub(crate) struct Quotas {
    trusted: Networks,
    quota: usize,
    taken: Mutex<BTreeMap<IpAddr, usize>>,
}

/// One slot, counted in a client's quota until it is dropped.
pub(crate) struct QuotaSlot {
    quotas: Arc<Quotas>,
    pub(crate) key: IpAddr,
}

pub(crate) struct Taken {
    pub(crate) slot: QuotaSlot,
    /// The client has no more slots than its quota, this one included.
    pub(crate) is_within: bool,
}

impl Quotas {
    pub(crate) fn new(trusted: Networks, quota: usize) -> Quotas {
        Quotas { trusted, quota, taken: Mutex::default() }
    }

    /// The client that has connected, unless the peer is a trusted proxy.
    pub(crate) fn client_of_peer(&self, peer: IpAddr) -> Option<IpAddr> {
        let peer = peer.to_canonical();
        (!self.trusted.contain(peer)).then_some(peer)
    }

    /// The client that a trusted proxy took a request from: the last address in `X-Forwarded-For` that is no trusted proxy
    /// itself. Anybody may have written what is before it.
    pub(crate) fn client_of_forwarded(&self, forwarded_for: Option<&str>) -> Option<IpAddr> {
        let last_first = forwarded_for?.rsplit(',').map(|entry| parse_address(entry.trim()));
        last_first
            .into_iter()
            .find(|entry| entry.is_none_or(|address| !self.trusted.contain(address)))
            .flatten()
    }

    /// Counts one more slot for a client, even if it is over the quota.
    pub(crate) fn take(self: &Arc<Quotas>, client: IpAddr) -> Taken {
        let key = quota_key(client);
        let mut slots = self.lock();
        let taken = slots.entry(key).or_default();
        *taken += 1;
        Taken { is_within: *taken <= self.quota, slot: QuotaSlot { quotas: self.clone(), key } }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<IpAddr, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All addresses of one client have the same key.
pub(crate) fn quota_key(client: IpAddr) -> IpAddr {
    if client.is_ipv4() { client } else { network(client, IPV6_BITS) }
}

/// Some proxies write the port too.
fn parse_address(text: &str) -> Option<IpAddr> {
    let with_port = || text.parse().map(|address: SocketAddr| address.ip());
    text.parse().or_else(|_| with_port()).ok().map(|address: IpAddr| address.to_canonical())
}

impl Drop for QuotaSlot {
    fn drop(&mut self) {
        let mut slots = self.quotas.lock();
        if let Some(taken) = slots.get_mut(&self.key) {
            *taken -= 1; // each slot was counted when it was taken
            if *taken == 0 {
                slots.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quotas(quota: usize) -> Arc<Quotas> {
        Arc::new(Quotas::new("10.0.0.0/8,fd00::/8".parse().unwrap(), quota))
    }

    #[test]
    fn who_is_asking() {
        let quotas = quotas(2);
        assert_eq!(quotas.client_of_peer("10.1.2.3".parse().unwrap()), None);
        assert_eq!(quotas.client_of_peer("::ffff:10.1.2.3".parse().unwrap()), None);
        assert_eq!(quotas.client_of_peer("::ffff:192.0.2.1".parse().unwrap()), Some([192, 0, 2, 1].into()));
        for (header, expected) in [
            ("192.0.2.1", Some("192.0.2.1")),
            ("6.6.6.6, 192.0.2.1", Some("192.0.2.1")),
            ("6.6.6.6,192.0.2.1 , 10.0.0.1,fd00::1", Some("192.0.2.1")),
            ("192.0.2.1:4711", Some("192.0.2.1")),
            ("[2001:db8::1]:4711, 10.0.0.1:80", Some("2001:db8::1")),
            ("2001:db8::1", Some("2001:db8::1")),
            ("6.6.6.6, unknown, 10.0.0.1", None),
            ("10.0.0.1", None),
            ("", None),
        ] {
            let expected = expected.map(|address| address.parse().unwrap());
            assert_eq!(quotas.client_of_forwarded(Some(header)), expected, "{header:?}");
        }
        assert_eq!(quotas.client_of_forwarded(None), None);
    }

    #[test]
    fn each_client_has_a_quota_of_its_own() {
        let quotas = quotas(2);
        let take = |client: &str| quotas.take(client.parse().unwrap());
        let (first, second) = (take("2001:db8::1"), take("2001:db8::ffff:1"));
        assert!(first.is_within && second.is_within);
        assert!(!take("2001:db8::2").is_within, "a third slot for one network");
        assert!(take("2001:db8:0:1::2").is_within, "another network");
        drop(first);
        assert!(take("2001:db8::2").is_within);
        drop(second);
        assert!(quotas.lock().is_empty());
    }
}
