//! A name server for tests, on loopback: it answers by UDP and TCP what a test tells it to, and keeps what it was asked.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread;

use simple_dns::rdata::{A, AAAA, RData};
use simple_dns::{CLASS, Packet, PacketFlag, QTYPE, RCODE, ResourceRecord, TYPE};

/// A question that came.
#[derive(Clone)]
pub(super) struct Asked {
    pub(super) bytes: Vec<u8>,
    pub(super) name: String,
    pub(super) is_v6: bool,
    pub(super) by_tcp: bool,
}

impl Asked {
    fn new(bytes: &[u8], by_tcp: bool) -> Asked {
        let packet = Packet::parse(bytes).unwrap();
        let [question] = packet.questions.as_slice() else { panic!("{packet:?}") };
        assert!(packet.has_flags(PacketFlag::RECURSION_DESIRED));
        let is_v6 = question.qtype == QTYPE::TYPE(TYPE::AAAA);
        Asked { bytes: bytes.to_vec(), name: question.qname.to_string(), is_v6, by_tcp }
    }

    /// Those of the addresses that are of the family that was asked for.
    pub(super) fn addresses(&self, addresses: &[&str]) -> Vec<u8> {
        self.reply(|packet, question| {
            let parsed = addresses.iter().map(|address| address.parse::<IpAddr>().unwrap());
            for address in parsed.filter(|address| address.is_ipv6() == self.is_v6) {
                let rdata = match address {
                    IpAddr::V4(address) => RData::A(A::from(address)),
                    IpAddr::V6(address) => RData::AAAA(AAAA::from(address)),
                };
                packet.answers.push(ResourceRecord::new(question.clone(), CLASS::IN, 60, rdata));
            }
        })
    }

    pub(super) fn refuse(&self, code: RCODE) -> Vec<u8> {
        self.reply(|packet, _| *packet.rcode_mut() = code)
    }

    pub(super) fn truncated(&self) -> Vec<u8> {
        self.reply(|packet, _| packet.set_flags(PacketFlag::TRUNCATION))
    }

    fn reply<'a>(&'a self, change: impl FnOnce(&mut Packet<'a>, &simple_dns::Name<'a>)) -> Vec<u8> {
        let mut packet = Packet::parse(&self.bytes).unwrap().into_reply();
        let name = packet.questions[0].qname.clone();
        change(&mut packet, &name);
        packet.build_bytes_vec_compressed().unwrap()
    }
}

/// The server. Its threads end with the test's process.
pub(super) struct NameServer {
    pub(super) address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl NameServer {
    /// Sends for each question the messages that `answer` returns.
    pub(super) fn start(answer: impl Fn(&Asked) -> Vec<Vec<u8>> + Send + Sync + 'static) -> NameServer {
        let (udp, tcp) = bind_both();
        let server = NameServer { address: udp.local_addr().unwrap(), asked: Arc::default() };
        let answer = Arc::new(answer);
        let (asked, by_udp) = (server.asked.clone(), answer.clone());
        thread::spawn(move || {
            let mut buffer = [0; 600];
            while let Ok((length, client)) = udp.recv_from(&mut buffer) {
                let question = Asked::new(&buffer[..length], false);
                asked.lock().unwrap().push(question.clone());
                by_udp(&question).iter().for_each(|message| drop(udp.send_to(message, client)));
            }
        });
        let asked = server.asked.clone();
        thread::spawn(move || {
            // A client that leaves early is none of the server's business.
            tcp.incoming().flatten().for_each(|stream| drop(serve_tcp(stream, &asked, &*answer)));
        });
        server
    }

    /// Hears and never answers.
    pub(super) fn silent() -> NameServer {
        NameServer::start(|_| Vec::new())
    }

    /// The names that it was asked for, each once in a row.
    pub(super) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.asked().into_iter().map(|asked| asked.name).collect();
        names.dedup();
        names
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

fn serve_tcp(
    mut stream: TcpStream,
    asked: &Mutex<Vec<Asked>>,
    answer: &dyn Fn(&Asked) -> Vec<Vec<u8>>,
) -> io::Result<()> {
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut bytes = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut bytes)?;
    let question = Asked::new(&bytes, true);
    asked.lock().unwrap().push(question.clone());
    for message in answer(&question) {
        stream.write_all(&(message.len() as u16).to_be_bytes())?;
        // In pieces, as a network may bring it.
        message.chunks(100).try_for_each(|piece| stream.write_all(piece))?;
    }
    Ok(())
}

/// The same port for both.
fn bind_both() -> (UdpSocket, TcpListener) {
    for _ in 0..100 {
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()) {
            return (udp, tcp);
        }
    }
    panic!("no port is free for both")
}
