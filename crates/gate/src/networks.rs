//! Sets of addresses, written as `10.0.0.7`, `10.0.0.0/8`, `fd00::/8`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// Some networks; none by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(Vec<(IpAddr, u32)>);

impl Networks {
    /// Whether the address is in any of them. It must be [canonical](IpAddr::to_canonical).
    pub fn contain(&self, address: IpAddr) -> bool {
        let is_of_kind = |base: &IpAddr| base.is_ipv4() == address.is_ipv4();
        self.0.iter().any(|(base, bits)| is_of_kind(base) && network(address, *bits) == *base)
    }
}

impl FromStr for Networks {
    type Err = ();

    /// Takes a list with commas of addresses and of networks in CIDR form, with no bit set after the prefix.
    fn from_str(text: &str) -> Result<Networks, ()> {
        text.split(',').map(|one| parse(one.trim()).ok_or(())).collect::<Result<_, ()>>().map(Networks)
    }
}

fn parse(text: &str) -> Option<(IpAddr, u32)> {
    let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
    let address: IpAddr = address.parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.map_or(Some(most), |bits| bits.parse().ok())?;
    // Peers are compared in canonical form, so no peer would ever be in a network of IPv4-mapped addresses.
    let is_canonical = address.to_canonical() == address;
    (is_canonical && bits <= most && network(address, bits) == address).then_some((address, bits))
}

/// Where this machine itself reaches what listens at `address`, which may stand for all of its addresses.
pub fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        let loopback = |v4| if v4 { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
        address.set_ip(loopback(address.is_ipv4()));
    }
    address
}

/// The address with nothing after its first `bits`.
pub(crate) fn network(address: IpAddr, bits: u32) -> IpAddr {
    match address {
        IpAddr::V4(v4) => IpAddr::V4((v4.to_bits() & u32::MAX.checked_shl(32 - bits).unwrap_or(0)).into()),
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & u128::MAX.checked_shl(128 - bits).unwrap_or(0)).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_them() {
        let networks: Networks = "10.0.0.0/8, 192.0.2.7,fd00::/8,::1".parse().unwrap();
        for inside in ["10.0.0.0", "10.255.255.255", "192.0.2.7", "fdff::1", "::1"] {
            assert!(networks.contain(inside.parse().unwrap()), "{inside}");
        }
        for outside in ["11.0.0.0", "9.255.255.255", "192.0.2.6", "fe00::", "::", "::2"] {
            assert!(!networks.contain(outside.parse().unwrap()), "{outside}");
        }
        let all: Networks = "0.0.0.0/0".parse().unwrap();
        assert!(all.contain([255, 1, 2, 3].into()) && !all.contain("::".parse().unwrap()));
        assert!(!Networks::default().contain([127, 0, 0, 1].into()));
    }

    #[test]
    fn what_is_no_network() {
        for bad in [
            "",
            ",",
            "10",
            "10.0.0.0/33",
            "10.0.0.1/8",
            "10.0.0.0/",
            "10.0.0.0/-1",
            "a",
            "::/129",
            "1.2.3.4,",
            "::ffff:10.0.0.7",
        ] {
            assert_eq!(bad.parse::<Networks>(), Err(()), "{bad:?}");
        }
    }
}
