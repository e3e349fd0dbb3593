//! How much of the gate one client may take: a quarter, so that it takes four addresses to fill it, and whoever fills his
//! own share pushes out only himself.
//!
//! A client is an address, or a network of 64 bits where addresses are IPv6: that is the least that one customer is given.
//! Behind a proxy that is trusted, the peer is the proxy, and the client is who the proxy says it took the request from.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use crate::support::networks::{Networks, network};

/// The bits of an IPv6 address that all of one customer's have.
const IPV6_BITS: u32 = 64;

/// A client's share is the whole divided by this. Behind one address may be an office, and a browser takes six connections.
const SHARES: usize = 4;

/// Who takes how many places: connections, or requests in hand of connections from a trusted proxy.
pub(super) struct Clients {
    trusted: Networks,
    most_each: usize,
    places: Mutex<BTreeMap<IpAddr, usize>>,
}

/// One client's place, until it is dropped.
pub(super) struct Place {
    clients: Arc<Clients>,
    /// Whose it is.
    pub(super) share: IpAddr,
}

impl Clients {
    /// That share `places`.
    pub(super) fn new(trusted: Networks, places: usize) -> Arc<Clients> {
        let most_each = places.div_ceil(SHARES);
        Arc::new(Clients { trusted, most_each, places: Mutex::default() })
    }

    /// Who has connected, unless it is a trusted proxy.
    pub(super) fn of_peer(&self, peer: IpAddr) -> Option<IpAddr> {
        let peer = peer.to_canonical();
        (!self.trusted.contain(peer)).then_some(peer)
    }

    /// Whom a trusted proxy took a request from: the last in `X-Forwarded-For` that is no trusted proxy itself. What is before
    /// it anybody may have written.
    pub(super) fn of_forwarded(&self, forwarded_for: Option<&str>) -> Option<IpAddr> {
        let last_first = forwarded_for?.rsplit(',').map(|entry| address(entry.trim()));
        last_first
            .into_iter()
            .find(|entry| entry.is_none_or(|address| !self.trusted.contain(address)))
            .flatten()
    }

    /// Takes a place for a client, and says whether that is within its share.
    pub(super) fn take(self: &Arc<Clients>, client: IpAddr) -> (Place, bool) {
        let share = share_of(client);
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = places.entry(share).or_default();
        *taken += 1;
        (Place { clients: self.clone(), share }, *taken <= self.most_each)
    }
}

/// Whose share an address takes of.
pub(super) fn share_of(client: IpAddr) -> IpAddr {
    if client.is_ipv4() { client } else { network(client, IPV6_BITS) }
}

/// Some proxies write the port too.
fn address(text: &str) -> Option<IpAddr> {
    let with_port = || text.parse().map(|address: SocketAddr| address.ip());
    text.parse().or_else(|_| with_port()).ok().map(|address: IpAddr| address.to_canonical())
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut places = self.clients.places.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(taken) = places.get_mut(&self.share) {
            *taken -= 1; // each place was counted when it was taken
            if *taken == 0 {
                places.remove(&self.share);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clients() -> Arc<Clients> {
        Clients::new("10.0.0.0/8,fd00::/8".parse().unwrap(), 8)
    }

    #[test]
    fn who_is_asking() {
        let clients = clients();
        assert_eq!(clients.of_peer("10.1.2.3".parse().unwrap()), None);
        assert_eq!(clients.of_peer("::ffff:10.1.2.3".parse().unwrap()), None);
        assert_eq!(clients.of_peer("::ffff:192.0.2.1".parse().unwrap()), Some([192, 0, 2, 1].into()));
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
            assert_eq!(clients.of_forwarded(Some(header)), expected, "{header:?}");
        }
        assert_eq!(clients.of_forwarded(None), None);
    }

    #[test]
    fn each_has_a_share_of_its_own() {
        let clients = clients();
        let take = |client: &str| clients.take(client.parse().unwrap());
        let (first, second) = (take("2001:db8::1"), take("2001:db8::ffff:1"));
        assert!(first.1 && second.1);
        assert!(!take("2001:db8::2").1, "a third of one network, of 8 places");
        assert!(take("2001:db8:0:1::2").1, "another network");
        drop(first);
        assert!(take("2001:db8::2").1);
        drop(second);
        assert!(clients.places.lock().unwrap().is_empty());
    }
}
