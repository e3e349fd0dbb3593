//! The two files that say how a machine finds others: /etc/hosts, in the form of hosts(5), and /etc/resolv.conf, in that of
//! resolv.conf(5).
//!
//! A line that makes no sense is skipped, as the C library does: a wrong line must not stop a service that does not need it.

use std::fs::File;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use crate::resolve::MAX_ADDRESSES;

/// The most bytes of a file that are read. Some machines list the hosts that they block, in a megabyte or two.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;

const DNS_PORT: u16 = 53;

/// The limits that resolv.conf(5) gives. That of the domains is Kubernetes': it writes up to 32.
const MAX_NAME_SERVERS: usize = 3;
const MAX_SEARCH_DOMAINS: usize = 32;
const MAX_DOTS: usize = 15;
const MAX_TIMEOUT_SECONDS: u64 = 30;
const MAX_ATTEMPTS: usize = 5;

/// The file's text. One that is not there, or cannot be read, says nothing.
pub(super) fn read(path: &Path) -> String {
    let mut bytes = Vec::new();
    if let Ok(file) = File::open(path) {
        // What was read before an error still counts.
        let _ = file.take(MAX_FILE_BYTES).read_to_end(&mut bytes);
    }
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// The addresses that a hosts file lists for a host, IPv4 first.
pub(super) fn find(hosts: &str, host: &str) -> Vec<IpAddr> {
    let host = host.strip_suffix('.').unwrap_or(host);
    let mut found: Vec<IpAddr> =
        hosts.lines().filter_map(|line| address_of(line, host)).take(MAX_ADDRESSES).collect();
    found.sort_by_key(IpAddr::is_ipv6); // it keeps the order among equals
    found
}

fn address_of(line: &str, host: &str) -> Option<IpAddr> {
    let mut words = line.split('#').next()?.split_ascii_whitespace();
    let address = words.next()?;
    words.find(|name| name.eq_ignore_ascii_case(host))?;
    address.parse().ok()
}

/// How to ask DNS.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ResolvConf {
    /// At least one.
    pub(super) name_servers: Vec<SocketAddr>,
    /// What may be added to a name.
    search: Vec<String>,
    /// A name with at least so many dots is tried first as it is.
    dots: usize,
    /// How long one name server is waited for.
    pub(super) timeout: Duration,
    /// How often each is asked.
    pub(super) attempts: usize,
}

impl ResolvConf {
    pub(super) fn parse(text: &str) -> ResolvConf {
        let mut conf = ResolvConf {
            name_servers: Vec::new(),
            search: Vec::new(),
            dots: 1,
            timeout: Duration::from_secs(5),
            attempts: 2,
        };
        for line in text.lines().filter(|line| !line.starts_with(['#', ';'])) {
            let mut words = line.split_ascii_whitespace();
            match words.next() {
                Some("nameserver") => conf.add_name_server(words.next()),
                // The last of the two keywords counts.
                Some("domain") => conf.search = domains(words.take(1)),
                Some("search") => conf.search = domains(words),
                Some("options") => words.for_each(|option| conf.set(option)),
                _ => {}
            }
        }
        if conf.name_servers.is_empty() {
            conf.name_servers.push(SocketAddr::from((Ipv4Addr::LOCALHOST, DNS_PORT)));
        }
        conf
    }

    fn add_name_server(&mut self, address: Option<&str>) {
        if let Some(Ok(address)) = address.map(str::parse::<IpAddr>)
            && self.name_servers.len() < MAX_NAME_SERVERS
        {
            self.name_servers.push(SocketAddr::new(address, DNS_PORT));
        }
    }

    fn set(&mut self, option: &str) {
        let Some((name, value)) = option.split_once(':') else { return };
        let Ok(value) = value.parse::<u16>() else { return };
        match name {
            "ndots" => self.dots = MAX_DOTS.min(value.into()),
            "timeout" => self.timeout = Duration::from_secs(u64::from(value).clamp(1, MAX_TIMEOUT_SECONDS)),
            "attempts" => self.attempts = usize::from(value).clamp(1, MAX_ATTEMPTS),
            _ => {}
        }
    }

    /// The names to ask for, in order, none with a dot at its end.
    pub(super) fn names(&self, host: &str) -> Vec<String> {
        if let Some(whole) = host.strip_suffix('.') {
            return vec![whole.to_string()];
        }
        let mut names: Vec<String> = self.search.iter().map(|domain| format!("{host}.{domain}")).collect();
        let dots = host.bytes().filter(|byte| *byte == b'.').count();
        let position = if dots >= self.dots { 0 } else { names.len() };
        names.insert(position, host.to_string());
        names
    }
}

/// The root, which is written as a dot, adds nothing to a name that is tried as it is anyway.
fn domains<'a>(words: impl Iterator<Item = &'a str>) -> Vec<String> {
    words
        .map(|word| word.trim_end_matches('.'))
        .filter(|domain| !domain.is_empty())
        .take(MAX_SEARCH_DOMAINS)
        .map(str::to_string)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(hosts: &str, host: &str) -> Vec<String> {
        find(hosts, host).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn hosts() {
        let text = "127.0.0.1 localhost\n\
            # 192.0.2.9 s3\n\
            192.0.2.1\ts3.example  s3 # sqs\n\
            2001:db8::1 six s3\n\
            192.0.2.300 six\n\
            fe80::1%eth0 six\n\
            \n\
            192.0.2.2 S3\r\n";
        assert_eq!(found(text, "s3"), ["192.0.2.1", "192.0.2.2", "2001:db8::1"]);
        assert_eq!(found(text, "S3.Example."), ["192.0.2.1"]);
        assert_eq!(found(text, "six"), ["2001:db8::1"]);
        for absent in ["sqs", "192.0.2.1", "#", "", "example"] {
            assert!(found(text, absent).is_empty(), "{absent:?}");
        }
        assert_eq!(found(&"192.0.2.1 s3\n".repeat(100), "s3").len(), MAX_ADDRESSES);
    }

    fn servers(conf: &ResolvConf) -> Vec<String> {
        conf.name_servers.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_empty_resolv_conf_means_this_machine() {
        for text in ["", "nameserver\n", "nameserver dns.example\n", "#nameserver 192.0.2.1\n"] {
            let conf = ResolvConf::parse(text);
            assert_eq!(servers(&conf), ["127.0.0.1:53"], "{text:?}");
            assert_eq!((conf.timeout, conf.attempts), (Duration::from_secs(5), 2));
            assert_eq!(conf.names("s3"), ["s3"]);
        }
    }

    #[test]
    fn what_kubernetes_writes() {
        let conf = ResolvConf::parse(
            "search images.svc.cluster.local svc.cluster.local cluster.local\n\
             nameserver 10.96.0.10\n\
             options ndots:5 timeout:1 attempts:3\n",
        );
        assert_eq!(servers(&conf), ["10.96.0.10:53"]);
        assert_eq!((conf.timeout, conf.attempts), (Duration::from_secs(1), 3));
        let domains = ["images.svc.cluster.local", "svc.cluster.local", "cluster.local"];
        let within = domains.map(|domain| format!("minio.{domain}"));
        assert_eq!(conf.names("minio"), [&within[..], &["minio".to_string()]].concat());
        assert_eq!(conf.names("a.b.c.d.e.f")[0], "a.b.c.d.e.f");
        assert_eq!(conf.names("sqs.eu-west-1.amazonaws.com.")[..], ["sqs.eu-west-1.amazonaws.com"]);
        assert_eq!(conf.names("sqs.eu-west-1.amazonaws.com")[3], "sqs.eu-west-1.amazonaws.com");
    }

    #[test]
    fn the_limits_of_resolv_conf() {
        let mut text =
            "; a comment\noptions ndots:99 timeout:99 attempts:99 ndots edns0 trust-ad ndots:x\n".to_string();
        for n in 1..9 {
            text += &format!("nameserver 192.0.2.{n}\n");
        }
        text += &format!("search first\ndomain .\nsearch {}\n", "a. ".repeat(100));
        let conf = ResolvConf::parse(&text);
        assert_eq!(servers(&conf), ["192.0.2.1:53", "192.0.2.2:53", "192.0.2.3:53"]);
        assert_eq!((conf.dots, conf.timeout, conf.attempts), (15, Duration::from_secs(30), 5));
        assert_eq!((conf.search.len(), conf.search[0].as_str()), (32, "a"));
        let least =
            ResolvConf::parse("options timeout:0 attempts:0 ndots:0\nnameserver ::1\ndomain one two\n");
        assert_eq!((least.dots, least.timeout, least.attempts), (0, Duration::from_secs(1), 1));
        assert_eq!((servers(&least), least.search), (vec!["[::1]:53".to_string()], vec!["one".to_string()]));
    }

    #[test]
    fn fuzz_files() {
        let seeds = [
            b"127.0.0.1 localhost\n::1 s3 # x\n192.0.2.1\ts3.example s3\r\n".to_vec(),
            b"nameserver 10.0.0.2\nsearch a.b c.\noptions ndots:5 timeout:2 attempts:3\n;x\n".to_vec(),
        ];
        samples::mutate::run("fuzz_files", &seeds, |bytes| {
            let text = String::from_utf8_lossy(bytes);
            assert!(find(&text, "s3").len() <= MAX_ADDRESSES);
            let conf = ResolvConf::parse(&text);
            assert!((1..=MAX_NAME_SERVERS).contains(&conf.name_servers.len()));
            assert!(conf.names("s3").iter().any(|name| name == "s3"));
        });
    }
}
