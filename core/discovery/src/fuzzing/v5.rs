//! Discovery v5 with arbitrary bytes: its packets, and the machine among talkers.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Duration,
};

use arbitrary::Unstructured;
use peerage_machine::{Instant, Machine as _, Now, Random};
use peerage_node::{Node, NodeId, SelfDescription, Source};

use crate::{
    Command, Config, Endpoint, Input, LookupTarget, Output, QueryId, Version,
    testing::{public, record, secret},
    v5::{
        TalkId,
        crypto::{Cipher, SessionKeys, identity_digest},
        packet::{
            self, ChallengeData, Handshake, Header, MAX_PACKET_SIZE, MIN_PACKET_SIZE, Mask,
            Message, Nonce, RequestId, Unmasked,
        },
    },
};

/// A datagram, masked so that what is behind the mask is reached, or what it was opened to. What is
/// read can be said again.
pub fn v5_packet(data: &[u8]) {
    let Some((mode, rest)) = data.split_first() else { return };
    if mode.is_multiple_of(2) {
        if let Ok(message) = Message::decode(rest) {
            let said = message.encode();
            assert_eq!(Message::decode(&said).unwrap(), message);
        }
        return;
    }
    let mask = Mask::of(&reader());
    let Ok(packet) = Unmasked::check(&mask, rest) else { return };
    assert!(packet.head().len() + packet.message().len() == rest.len());
    let _ = (packet.header(), packet.nonce());
}

/// Whom the datagrams of [`v5_packet`] are masked for.
pub fn reader() -> NodeId {
    secret(1).public().id()
}

/// Those who talk to the machine: each has a key, and may be at any of their addresses.
const TALKERS: u32 = 6;

/// Datagrams and commands for a machine: it sends nothing but a WHOAREYOU that is no larger than
/// what came to an address that has proved nothing and that it was not told of, holds no more
/// memory than it promises, and is never woken for nothing.
pub fn v5(data: &[u8]) {
    let mut u = Unstructured::new(data);
    let mut world = World::new();
    for _ in 0..200 {
        if u.is_empty() || world.step(&mut u).is_err() {
            return;
        }
    }
}

struct World {
    now: Now,
    machine: Endpoint,
    config: Config,
    random: Random,
    /// Keys of sessions, by who has it and where: what it seals and opens with.
    sessions: BTreeMap<(u32, SocketAddr), (Cipher, Cipher)>,
    /// Challenges of the machine, by whom and where they were sent to.
    challenges: Vec<(NodeId, SocketAddr, ChallengeData)>,
    /// What the machine has sent that may be challenged.
    nonces: Vec<(SocketAddr, Nonce)>,
    requests: Vec<(SocketAddr, RequestId)>,
    talks: Vec<TalkId>,
    /// Where the machine may send more than WHOAREYOU: it was proved or told.
    open: BTreeSet<SocketAddr>,
    /// The size of what came last.
    received: usize,
    queries: u64,
}

impl World {
    fn new() -> Self {
        let now = Now { mono: Instant::START, unix: Duration::from_secs(1_800_000_000) };
        let config = Config::default().with_versions(&[Version::V5]);
        let mut about = SelfDescription::new(secret(0));
        about.udp = vec![([11, 255, 0, 1], 30_303).into()];
        let mut world = Self {
            now,
            machine: Endpoint::new(config.clone(), about, 0, [9; 32]),
            config,
            random: Random::from_seed([5; 32]),
            sessions: BTreeMap::new(),
            challenges: Vec::new(),
            nonces: Vec::new(),
            requests: Vec::new(),
            talks: Vec::new(),
            open: BTreeSet::new(),
            received: 0,
            queries: 0,
        };
        world.tell(Input::Seeds(Vec::new()));
        let protocol = b"talk".to_vec();
        world.tell(Command::SetTalkProtocol { protocol, has_handler: true }.into());
        world
    }

    fn step(&mut self, u: &mut Unstructured<'_>) -> arbitrary::Result<()> {
        let [what, who, how]: [u8; 3] = u.arbitrary()?;
        let n = 1 + u32::from(who) % TALKERS;
        let from = public(u32::from(how) % TALKERS);
        let mask = Mask::of(&secret(0).public().id());
        match what % 16 {
            0 => {
                let length = u.int_in_range(0..=200_usize)?.min(u.len());
                let bytes = u.bytes(length)?.to_vec();
                self.receive(from, &bytes);
            }
            1..3 => {
                let noise = [how; 44];
                let (iv, nonce) = (self.random.bytes(), self.random.bytes());
                let id = secret(n).public().id();
                self.receive(from, &packet::probe(&mask, &iv, &nonce, &id, &noise));
            }
            3..6 => self.shake(n, usize::from(how), who),
            6..10 => {
                let length = u.int_in_range(0..=200_usize)?.min(u.len());
                let raw = u.bytes(length)?.to_vec();
                let at = self.sessions.keys().nth(usize::from(who) % self.sessions.len().max(1));
                let Some(at) = at.copied() else { return Ok(()) };
                let text = self.text(what, how, &raw);
                let (iv, nonce) = (self.random.bytes(), self.random.bytes());
                let id = secret(at.0).public().id();
                let seal = &self.sessions[&at].0;
                let bytes = packet::message(&mask, &iv, &nonce, &id, seal, &text);
                if bytes.len() <= MAX_PACKET_SIZE {
                    self.receive(at.1, &bytes);
                }
            }
            10 => {
                // The challenge to what the machine has sent, or to nothing.
                let at = usize::from(how) % self.nonces.len().max(1);
                let (to, nonce) = self.nonces.get(at).copied().unwrap_or((from, [how; 12]));
                let (iv, id) = (self.random.bytes(), self.random.bytes());
                let (bytes, _) = packet::who_are_you(&mask, &iv, &nonce, &id, u64::from(who));
                self.receive(to, &bytes);
            }
            11 => {
                let node = Node::from_endpoint(*secret(n).public(), from, None);
                self.open.insert(from);
                self.tell(Command::AddNode(node).into());
            }
            12 => {
                self.queries += 1;
                let target = LookupTarget::Id(NodeId([how; 32]));
                let id = QueryId(self.queries);
                self.tell(Command::Lookup { id, target, version: None }.into());
            }
            13 => {
                let node = Node::from_endpoint(*secret(n).public(), from, None);
                self.open.insert(from);
                self.queries += 1;
                let (id, protocol) = (QueryId(self.queries), b"x".to_vec());
                let request = vec![how; 8 * usize::from(who)];
                self.tell(Command::Talk { id, node, protocol, request }.into());
            }
            14 => match self.talks.pop() {
                Some(id) => {
                    let response = vec![how; 8 * usize::from(who)];
                    self.tell(Input::TalkResponse { id, response });
                }
                None => {
                    let source = Source::DISCOVERY_V5;
                    self.tell(Input::Want { source, count: usize::from(how % 4) });
                }
            },
            _ => {
                let millis = u64::from(how) * u64::from(who);
                self.now = self.now.later(Duration::from_millis(millis));
                self.machine.handle_timeout(self.now);
                self.drain();
                let next = self.machine.poll_timeout();
                assert!(next.is_none_or(|at| at > self.now.mono), "what is due was not done");
            }
        }
        Ok(())
    }

    /// Answers a challenge, as the one that was asked or as somebody else.
    fn shake(&mut self, n: u32, at: usize, who: u8) {
        let at = at % self.challenges.len().max(1);
        let Some((id, to, data)) = self.challenges.get(at).copied() else { return };
        let asked = (1..=TALKERS).find(|n| secret(*n).public().id() == id).unwrap_or(n);
        let n = if who.is_multiple_of(8) { n } else { asked };
        let (key, own) = (secret(n), secret(0).public().id());
        let ephemeral = key.ephemeral(&mut self.random);
        let public = ephemeral.public().to_compressed();
        let secret = ephemeral.agree_point(secret(0).public());
        let keys = SessionKeys::derive(&secret, &key.public().id(), &own, &data);
        let signature = key.sign(&identity_digest(&data, &public, &own)).to_rs();
        let place = to.to_string();
        let stated = (!who.is_multiple_of(3)).then_some(place.as_str());
        let record = record(&key, 1 + u64::from(who / 16), stated).encode();
        let proof = Handshake {
            source: key.public().id(),
            signature: &signature,
            ephemeral: &public,
            record: if who.is_multiple_of(5) { &[] } else { &record },
        };
        let seal = Cipher::new(&keys.initiator);
        let (iv, nonce) = (self.random.bytes(), self.random.bytes());
        let text = self.text(who, who, &[]);
        let bytes = packet::handshake(&Mask::of(&own), &iv, &nonce, &proof, &seal, &text);
        if n == asked {
            self.open.insert(to);
            self.sessions.insert((n, to), (seal, Cipher::new(&keys.recipient)));
        }
        self.receive(to, &bytes);
    }

    /// A message that is right, but for what it says; or these bytes.
    fn text(&self, what: u8, how: u8, raw: &[u8]) -> Vec<u8> {
        let at = usize::from(how) % self.requests.len().max(1);
        let asked = self.requests.get(at).map(|(_, id)| *id);
        let id = asked.unwrap_or(RequestId::new(&[how]).unwrap());
        let told = |n: u32| record(&secret(n), 1, Some(&public(n).to_string())).encode();
        let told: Vec<_> = (0..u32::from(how % 20)).map(|n| told(20 + n)).collect();
        let records = told.iter().map(Vec::as_slice).collect();
        match what % 8 {
            0 => Message::Ping { id, seq: u64::from(how) }.encode(),
            1 => Message::Pong { id, seq: u64::from(how), recipient: Some(public(9)) }.encode(),
            2 => {
                let distances = vec![u16::from(how), 256, 255, 0];
                Message::FindNode { id, distances }.encode()
            }
            3 => Message::Nodes { id, total: u64::from(how % 9), records }.encode(),
            4 => Message::TalkRequest { id, protocol: b"talk", request: raw }.encode(),
            5 => Message::TalkResponse { id, response: raw }.encode(),
            6 => Message::TalkRequest { id, protocol: raw, request: raw }.encode(),
            _ => raw.to_vec(),
        }
    }

    fn receive(&mut self, from: SocketAddr, bytes: &[u8]) {
        self.received = bytes.len();
        self.tell(Input::Datagram { from, datagram: bytes.into() });
        self.received = 0;
    }

    fn tell(&mut self, input: Input<'_>) {
        self.machine.handle_input(self.now, input);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.machine.poll_output() {
            match output {
                Output::NodeAdded { node, .. } => self.open.extend(node.udp_endpoints()),
                Output::Send { to, bytes } => self.sent(to, &bytes),
                Output::TalkRequest { id, .. } => self.talks.push(id),
                _ => {}
            }
        }
        let commands = usize::try_from(self.queries).unwrap();
        let (held, bound) =
            (self.machine.memory(), Endpoint::memory_bound(&self.config, commands, 0));
        assert!(held <= bound, "{held} bytes are held of {bound}");
    }

    fn sent(&mut self, to: SocketAddr, bytes: &[u8]) {
        assert!((MIN_PACKET_SIZE..=MAX_PACKET_SIZE).contains(&bytes.len()), "of no size");
        // Whom it is for, is who can uncover it.
        let ids = (0..=TALKERS).chain(20..40).map(|n| secret(n).public().id());
        for id in ids {
            let Ok(packet) = Unmasked::check(&Mask::of(&id), bytes) else { continue };
            match packet.header() {
                Header::WhoAreYou { .. } => {
                    assert!(bytes.len() <= self.received, "larger than what came");
                    self.challenges.push((id, to, *packet.challenge_data()));
                }
                Header::Message { .. } | Header::Handshake(_) => {
                    assert!(self.open.contains(&to), "a message to {to}, which proved nothing");
                    self.nonces.push((to, packet.nonce()));
                    self.note_request(to, &packet);
                }
            }
            return;
        }
        // Told of by somebody.
    }

    /// Reads what the machine has said, where a talker can.
    fn note_request(&mut self, to: SocketAddr, packet: &Unmasked<'_>) {
        let keys = self.sessions.iter().filter(|((_, at), _)| *at == to);
        let open = |(_, open): &(Cipher, Cipher)| {
            open.open(&packet.nonce(), packet.head(), packet.message())
        };
        let Some(text) = keys.map(|(_, keys)| keys).find_map(open) else { return };
        if let Ok(message) = Message::decode(&text) {
            self.requests.push((to, message.request_id()));
        }
    }
}
