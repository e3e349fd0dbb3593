//! Questions to name servers of the test's own on the loopback interface.

use std::net::Ipv4Addr;

use simple_dns::RCODE;

use super::*;
use crate::resolve::name_server::{Asked, NameServer};

/// The text has no name servers; these are added.
fn conf(text: &str, servers: &[&NameServer]) -> ResolvConf {
    let mut conf = ResolvConf::parse(text);
    conf.name_servers = servers.iter().map(|server| server.address).collect();
    conf
}

fn look_up_with(host: &str, conf: &ResolvConf, patience: Duration) -> Result<Vec<String>, LookupError> {
    let found = look_up(host, conf, &mut Servers::new(conf, 0), Instant::now() + patience);
    found.map(|addresses| addresses.iter().map(ToString::to_string).collect())
}

fn find(host: &str, servers: &[&NameServer]) -> Result<Vec<String>, LookupError> {
    look_up_with(host, &conf("", servers), Duration::from_secs(10))
}

fn answering(addresses: &'static [&'static str]) -> NameServer {
    NameServer::start(|asked| vec![asked.addresses(addresses)])
}

#[test]
fn both_families_are_asked_for_and_ipv4_comes_first() {
    let cases: [&[&str]; 3] = [&["192.0.2.1", "192.0.2.2", "2001:db8::1"], &["192.0.2.1"], &["2001:db8::1"]];
    for addresses in cases {
        let server = NameServer::start(move |asked| vec![asked.addresses(addresses)]);
        // A busy machine may bring the answer about IPv6 too late.
        assert!((0..20).any(|_| find("s3.example", &[&server]).unwrap() == addresses), "{addresses:?}");
        let asked = server.asked();
        assert_eq!(asked.iter().take(2).map(|asked| asked.is_v6).collect::<Vec<_>>(), [false, true]);
        assert_ne!(asked[0].bytes[..2], asked[1].bytes[..2], "ids, which are the same once in 65,536 runs");
    }
}

#[test]
fn a_server_that_says_nothing_about_ipv6_delays_little() {
    let server = NameServer::start(|asked| match asked.is_v6 {
        true => Vec::new(),
        false => vec![asked.addresses(&["192.0.2.1"])],
    });
    let start = Instant::now();
    assert_eq!(find("s3.example", &[&server]).unwrap(), ["192.0.2.1"]);
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}

#[test]
fn forgeries_and_garbage_are_passed_over() {
    let server = NameServer::start(|asked| {
        let forged = asked.addresses(&["198.51.100.66", "2001:db8::66"]);
        let mut other_id = forged.clone();
        other_id[0] ^= 1;
        let mut other_name = forged.clone();
        other_name[13] ^= 1;
        let mut no_response = forged.clone();
        no_response[2] &= 0x7F;
        let cut = forged[..forged.len() - 1].to_vec();
        let good = asked.addresses(&["192.0.2.1"]);
        vec![other_id, other_name, no_response, cut, Vec::new(), vec![0xFF; 1400], good]
    });
    assert_eq!(find("s3.example", &[&server]).unwrap(), ["192.0.2.1"]);
}

#[test]
fn an_answer_that_does_not_fit_is_asked_for_by_tcp() {
    let many: Vec<String> = (0..200).map(|n| format!("192.0.2.{n}")).collect();
    let server = NameServer::start(move |asked| match asked.by_tcp {
        true => vec![asked.addresses(&many.iter().map(String::as_str).collect::<Vec<_>>())],
        false => vec![asked.truncated()],
    });
    let found = find("s3.example", &[&server]).unwrap();
    assert_eq!((found.len(), found[15].as_str()), (MAX_ADDRESSES, "192.0.2.15"));
    assert!(server.asked().iter().any(|asked| asked.by_tcp));
}

#[test]
fn nonsense_by_tcp_is_a_failure_of_the_server() {
    type Answering = fn(&Asked) -> Vec<Vec<u8>>;
    let nonsense: [Answering; 4] =
        [|asked| vec![asked.truncated()], |_| vec![vec![0xFF; 300]], |_| vec![Vec::new()], |_| Vec::new()];
    for answer in nonsense {
        let server = NameServer::start(move |asked| match asked.by_tcp {
            true => answer(asked),
            false => vec![asked.truncated()],
        });
        let error = find("s3.example", &[&server]).unwrap_err();
        assert!(error.cause.is_passing(), "{error}");
        let good = answering(&["192.0.2.1"]);
        assert_eq!(find("s3.example", &[&server, &good]).unwrap(), ["192.0.2.1"]);
    }
}

#[test]
fn a_name_that_is_not_there_is_not_asked_for_elsewhere() {
    let other = answering(&["192.0.2.1"]);
    let none = NameServer::start(|asked| vec![asked.refuse(RCODE::NameError)]);
    let error = find("s3.example", &[&none, &other]).unwrap_err();
    let expected = "s3.example cannot be looked up: name server 127.0.0.1: there is no such name (NXDOMAIN)";
    assert_eq!((error.to_string().as_str(), error.kind()), (expected, ErrorKind::NotFound));
    let error = find("s3.example", &[&answering(&[]), &other]).unwrap_err();
    assert!(matches!(error.cause, Cause::NoAddress), "{error}");
    assert!(other.names().is_empty());
    for name in ["a..b", "", ".", "a b", "ü.example", &"x".repeat(64), &"x.".repeat(128)] {
        let error = find(name, &[&other]).unwrap_err();
        assert!(matches!(error.cause, Cause::NoHostName), "{error}");
    }
}

#[test]
fn the_next_server_is_asked_when_one_cannot_tell() {
    let good = answering(&["192.0.2.1"]);
    for code in [RCODE::ServerFailure, RCODE::Refused, RCODE::NotImplemented, RCODE::FormatError] {
        let bad = NameServer::start(move |asked| vec![asked.refuse(code)]);
        assert_eq!(find("s3.example", &[&bad, &good]).unwrap(), ["192.0.2.1"]);
        let error = find("s3.example", &[&bad]).unwrap_err();
        assert!(matches!(error.cause, Cause::Unanswered(c) if c == code), "{error}");
        assert_eq!(bad.asked().iter().filter(|asked| !asked.is_v6).count(), 3, "once, and twice");
    }
}

#[test]
fn a_silent_server_leaves_time_for_the_next_and_is_asked_last_then() {
    let (silent, good) = (NameServer::silent(), answering(&["192.0.2.1"]));
    let conf = conf("search a.example b.example\noptions ndots:5", &[&silent, &good]);
    let mut servers = Servers::new(&conf, 0);
    let start = Instant::now();
    look_up("s3.example", &conf, &mut servers, start + Duration::from_secs(2)).unwrap();
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    assert_eq!((servers.first(), silent.names()), (1, vec!["s3.example.a.example".to_string()]));
    look_up("s3.example", &conf, &mut servers, Instant::now() + Duration::from_secs(9)).unwrap();
    assert_eq!(silent.names().len(), 1);
}

#[test]
fn silence_ends_by_the_deadline() {
    let silent = NameServer::silent();
    let start = Instant::now();
    let conf = conf("search a.example", &[&silent]);
    let error = look_up_with("s3.example", &conf, Duration::from_millis(300)).unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    let expected = "s3.example cannot be looked up: name server 127.0.0.1: no answer in time";
    assert_eq!((error.to_string().as_str(), error.kind()), (expected, ErrorKind::TimedOut));
}

#[test]
fn where_nobody_listens_the_next_is_asked_at_once() {
    let closed = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let good = answering(&["192.0.2.1"]);
    let mut conf = conf("", &[&good]);
    conf.name_servers.insert(0, closed);
    let start = Instant::now();
    assert_eq!(look_up_with("s3.example", &conf, Duration::from_secs(60)).unwrap(), ["192.0.2.1"]);
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
}

#[test]
fn search_domains() {
    let server = NameServer::start(|asked| match asked.name.as_str() {
        "minio.svc.example" | "s3.example" => vec![asked.addresses(&["192.0.2.1"])],
        "broken.a.example" => vec![asked.refuse(RCODE::ServerFailure)],
        _ => vec![asked.refuse(RCODE::NameError)],
    });
    let conf = conf("search a.example svc.example\noptions attempts:1", &[&server]);
    let find = |host: &str| look_up_with(host, &conf, Duration::from_secs(10));
    assert_eq!(find("minio").unwrap(), ["192.0.2.1"]);
    assert_eq!(find("s3.example").unwrap(), ["192.0.2.1"]);
    assert_eq!(server.names(), ["minio.a.example", "minio.svc.example", "s3.example"]);
    assert!(matches!(find("minio.").unwrap_err().cause, Cause::NoSuchName));
    assert!(matches!(find("other").unwrap_err().cause, Cause::NoSuchName));
    // What could not be found out is not taken for a name that is not there.
    assert!(matches!(find("broken").unwrap_err().cause, Cause::Unanswered(RCODE::ServerFailure)));
}
