//! Discovery v5 in a network of machines and of testers that send what they like.

mod demands;
mod hostile;
mod network;
mod sessions;
mod talking;

use std::{net::SocketAddr, time::Duration};

use peerage_machine::Random;
use peerage_node::{EphemeralKey, Node, NodeId, Record, SecretKey};

use super::{
    crypto::{Cipher, SessionKeys, identity_digest},
    packet::{self, ChallengeData, Handshake, Header, Mask, Message, Nonce, RequestId, Unmasked},
};
use crate::{
    Command, Config, Input, Output, QueryId, Version,
    testing::{
        net::{LATENCY, Net, Parcel, about, lost},
        public, record, secret,
    },
};

/// Somebody with a key, who sends what it likes from where it likes.
struct Tester {
    key: SecretKey,
    addr: SocketAddr,
    record: Record,
    random: Random,
    /// What it seals with and opens with, after a handshake.
    keys: Option<(Cipher, Cipher)>,
}

/// What came back.
#[derive(Debug)]
enum Heard {
    /// A packet that could be opened.
    Said(Vec<u8>),
    /// A packet that could not be opened, and who says to have sent it.
    Sealed(NodeId, Nonce),
    WhoAreYou {
        nonce: Nonce,
        data: ChallengeData,
        seq: u64,
    },
}

impl Tester {
    fn new(n: u32, addr: SocketAddr) -> Self {
        let record = record(&secret(n), 1, Some(&addr.to_string()));
        Self { key: secret(n), addr, record, random: Random::from_seed([n as u8; 32]), keys: None }
    }

    fn id(&self) -> NodeId {
        self.key.public().id()
    }

    /// Sends a packet that nobody can open; its nonce.
    fn probe(&mut self, net: &mut Net, to: (u32, SocketAddr)) -> Nonce {
        let (nonce, iv, noise) = (self.random.bytes(), self.random.bytes(), self.random.bytes());
        let mask = Mask::of(&id(to.0));
        net.send(self.addr, to.1, packet::probe(&mask, &iv, &nonce, &self.id(), &noise));
        nonce
    }

    /// Sends a message by its session.
    fn say(&mut self, net: &mut Net, to: (u32, SocketAddr), message: &Message<'_>) -> Vec<u8> {
        let (nonce, iv) = (self.random.bytes(), self.random.bytes());
        let (seal, _) = self.keys.as_ref().expect("because there was a handshake");
        let bytes =
            packet::message(&Mask::of(&id(to.0)), &iv, &nonce, &self.id(), seal, &message.encode());
        net.send(self.addr, to.1, bytes.clone());
        bytes
    }

    /// Answers a challenge, with its record if that is asked for; what it sent.
    fn shake(
        &mut self,
        net: &mut Net,
        to: (u32, SocketAddr),
        challenge: &ChallengeData,
        message: &Message<'_>,
    ) -> Vec<u8> {
        let record = self.record.encode();
        let rlp = if challenge[55..] == [0; 8] { &record[..] } else { &[] };
        self.shake_with(net, to, challenge, rlp, message)
    }

    fn shake_with(
        &mut self,
        net: &mut Net,
        to: (u32, SocketAddr),
        challenge: &ChallengeData,
        record: &[u8],
        message: &Message<'_>,
    ) -> Vec<u8> {
        let ephemeral = EphemeralKey::generate(&mut self.random);
        let public = ephemeral.public().to_compressed();
        let secret = ephemeral.agree_point(secret(to.0).public());
        let keys = SessionKeys::derive(&secret, &self.id(), &id(to.0), challenge);
        let signature = self.key.sign(&identity_digest(challenge, &public, &id(to.0))).to_rs();
        let proof =
            Handshake { source: self.id(), signature: &signature, ephemeral: &public, record };
        let seal = Cipher::new(&keys.initiator);
        let (nonce, iv) = (self.random.bytes(), self.random.bytes());
        let mask = Mask::of(&id(to.0));
        let bytes = packet::handshake(&mask, &iv, &nonce, &proof, &seal, &message.encode());
        net.send(self.addr, to.1, bytes.clone());
        self.keys = Some((seal, Cipher::new(&keys.recipient)));
        bytes
    }

    /// Lets `span` pass, and reads what has come.
    fn read(&self, net: &mut Net, span: Duration) -> Vec<Heard> {
        net.run(span);
        let (mine, others) =
            std::mem::take(&mut net.mail).into_iter().partition(|it| it.to == self.addr);
        net.mail = others;
        let mine: Vec<Parcel> = mine;
        mine.iter().map(|it| self.open(&it.bytes)).collect()
    }

    fn open(&self, bytes: &[u8]) -> Heard {
        let packet = Unmasked::check(&Mask::of(&self.id()), bytes).unwrap();
        let nonce = packet.nonce();
        match packet.header() {
            Header::WhoAreYou { seq, .. } => {
                Heard::WhoAreYou { nonce, data: *packet.challenge_data(), seq }
            }
            Header::Message { source } | Header::Handshake(Handshake { source, .. }) => {
                let open =
                    |keys: &(Cipher, Cipher)| keys.1.open(&nonce, packet.head(), packet.message());
                match self.keys.as_ref().and_then(open) {
                    Some(text) => Heard::Said(text),
                    None => Heard::Sealed(source, nonce),
                }
            }
        }
    }

    /// Begins a session, and asks with it: everything that is said within [`READ_WAIT`].
    fn introduce(
        &mut self,
        net: &mut Net,
        to: (u32, SocketAddr),
        message: &Message<'_>,
    ) -> Vec<Vec<u8>> {
        let nonce = self.probe(net, to);
        let heard = self.read(net, 2 * LATENCY);
        let [Heard::WhoAreYou { nonce: asked, data, .. }] = &heard[..] else {
            panic!("no challenge: {heard:?}");
        };
        assert_eq!(*asked, nonce);
        self.shake(net, to, data, message);
        self.hear(net)
    }

    /// Everything that is said within [`READ_WAIT`], and could be opened.
    fn hear(&self, net: &mut Net) -> Vec<Vec<u8>> {
        let heard = self.read(net, READ_WAIT);
        let said = |it| if let Heard::Said(text) = it { Some(text) } else { None };
        heard.into_iter().filter_map(said).collect()
    }

    /// Asks by its session: everything that is said within [`READ_WAIT`].
    fn exchange(
        &mut self,
        net: &mut Net,
        to: (u32, SocketAddr),
        message: &Message<'_>,
    ) -> Vec<Vec<u8>> {
        self.say(net, to, message);
        self.hear(net)
    }
}

/// How long go-ethereum's tests wait for a packet.
const READ_WAIT: Duration = Duration::from_millis(300);

const QUERY: QueryId = QueryId(7);

/// The node with the `n`th key at `addr`, as a boot node is told.
fn node(n: u32, addr: SocketAddr) -> Node {
    Node::from_endpoint(*secret(n).public(), addr, None)
}

fn id(n: u32) -> NodeId {
    secret(n).public().id()
}

fn request(n: u8) -> RequestId {
    RequestId::new(&[n]).unwrap()
}

fn ping(n: u8) -> Message<'static> {
    Message::Ping { id: request(n), seq: 1 }
}

fn find(n: u8, distances: &[u16]) -> Message<'static> {
    Message::FindNode { id: request(n), distances: distances.to_vec() }
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Whether a PONG was said.
fn is_pong(said: &[Vec<u8>], n: u8) -> bool {
    said.iter().any(
        |text| matches!(Message::decode(text), Ok(Message::Pong { id, .. }) if id == request(n)),
    )
}

/// The records of an answer in one part, decoded.
fn told(said: &[Vec<u8>]) -> Vec<Record> {
    let mut all = Vec::new();
    for text in said {
        if let Ok(Message::Nodes { records, .. }) = Message::decode(text) {
            all.extend(records.iter().map(|rlp| Record::decode(rlp).unwrap()));
        }
    }
    all
}
