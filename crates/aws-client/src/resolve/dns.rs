//! Asks the name servers that /etc/resolv.conf names, one after the other, until one of them can tell.
//!
//! Each question goes out from a socket of its own, so from a port that nobody can guess, and two questions at a time do not
//! meet in one entry of a machine's connection table, where Linux loses one of them now and then.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use rand::TryRng;
use rand::rngs::SysRng;

use crate::resolve::MAX_ADDRESSES;
use crate::resolve::error::{Cause, LookupError};
use crate::resolve::hosts::ResolvConf;
use crate::resolve::message::{Answer, Family, Question};

/// The most bytes of a datagram. By RFC 1035 it has 512 when the question does not allow for more; larger answers come over TCP.
const MAX_DATAGRAM: usize = 1500;

/// How long the answer about IPv6 is waited for when that about IPv4 is there: the "resolution delay" of RFC 8305. Some name
/// servers never answer about IPv6.
const IPV6_DELAY: Duration = Duration::from_millis(50);

/// The longest name in its text form, and the longest label of it (RFC 1035, section 2.3.4).
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;

/// The name servers in the order in which they are asked.
pub(super) struct Servers<'a> {
    all: &'a [SocketAddr],
    first: usize,
}

impl Servers<'_> {
    /// `first` is the position of the one to begin with.
    pub(super) fn new(conf: &ResolvConf, first: usize) -> Servers<'_> {
        Servers { all: &conf.name_servers, first }
    }

    /// The position of the one that is asked first.
    pub(super) fn first(&self) -> usize {
        self.first
    }

    fn current(&self) -> Option<SocketAddr> {
        self.all.get(self.first % self.all.len().max(1)).copied()
    }

    /// The one that did not answer is asked last from now on.
    fn rotate(&mut self) {
        self.first = (self.first + 1) % self.all.len().max(1);
    }
}

/// The addresses of a host: at least one, IPv4 first. Many machines have IPv6 addresses that lead nowhere, which a connection
/// finds out only by waiting; a machine without IPv4 finds out at once.
pub(super) fn look_up(
    host: &str,
    conf: &ResolvConf,
    servers: &mut Servers,
    deadline: Instant,
) -> Result<Vec<IpAddr>, LookupError> {
    let mut error = LookupError { host: host.to_string(), server: None, cause: Cause::NoHostName };
    for name in conf.names(host).iter().filter(|name| is_host_name(name)) {
        match ask_in_turn(name, conf, servers, deadline) {
            Ok(addresses) => return Ok(addresses),
            // That one name does not exist says less than that another could not be looked up, or has no address.
            Err(other) if rank(&other.cause) >= rank(&error.cause) => {
                error = LookupError { host: error.host, ..other };
            }
            Err(_) => {}
        }
    }
    Err(error)
}

fn rank(cause: &Cause) -> u8 {
    match cause {
        Cause::NoHostName => 0,
        Cause::NoSuchName => 1,
        Cause::NoAddress => 2,
        Cause::Unanswered(_) | Cause::Io(_) => 3,
    }
}

fn is_host_name(name: &str) -> bool {
    let is_label = |label: &str| {
        let sound = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        (1..=MAX_LABEL).contains(&label.len()) && label.bytes().all(sound)
    };
    name.len() <= MAX_NAME && name.split('.').all(is_label)
}

fn ask_in_turn(
    name: &str,
    conf: &ResolvConf,
    servers: &mut Servers,
    deadline: Instant,
) -> Result<Vec<IpAddr>, LookupError> {
    let error = |server, cause| LookupError { host: name.to_string(), server, cause };
    let mut last = error(servers.current(), Cause::timed_out());
    for _ in 0..conf.attempts * conf.name_servers.len() {
        let now = Instant::now();
        let left = deadline.saturating_duration_since(now);
        let Some(server) = servers.current().filter(|_| !left.is_zero()) else { break };
        // Never more than a half of the time, so that there is some for the next server.
        match ask(name, server, now + conf.timeout.min(left / 2)) {
            Ok(addresses) => return Ok(addresses),
            Err(cause) if cause.is_passing() => {
                last = error(Some(server), cause);
                servers.rotate();
            }
            Err(cause) => return Err(error(Some(server), cause)),
        }
    }
    Err(last)
}

/// Asks one name server for both families at a time. What it says about IPv4 decides, where the two differ: a name that has
/// IPv4 addresses must not be taken for one without because that answer was lost.
fn ask(name: &str, server: SocketAddr, deadline: Instant) -> Result<Vec<IpAddr>, Cause> {
    let v4 = Sent::new(name, Family::V4, server)?;
    let v6 = Sent::new(name, Family::V6, server)?;
    let mut addresses = v4.receive(deadline)?;
    if addresses.is_empty() {
        addresses = v6.receive(deadline)?;
    } else if let Ok(more) = v6.receive(deadline.min(Instant::now() + IPV6_DELAY)) {
        addresses.extend(more);
    }
    addresses.truncate(MAX_ADDRESSES);
    if addresses.is_empty() { Err(Cause::NoAddress) } else { Ok(addresses) }
}

/// A question that was sent.
struct Sent<'a> {
    question: Question<'a>,
    bytes: Vec<u8>,
    server: SocketAddr,
    socket: UdpSocket,
}

impl Sent<'_> {
    fn new(name: &str, family: Family, server: SocketAddr) -> Result<Sent<'_>, Cause> {
        let id = SysRng.try_next_u32().map_err(io::Error::other)? as u16;
        let question = Question { id, name, family };
        let bytes = question.to_bytes().map_err(|_| Cause::NoHostName)?;
        let any_address: IpAddr =
            if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind((any_address, 0))?;
        socket.connect(server)?; // it takes nothing from others then, and hears when nobody listens there
        socket.send(&bytes)?;
        Ok(Sent { question, bytes, server, socket })
    }

    /// Waits for the answer.
    fn receive(&self, deadline: Instant) -> Result<Vec<IpAddr>, Cause> {
        let mut buffer = [0; MAX_DATAGRAM];
        loop {
            self.socket.set_read_timeout(Some(time_left(deadline)?))?;
            let bytes = match self.socket.recv(&mut buffer) {
                Ok(length) => buffer.get(..length).unwrap_or_default(),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(to_cause(error)),
            };
            match self.question.read_answer(bytes) {
                Some(Answer::Truncated) => return self.ask_by_tcp(deadline),
                Some(answer) => return conclude(answer),
                None => {} // somebody else's, or forged: the right one may still come
            }
        }
    }

    fn ask_by_tcp(&self, deadline: Instant) -> Result<Vec<IpAddr>, Cause> {
        let mut stream = TcpStream::connect_timeout(&self.server, time_left(deadline)?).map_err(to_cause)?;
        stream.set_write_timeout(Some(time_left(deadline)?))?;
        let length = u16::try_from(self.bytes.len()).map_err(|_| Cause::NoHostName)?;
        stream.write_all(&[&length.to_be_bytes(), self.bytes.as_slice()].concat()).map_err(to_cause)?;
        let mut length = [0; 2];
        read_exact(&mut stream, &mut length, deadline)?;
        let mut answer = vec![0; u16::from_be_bytes(length).into()];
        read_exact(&mut stream, &mut answer, deadline)?;
        self.question.read_answer(&answer).map_or_else(|| Err(nonsense()), conclude)
    }
}

fn conclude(answer: Answer) -> Result<Vec<IpAddr>, Cause> {
    match answer {
        Answer::Addresses(addresses) => Ok(addresses),
        Answer::NoSuchName => Err(Cause::NoSuchName),
        Answer::Unanswered(code) => Err(Cause::Unanswered(code)),
        Answer::Truncated => Err(nonsense()),
    }
}

/// Over TCP every answer fits, and there is no other that could still come.
fn nonsense() -> Cause {
    Cause::Io(io::Error::new(ErrorKind::InvalidData, "its answer over TCP makes no sense"))
}

fn read_exact(stream: &mut TcpStream, mut buffer: &mut [u8], deadline: Instant) -> Result<(), Cause> {
    while !buffer.is_empty() {
        stream.set_read_timeout(Some(time_left(deadline)?))?;
        match stream.read(buffer) {
            Ok(0) => return Err(Cause::Io(ErrorKind::UnexpectedEof.into())),
            Ok(length) => buffer = buffer.get_mut(length..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(to_cause(error)),
        }
    }
    Ok(())
}

/// Never zero, which sockets take for "for ever".
fn time_left(deadline: Instant) -> Result<Duration, Cause> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(Cause::timed_out()) } else { Ok(left) }
}

/// A socket's time-out has another name on Linux.
fn to_cause(error: io::Error) -> Cause {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => Cause::timed_out(),
        _ => Cause::Io(error),
    }
}

#[cfg(test)]
mod tests;
