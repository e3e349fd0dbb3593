//! Which addresses a host has, without the C library.
//!
//! glibc looks a name up with the modules that /etc/nsswitch.conf names, and loads these into the program even when it is linked
//! statically: a library of another version of glibc inside ours, which may abort it. So the client reads the hosts file
//! and asks the name servers itself. What only such a module knows (mDNS, the names of systemd's machines) it does not find.
//!
//! From the outside in: [`HostResolver`] is what ureq asks for every call; [`cache`] answers most of them from memory;
//! [`hosts`] reads /etc/hosts and /etc/resolv.conf; [`dns`] asks the name servers, with the bytes that [`message`] writes and
//! reads; [`error`] says why there is no address.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use crate::event::Observer;
use crate::resolve::cache::Cache;
use crate::resolve::error::LookupError;
use crate::resolve::hosts::ResolvConf;

mod cache;
mod dns;
mod error;
mod hosts;
mod message;
#[cfg(test)]
mod name_server;

/// How long an answer is used before the name is looked up again: about what AWS's name servers allow. An open connection stays
/// in use whatever the address, so only a new one may go to an address that is so old.
pub(crate) const REMEMBERED: Duration = Duration::from_secs(5);

/// The most addresses of a host: as many as ureq has room for.
const MAX_ADDRESSES: usize = 16;

/// How long a look-up may take when ureq sets no limit.
const LONGEST_LOOKUP: Duration = Duration::from_secs(10);

/// Looks hosts up for ureq.
#[derive(Debug)]
pub(crate) struct HostResolver {
    names: Cache<System>,
}

impl HostResolver {
    /// Looks hosts up as the machine's /etc/hosts and /etc/resolv.conf say.
    pub(crate) fn new(observer: Observer) -> HostResolver {
        let source = System::new("/etc/hosts", "/etc/resolv.conf");
        HostResolver { names: Cache::new(source, REMEMBERED, observer) }
    }
}

impl Resolver for HostResolver {
    fn resolve(&self, uri: &Uri, _: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        let bad_uri = || Error::BadUri(uri.to_string());
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(bad_uri)?;
        let port = uri.port_u16().or(default_port(uri)).ok_or_else(bad_uri)?;
        let mut addresses = self.empty();
        if let Some(address) = parse_address(host) {
            addresses.push(SocketAddr::new(address, port));
            return Ok(addresses);
        }
        let deadline = Instant::now() + LONGEST_LOOKUP.min(*timeout.after);
        let found =
            self.names.get(host, deadline).map_err(|error| Error::Io(io::Error::new(error.kind(), error)))?;
        found.iter().take(MAX_ADDRESSES).for_each(|address| addresses.push(SocketAddr::new(*address, port)));
        Ok(addresses)
    }
}

fn default_port(uri: &Uri) -> Option<u16> {
    match uri.scheme_str()? {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

/// A URL has brackets around an IPv6 address.
fn parse_address(host: &str) -> Option<IpAddr> {
    match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.parse().ok().map(IpAddr::V6),
        None => host.parse().ok(),
    }
}

/// Finds the addresses of a host. It returns at least one address or an error, and ends by the deadline.
trait LookUp {
    fn look_up(&self, host: &str, deadline: Instant) -> Result<Vec<IpAddr>, LookupError>;
}

/// The machine's own sources: its hosts file, then DNS.
#[derive(Debug)]
struct System {
    hosts: PathBuf,
    resolv_conf: PathBuf,
    /// The position of the name server that answered last. It is asked first, so that one that is down is not waited for again
    /// and again.
    answering: AtomicUsize,
}

impl System {
    fn new(hosts: impl Into<PathBuf>, resolv_conf: impl Into<PathBuf>) -> System {
        System { hosts: hosts.into(), resolv_conf: resolv_conf.into(), answering: AtomicUsize::new(0) }
    }
}

impl LookUp for System {
    /// Both files are read again for each look-up: they are short, and what changed in them counts at once.
    fn look_up(&self, host: &str, deadline: Instant) -> Result<Vec<IpAddr>, LookupError> {
        if is_localhost(host) {
            return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
        }
        let listed = hosts::find(&hosts::read(&self.hosts), host);
        if !listed.is_empty() {
            return Ok(listed);
        }
        let conf = ResolvConf::parse(&hosts::read(&self.resolv_conf));
        let mut servers = dns::Servers::new(&conf, self.answering.load(Ordering::Relaxed));
        let found = dns::look_up(host, &conf, &mut servers, deadline);
        self.answering.store(servers.first(), Ordering::Relaxed);
        found
    }
}

/// `localhost` and what is below it are this machine, whatever a file or a name server says (RFC 6761, section 6.3).
fn is_localhost(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host).as_bytes();
    let Some(start) = host.len().checked_sub("localhost".len()) else { return false };
    host[start..].eq_ignore_ascii_case(b"localhost") && (start == 0 || host[start - 1] == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(url: &str) -> Result<Vec<SocketAddr>, Error> {
        let found = HostResolver::new(|_| ()).resolve(
            &url.parse().unwrap(),
            &Config::default(),
            NextTimeout::default(),
        );
        found.map(|addresses| addresses.to_vec())
    }

    #[test]
    fn addresses_and_localhost_need_nobody() {
        let cases: [(&str, &[&str]); 6] = [
            ("http://192.0.2.7/", &["192.0.2.7:80"]),
            ("https://192.0.2.7/", &["192.0.2.7:443"]),
            ("http://[2001:db8::7]:99/", &["[2001:db8::7]:99"]),
            ("https://localhost/", &["127.0.0.1:443", "[::1]:443"]),
            ("http://S3.LocalHost:4566/", &["127.0.0.1:4566", "[::1]:4566"]),
            ("http://localhost.:1/", &["127.0.0.1:1", "[::1]:1"]),
        ];
        for (url, expected) in cases {
            let expected: Vec<SocketAddr> = expected.iter().map(|address| address.parse().unwrap()).collect();
            assert_eq!(resolve(url).unwrap(), expected, "{url}");
        }
        for other in ["mylocalhost", "localhost.example", "ocalhost", ""] {
            assert!(!is_localhost(other), "{other}");
        }
    }

    #[test]
    fn what_is_no_url_of_ours_is_refused() {
        for url in ["ftp://192.0.2.7/", "/path"] {
            assert!(matches!(resolve(url), Err(Error::BadUri(_))), "{url}");
        }
    }

    #[test]
    fn a_failure_is_one_of_the_network_and_names_the_host() {
        let error = resolve("http://no_such..name/").unwrap_err();
        assert!(matches!(error, Error::Io(_)), "{error:?}");
        assert_eq!(error.to_string(), "io: no_such..name cannot be looked up: it is no host name");
    }

    #[test]
    fn the_hosts_file_comes_before_dns() {
        let directory = std::env::temp_dir().join(format!("image-sharer-resolve-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let (hosts, resolv_conf) = (directory.join("hosts"), directory.join("resolv.conf"));
        std::fs::write(&hosts, "192.0.2.1 listed\n").unwrap();
        std::fs::write(&resolv_conf, "nameserver 127.0.0.1\n").unwrap();
        let system = System::new(&hosts, &resolv_conf);
        let deadline = Instant::now() + Duration::from_secs(5);
        assert_eq!(system.look_up("Listed", deadline).unwrap(), [IpAddr::from([192, 0, 2, 1])]);
        std::fs::write(&hosts, "192.0.2.2 listed\n").unwrap();
        assert_eq!(system.look_up("listed.", deadline).unwrap(), [IpAddr::from([192, 0, 2, 2])]);
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
