//! A node with one socket and no table, that says just what a test wants it to say.

use std::{
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    time::Duration,
};

use peerage_discovery::v5::{
    crypto::{Cipher, SessionKeys, identity_digest},
    packet::{self, ChallengeData, Handshake, Header, Mask, Message, Nonce, RequestId, Unmasked},
};
use peerage_machine::Random;
use peerage_node::{LocalRecord, Node, NodeId, PublicKey, SecretKey};

/// How long an answer may take before the test fails. Nothing else is timed by it: a test that
/// passes never waits for something not to come.
const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) struct Client {
    socket: UdpSocket,
    key: SecretKey,
    record: LocalRecord,
    random: Random,
    server: SocketAddr,
    server_key: PublicKey,
    /// What it seals with and opens with, after a handshake.
    keys: Option<(Cipher, Cipher)>,
}

/// What came.
#[derive(Debug)]
pub(crate) enum Heard {
    Said(Vec<u8>),
    WhoAreYou { nonce: Nonce, data: ChallengeData },
}

impl Client {
    /// A client at this loopback address, whose record has no address. Each `seed` makes another
    /// key.
    pub(crate) fn new(ip: Ipv4Addr, seed: u8, server: &Node) -> Self {
        let key = SecretKey::from_bytes(&[seed; 32]).unwrap();
        Self {
            socket: bind(ip),
            record: LocalRecord::new(key.clone(), 0),
            key,
            random: Random::from_seed([seed; 32]),
            server: server.udp_endpoints()[0],
            server_key: *server.public_key(),
            keys: None,
        }
    }

    /// Has its record state where it is.
    pub(crate) fn state_address(&mut self) {
        let SocketAddr::V4(own) = self.address() else { panic!("it is bound to IPv4") };
        self.record.set_ip4(Some(*own.ip())).unwrap();
        self.record.set_udp4(Some(own.port())).unwrap();
    }

    /// Goes on from a socket at another address, with the keys that it has.
    pub(crate) fn move_to(&mut self, ip: Ipv4Addr) {
        self.socket = bind(ip);
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    pub(crate) fn id(&self) -> NodeId {
        self.key.public().id()
    }

    /// Sends a packet that nobody can open; its nonce.
    pub(crate) fn probe(&mut self) -> Nonce {
        let (nonce, iv, noise) = (self.random.bytes(), self.random.bytes(), self.random.bytes());
        self.send(&packet::probe(&self.mask(), &iv, &nonce, &self.id(), &noise));
        nonce
    }

    /// Sends a message by its session.
    pub(crate) fn say(&mut self, message: &Message<'_>) {
        self.say_text(&message.encode());
    }

    /// [`say`](Self::say), with the bytes of a message.
    pub(crate) fn say_text(&mut self, text: &[u8]) {
        let (nonce, iv) = (self.random.bytes(), self.random.bytes());
        let (seal, _) = self.keys.as_ref().expect("because there was a handshake");
        self.send(&packet::message(&self.mask(), &iv, &nonce, &self.id(), seal, text));
    }

    /// Answers a challenge, with its record and a message.
    pub(crate) fn shake(&mut self, challenge: &ChallengeData, message: &Message<'_>) {
        let record = self.record.record().encode();
        // The server may know the record that it has sent before.
        let rlp = if challenge[55..] == [0; 8] { &record[..] } else { &[] };
        let ephemeral = self.key.ephemeral(&mut self.random);
        let public = ephemeral.public().to_compressed();
        let to = self.server_key.id();
        let secret = ephemeral.agree_point(&self.server_key);
        let keys = SessionKeys::derive(&secret, &self.id(), &to, challenge);
        let signature = self.key.sign(&identity_digest(challenge, &public, &to)).to_rs();
        let proof =
            Handshake { source: self.id(), signature: &signature, ephemeral: &public, record: rlp };
        let seal = Cipher::new(&keys.initiator);
        let (nonce, iv) = (self.random.bytes(), self.random.bytes());
        let text = message.encode();
        self.send(&packet::handshake(&self.mask(), &iv, &nonce, &proof, &seal, &text));
        self.keys = Some((seal, Cipher::new(&keys.recipient)));
    }

    /// Begins a session with this message: the first thing that is said, which must be the answer.
    pub(crate) fn introduce(&mut self, message: &Message<'_>) -> Vec<u8> {
        let nonce = self.probe();
        let Heard::WhoAreYou { nonce: asked, data } = self.next() else { panic!("no challenge") };
        assert_eq!(asked, nonce, "it challenges another packet");
        self.shake(&data, message);
        self.said()
    }

    /// The next packet, whatever it is.
    pub(crate) fn next(&self) -> Heard {
        let mut buffer = [0; 2048];
        let (size, from) = self.socket.recv_from(&mut buffer).expect("because an answer is due");
        assert_eq!(from, self.server);
        let packet = Unmasked::check(&Mask::of(&self.id()), &buffer[..size]).unwrap();
        match packet.header() {
            Header::WhoAreYou { .. } => {
                Heard::WhoAreYou { nonce: packet.nonce(), data: *packet.challenge_data() }
            }
            Header::Message { source } => {
                assert_eq!(source, self.server_key.id());
                let (_, open) = self.keys.as_ref().expect("because it was spoken to first");
                let text = open.open(&packet.nonce(), packet.head(), packet.message());
                Heard::Said(text.expect("because it is of the session"))
            }
            Header::Handshake(_) => panic!("it shakes hands, which nobody asked it to"),
        }
    }

    /// The next packet, which must be a challenge.
    pub(crate) fn challenge(&self) -> ChallengeData {
        match self.next() {
            Heard::WhoAreYou { data, .. } => data,
            Heard::Said(text) => panic!("no challenge, but {text:?}"),
        }
    }

    /// The next thing that is said, which must be no question.
    pub(crate) fn said(&self) -> Vec<u8> {
        match self.next() {
            Heard::Said(text) => text,
            heard => panic!("nothing was said: {heard:?}"),
        }
    }

    /// Which request the next thing that is said answers.
    pub(crate) fn said_id(&self) -> RequestId {
        Message::decode(&self.said()).unwrap().request_id()
    }

    /// Answers the next question. Whether it was a PING.
    pub(crate) fn answer(&mut self) -> bool {
        let text = self.said();
        match Message::decode(&text).unwrap() {
            Message::Ping { id, .. } => {
                let recipient = Some(self.server);
                self.say(&Message::Pong { id, seq: 1, recipient });
                true
            }
            Message::FindNode { id, .. } => {
                self.say(&Message::Nodes { id, total: 1, records: Vec::new() });
                false
            }
            other => panic!("no question: {other:?}"),
        }
    }

    fn mask(&self) -> Mask {
        Mask::of(&self.server_key.id())
    }

    fn send(&self, bytes: &[u8]) {
        self.socket.send_to(bytes, self.server).unwrap();
    }
}

fn bind(ip: Ipv4Addr) -> UdpSocket {
    let socket = UdpSocket::bind((ip, 0)).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket
}
