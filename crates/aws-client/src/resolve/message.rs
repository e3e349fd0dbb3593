//! The bytes of a question to a name server and of its answer, by RFC 1035, section 4. No I/O.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, RCODE, SimpleDnsError, TYPE};
use simple_dns::{Question as PacketQuestion, header_buffer};

use crate::resolve::MAX_ADDRESSES;

/// The most records in a section of an answer. The package makes room for as many as the answer says it has, and an answer that
/// fits 64 KiB could say 65,535; a name with a thousand addresses is none of ours.
const MAX_RECORDS: u16 = 1000;

/// The most aliases that lead from a name to its addresses: CloudFront and load balancers take one or two, name servers follow 8
/// to 16.
const MAX_ALIASES: usize = 16;

/// A family of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    pub(super) fn record_type(self) -> TYPE {
        match self {
            Family::V4 => TYPE::A,
            Family::V6 => TYPE::AAAA,
        }
    }
}

/// One question: which addresses of a family a name has.
pub(super) struct Question<'a> {
    pub(super) id: u16,
    pub(super) name: &'a str,
    pub(super) family: Family,
}

/// What a name server answers.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Maybe none: then the name has no address of the family.
    Addresses(Vec<IpAddr>),
    /// It does not fit in a datagram.
    Truncated,
    /// NXDOMAIN.
    NoSuchName,
    /// The name server cannot tell.
    Unanswered(RCODE),
}

impl Question<'_> {
    /// The question as it is sent. It fits in a datagram.
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, SimpleDnsError> {
        let mut packet = Packet::new_query(self.id);
        packet.set_flags(PacketFlag::RECURSION_DESIRED);
        let class = QCLASS::CLASS(CLASS::IN);
        packet.questions.push(PacketQuestion::new(Name::new(self.name)?, self.query_type(), class, false));
        packet.build_bytes_vec()
    }

    fn query_type(&self) -> QTYPE {
        QTYPE::TYPE(self.family.record_type())
    }

    /// What the bytes answer to this question; nothing if they are no answer to it, but another's, or a forgery.
    pub(super) fn read_answer(&self, bytes: &[u8]) -> Option<Answer> {
        let is_response = header_buffer::has_flags(bytes, PacketFlag::RESPONSE).ok()?;
        if !is_response || header_buffer::id(bytes).ok()? != self.id {
            return None;
        }
        // It may end in the middle of a record. If it is a forgery, TCP finds out.
        if header_buffer::has_flags(bytes, PacketFlag::TRUNCATION).ok()? {
            return Some(Answer::Truncated);
        }
        let counts = [header_buffer::answers, header_buffer::name_servers, header_buffer::additional_records];
        if counts.iter().any(|count| count(bytes).is_ok_and(|count| count > MAX_RECORDS)) {
            return None;
        }
        if header_buffer::questions(bytes).ok()? > 1 {
            return None;
        }
        let packet = Packet::parse(bytes).ok()?;
        match packet.rcode() {
            RCODE::NoError => self.is_asked_in(&packet).then(|| Answer::Addresses(self.addresses(&packet))),
            RCODE::NameError => self.is_asked_in(&packet).then_some(Answer::NoSuchName),
            // Of what it could not read, a server need not repeat the question.
            code if packet.questions.is_empty() || self.is_asked_in(&packet) => {
                Some(Answer::Unanswered(code))
            }
            _ => None,
        }
    }

    fn is_asked_in(&self, packet: &Packet) -> bool {
        let [question] = packet.questions.as_slice() else { return false };
        let same_class = matches!(question.qclass, QCLASS::CLASS(CLASS::IN));
        same_class
            && question.qtype == self.query_type()
            && Name::new(self.name).is_ok_and(|name| name == question.qname)
    }

    /// The addresses of the name, or of that which its aliases lead to. Records about other names do not count.
    fn addresses(&self, packet: &Packet) -> Vec<IpAddr> {
        let Ok(asked) = Name::new(self.name) else { return Vec::new() };
        let records = || packet.answers.iter().filter(|record| record.class == CLASS::IN);
        let mut name = &asked;
        for _ in 0..MAX_ALIASES {
            let alias =
                records().filter(|record| record.name == *name).find_map(|record| match &record.rdata {
                    RData::CNAME(alias) => Some(&alias.0),
                    _ => None,
                });
            match alias {
                Some(alias) => name = alias,
                None => break,
            }
        }
        records()
            .filter(|record| record.name == *name)
            .filter_map(|record| match (&record.rdata, self.family) {
                (RData::A(a), Family::V4) => Some(Ipv4Addr::from(a.address).into()),
                (RData::AAAA(aaaa), Family::V6) => Some(Ipv6Addr::from(aaaa.address).into()),
                _ => None,
            })
            .take(MAX_ADDRESSES)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use simple_dns::ResourceRecord;
    use simple_dns::rdata::{A, AAAA, CNAME};

    const NAME: &str = "s3.example";
    const QUESTION: Question = Question { id: 7, name: NAME, family: Family::V4 };

    /// An answer to [`QUESTION`] with these records, each a name and its address or alias.
    fn reply<'a>(records: &[(&'a str, &'a str)]) -> Packet<'a> {
        let mut packet = Packet::new_reply(7);
        let class = QCLASS::CLASS(CLASS::IN);
        packet.questions.push(PacketQuestion::new(name(NAME), QTYPE::TYPE(TYPE::A), class, false));
        for (owner, value) in records {
            let rdata = match value.parse() {
                Ok(IpAddr::V4(address)) => RData::A(A::from(address)),
                Ok(IpAddr::V6(address)) => RData::AAAA(AAAA::from(address)),
                Err(_) => RData::CNAME(CNAME(name(value))),
            };
            packet.answers.push(ResourceRecord::new(name(owner), CLASS::IN, 60, rdata));
        }
        packet
    }

    fn name(text: &str) -> Name<'_> {
        Name::new(text).unwrap()
    }

    fn read(packet: &Packet) -> Option<Answer> {
        QUESTION.read_answer(&packet.build_bytes_vec_compressed().unwrap())
    }

    fn addresses(records: &[(&str, &str)]) -> Vec<String> {
        match read(&reply(records)) {
            Some(Answer::Addresses(addresses)) => addresses.iter().map(ToString::to_string).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_bytes_of_a_question() {
        let question = Question { id: 0x1234, name: "s3.example", family: Family::V6 };
        let expected = b"\x12\x34\x01\x00\x00\x01\0\0\0\0\0\0\x02s3\x07example\0\x00\x1c\x00\x01";
        assert_eq!(question.to_bytes().unwrap(), expected);
        assert!(Question { name: &"x".repeat(64), ..question }.to_bytes().is_err());
    }

    #[test]
    fn addresses_of_the_name_and_its_aliases() {
        assert!(addresses(&[]).is_empty());
        assert_eq!(
            addresses(&[(NAME, "192.0.2.1"), ("S3.Example", "192.0.2.2")]),
            ["192.0.2.1", "192.0.2.2"]
        );
        assert_eq!(addresses(&[("b", "192.0.2.1"), (NAME, "a"), ("a", "B")]), ["192.0.2.1"]);
        assert_eq!(addresses(&[(NAME, "192.0.2.1"), ("other", "192.0.2.2")]), ["192.0.2.1"]);
        assert_eq!(addresses(&[(NAME, "2001:db8::1"), (NAME, "192.0.2.1")]), ["192.0.2.1"]);
        assert!(addresses(&[(NAME, "a"), ("a", NAME)]).is_empty()); // a circle ends
        let many: Vec<_> = (0..200).map(|_| (NAME, "192.0.2.1")).collect();
        assert_eq!(addresses(&many).len(), MAX_ADDRESSES);
    }

    #[test]
    fn what_is_no_answer_to_the_question() {
        let good = reply(&[(NAME, "192.0.2.1")]);
        let mut wrong =
            vec![Packet::new_query(7), good.clone(), good.clone(), good.clone(), good.clone(), good.clone()];
        wrong[1].set_id(8);
        wrong[2].questions[0].qname = name("sqs.example");
        wrong[3].questions[0].qtype = QTYPE::TYPE(TYPE::AAAA);
        wrong[4].questions.clear();
        wrong[5].questions.push(good.questions[0].clone());
        for packet in &wrong {
            assert_eq!(read(packet), None, "{packet:?}");
        }
        let mut bytes = good.build_bytes_vec().unwrap();
        bytes[6..8].copy_from_slice(&[255, 255]); // the number of answers
        for bytes in [&bytes[..], &bytes[..11], &[]] {
            assert_eq!(QUESTION.read_answer(bytes), None);
        }
    }

    #[test]
    fn what_name_servers_refuse() {
        let mut packet = reply(&[]);
        *packet.rcode_mut() = RCODE::NameError;
        assert_eq!(read(&packet), Some(Answer::NoSuchName));
        *packet.rcode_mut() = RCODE::ServerFailure;
        assert_eq!(read(&packet), Some(Answer::Unanswered(RCODE::ServerFailure)));
        packet.questions.clear();
        assert_eq!(read(&packet), Some(Answer::Unanswered(RCODE::ServerFailure)));
        *packet.rcode_mut() = RCODE::NameError;
        assert_eq!(read(&packet), None);
        packet.set_flags(PacketFlag::TRUNCATION);
        assert_eq!(read(&packet), Some(Answer::Truncated));
    }

    #[test]
    fn fuzz_answers() {
        let mut seeds = Vec::new();
        let records: &[(&str, &str)] =
            &[(NAME, "a"), ("a", "b.example"), ("b.example", "192.0.2.1"), ("b.example", "2001:db8::1")];
        for packet in [reply(&[]), reply(&records[2..]), reply(records)] {
            seeds.push(packet.build_bytes_vec().unwrap());
            seeds.push(packet.build_bytes_vec_compressed().unwrap());
        }
        samples::mutate::run("fuzz_answers", &seeds, |bytes| {
            if let Some(Answer::Addresses(addresses)) = QUESTION.read_answer(bytes) {
                assert!(addresses.len() <= MAX_ADDRESSES);
            }
        });
    }
}
