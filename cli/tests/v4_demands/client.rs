//! A node with one socket and no table, that says just what a test wants it to say.

use std::{
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use alloy_rlp::Encodable;
use peerage_node::{Node, PublicKey, SecretKey};

use crate::wire::{
    ENR_REQUEST, ENR_RESPONSE, FIND_NODE, Item, PING, PONG, Packet, Raw, endpoint_of, list, seal,
};

/// How long an answer may take before the test fails. Nothing else is timed by it: a test that
/// passes never waits for something not to come.
const DEADLINE: Duration = Duration::from_secs(60);

/// For how long a node that has just proved its address is not asked anything, not even whether it
/// is still there. A test that was held up for longer than this has to put up with questions.
const LEFT_ALONE: Duration = Duration::from_secs(1);

/// For how long a packet is valid, in seconds.
const LIFETIME: u64 = 20;

pub(crate) struct Client {
    socket: UdpSocket,
    pub(crate) key: SecretKey,
    server: SocketAddr,
    server_key: PublicKey,
    /// When it has proved its address.
    proved: Option<Instant>,
}

impl Client {
    /// A client at this loopback address. Each `seed` makes another key.
    pub(crate) fn new(ip: Ipv4Addr, seed: u8, server: &Node) -> Self {
        let socket = UdpSocket::bind((ip, 0)).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        Self {
            socket,
            key: SecretKey::from_bytes(&[seed; 32]).unwrap(),
            server: server.udp_endpoints()[0],
            server_key: *server.public_key(),
            proved: None,
        }
    }

    /// The same socket with another key.
    pub(crate) fn with_key(&self, seed: u8) -> Self {
        let key = SecretKey::from_bytes(&[seed; 32]).unwrap();
        Self { socket: self.socket.try_clone().unwrap(), key, proved: None, ..*self }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    /// `[4, from, to, expiration]`, as it should be.
    pub(crate) fn ping(&self) -> [u8; 32] {
        self.ping_with(&endpoint_of(self.address()), &endpoint_of(self.server), expiration(), &[])
    }

    /// A ping with endpoints, an expiration and more items that a test chooses.
    pub(crate) fn ping_with(
        &self,
        from: &Raw,
        to: &Raw,
        expiration: u64,
        more: &[&dyn Encodable],
    ) -> [u8; 32] {
        let known: [&dyn Encodable; 4] = [&4_u8, from, to, &expiration];
        self.send(PING, &list(&[&known, more].concat()))
    }

    /// The endpoint of the server, as a ping names it.
    pub(crate) fn to(&self) -> Raw {
        endpoint_of(self.server)
    }

    /// `[to, ping-hash, expiration]`.
    pub(crate) fn pong(&self, ping_hash: &[u8; 32]) {
        self.send(PONG, &list(&[&endpoint_of(self.server), ping_hash, &expiration()]));
    }

    /// `[target, expiration]`.
    pub(crate) fn find_node(&self, target: &[u8; 64], expiration: u64) {
        self.send(FIND_NODE, &list(&[&target.as_slice(), &expiration]));
    }

    /// `[expiration]`.
    pub(crate) fn enr_request(&self) -> [u8; 32] {
        self.send(ENR_REQUEST, &list(&[&expiration()]))
    }

    /// Signs and sends this: its hash.
    pub(crate) fn send(&self, kind: u8, data: &Raw) -> [u8; 32] {
        let (datagram, hash) = seal(&self.key, kind, data);
        self.socket.send_to(&datagram, self.server).unwrap();
        hash
    }

    /// The next packet from the server, whatever it is.
    pub(crate) fn any(&self) -> Packet {
        let mut buffer = [0; 2048];
        let (size, from) = self.socket.recv_from(&mut buffer).expect("because an answer is due");
        assert_eq!(from, self.server);
        let packet = Packet::open(&buffer[..size]);
        assert_eq!(packet.signer, self.server_key, "signed by somebody else");
        packet
    }

    /// The next packet from the server, which must be of this type.
    pub(crate) fn next(&self, kind: u8) -> Packet {
        loop {
            let packet = self.any();
            let is_question = [PING, FIND_NODE, ENR_REQUEST].contains(&packet.kind);
            let may_ask = self.proved.is_some_and(|proved| proved.elapsed() >= LEFT_ALONE);
            if !(is_question && may_ask) {
                assert_eq!(packet.kind, kind, "another packet came before it: {packet:?}");
                return packet;
            }
        }
    }

    /// The next two packets, which must be a PONG that answers `ping` and a PING, in any order: the
    /// PING's hash.
    pub(crate) fn pong_and_ping(&self, ping: &[u8; 32]) -> [u8; 32] {
        let (first, second) = (self.any(), self.any());
        let (pong, asked) = if first.kind == PONG { (first, second) } else { (second, first) };
        self.check_pong(&pong, ping);
        assert_eq!(asked.kind, PING, "no PING asks for a proof: {asked:?}");
        assert_unexpired(&asked.data[3]);
        asked.hash
    }

    /// `[to, ping-hash, expiration, ...]`: this ping, where it came from, and a time to come.
    pub(crate) fn check_pong(&self, pong: &Packet, ping: &[u8; 32]) {
        assert_eq!(pong.kind, PONG, "{pong:?}");
        assert_eq!(pong.data[1].bytes(), ping, "it answers another ping");
        let [ip, udp, ..] = pong.data[0].items() else { panic!("{pong:?}") };
        let SocketAddr::V4(own) = self.address() else { panic!("it is bound to IPv4") };
        assert_eq!(ip.bytes(), own.ip().octets(), "not where the ping came from");
        assert_eq!(udp.number(), u64::from(own.port()), "not where the ping came from");
        assert_unexpired(&pong.data[2]);
    }

    /// Each proves its address to the other.
    pub(crate) fn bond(&mut self) {
        let ping = self.ping();
        let asked = self.pong_and_ping(&ping);
        self.prove(&asked);
    }

    /// Answers the PING that asks for a proof.
    pub(crate) fn prove(&mut self, asked: &[u8; 32]) {
        // Before it goes, so that the server cannot have seen it any earlier.
        self.proved = Some(Instant::now());
        self.pong(asked);
    }

    /// Asks for the record, and demands that nothing else comes before the answer. What this
    /// follows was answered with nothing more than has been read: packets are answered in the order
    /// in which they come.
    pub(crate) fn nothing_but_the_record(&self) -> Vec<u8> {
        let request = self.enr_request();
        let response = self.next(ENR_RESPONSE);
        assert_eq!(response.data[0].bytes(), request, "it answers another request");
        response.data[1].encoded().to_vec()
    }

    /// The same for a client that has not proved its address: all that may come before the answer
    /// to a good ping is a PING that asks for a proof.
    pub(crate) fn nothing_but_a_ping(&self) {
        let ping = self.ping();
        loop {
            let packet = self.any();
            match packet.kind {
                PING => {}
                PONG => return self.check_pong(&packet, &ping),
                kind => panic!("a packet of type {kind:#04x} came: {packet:?}"),
            }
        }
    }
}

/// A time to come.
pub(crate) fn expiration() -> u64 {
    now() + LIFETIME
}

/// A time past, as those write it who compute with signed numbers: it looks like one far away.
pub(crate) fn past_expiration() -> u64 {
    expiration().wrapping_neg()
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

pub(crate) fn assert_unexpired(item: &Item) {
    assert!(item.number() >= now(), "{item:?} is past");
}
