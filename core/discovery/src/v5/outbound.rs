//! What [`V5`] sends of its own accord, and what follows if nobody answers.

use std::net::SocketAddr;

use peerage_machine::Now;
use peerage_node::{Node, NodeId, Record};

use super::{
    DropReason, Target, V5,
    calls::{Call, CallId, Purpose, Stage},
    crypto::{Cipher, SessionKeys, identity_digest},
    packet::{self, Handshake, MAX_PACKET_SIZE, Mask, Message, RequestId, Unmasked},
    sessions::{Keys, Remote, nonce},
};
use crate::{
    Output, QueryId,
    base::Base,
    finder::{Query, RecordFor, Request},
};

/// The most bytes of a message that surely fits behind a handshake with a record of full size.
const MAX_WITH_HANDSHAKE: usize = MAX_PACKET_SIZE - packet::MAX_HEAD_SIZE - 16;

/// How many distances a node is asked for in a lookup. Its answer has 16 records whatever is asked,
/// those at the first distances first; in a small network it takes so many to hear of all.
const DISTANCES: usize = 8;

impl V5 {
    /// Asks a node what is to be asked. The answer comes to [`end`](Self::end), and not before this
    /// returns.
    pub(super) fn ask(&mut self, now: Now, base: &mut Base, query: Query<Target>) {
        let Query { node, to, request } = query;
        let (purpose, asked) = match request {
            Request::Find { search, target } => {
                let distances = distances(&target.0, &node.id());
                (Purpose::Find { search, distances: distances.clone() }, distances)
            }
            Request::Record(RecordFor::Table)
                if self.calls.is_asked_record(&Remote { id: node.id(), addr: to }) =>
            {
                return;
            }
            Request::Record(wanted) => (Purpose::Record(wanted), vec![0]),
        };
        self.call(now, base, node, to, purpose, |id| Message::FindNode { id, distances: asked });
    }

    /// Pings a node.
    pub(super) fn ping(
        &mut self,
        now: Now,
        base: &mut Base,
        node: Node,
        to: SocketAddr,
        purpose: Purpose,
    ) {
        let seq = base.own.current().seq();
        self.call(now, base, node, to, purpose, |id| Message::Ping { id, seq });
    }

    /// Begins a request.
    pub(super) fn call<'m>(
        &mut self,
        now: Now,
        base: &mut Base,
        node: Node,
        to: SocketAddr,
        purpose: Purpose,
        message: impl FnOnce(RequestId) -> Message<'m>,
    ) {
        let request = self.request_id();
        let text = message(request).encode();
        let id = self.calls.add(Call::new(node, to, purpose, request, text));
        self.launch(now, base, id);
    }

    /// Sends a request, or has it wait for its turn.
    fn launch(&mut self, now: Now, base: &mut Base, id: CallId) {
        match self.calls.turn(now.mono, id) {
            Some(at) if at > now.mono => self.calls.set_paced(id, at),
            Some(_) => self.transmit(now, base, id),
            None => {}
        }
    }

    /// Sends a request whose turn it is, by the session with its node, or to begin one.
    pub(super) fn transmit(&mut self, now: Now, base: &mut Base, id: CallId) {
        let Some(call) = self.calls.get_mut(id) else { return };
        let remote = call.remote();
        if !base.is_allowed(now, Some(&remote.id), remote.addr.ip()) {
            // The policy has changed while it waited.
            return self.end(now, base, id, Answer::None);
        }
        let random = &mut self.random;
        let sealed = self.sessions.seal(now.mono, &remote, &self.own, random, &call.text);
        let (bytes, nonce) = match sealed {
            Some(sealed) => sealed,
            None => {
                if !self.calls.shake(id) {
                    return;
                }
                let nonce = self.random.bytes();
                let (iv, noise) = (self.random.bytes(), self.random.bytes());
                let mask = Mask::of(&remote.id);
                (packet::probe(&mask, &iv, &nonce, &self.own, &noise), nonce)
            }
        };
        if let Some(call) = self.calls.get_mut(id) {
            call.tries = call.tries.saturating_sub(1);
        }
        let until = now.mono + self.config.reply_timeout;
        self.calls.set_sent(now.mono, id, nonce, false, until);
        self.send(base, remote.addr, bytes);
    }

    /// A node that was asked wants to know who we are.
    pub(super) fn on_who_are_you(
        &mut self,
        now: Now,
        base: &mut Base,
        from: SocketAddr,
        packet: &Unmasked<'_>,
        seq: u64,
    ) -> Result<(), DropReason> {
        let id = self
            .calls
            .challenged(now.mono, &packet.nonce(), from)
            .ok_or(DropReason::Unsolicited)?;
        let call = self.calls.get(id).ok_or(DropReason::Unsolicited)?;
        let (remote, key) = (call.remote(), *call.node.public_key());
        if !base.is_allowed(now, Some(&remote.id), from.ip()) {
            return Err(DropReason::NotAllowed);
        }
        // What is too long for this packet goes by the session that another one leads to.
        let is_long = call.text.len() > MAX_WITH_HANDSHAKE;
        let text = if is_long {
            Message::Ping { id: self.request_id(), seq: base.own.current().seq() }.encode()
        } else {
            call.text.clone()
        };
        let challenge = packet.challenge_data();
        let ephemeral = base.key.ephemeral(&mut self.random);
        let public = ephemeral.public().to_compressed();
        let secret = ephemeral.agree_point(&key);
        let keys = SessionKeys::derive(&secret, &self.own, &remote.id, challenge);
        let signature = base.key.sign(&identity_digest(challenge, &public, &remote.id)).to_rs();
        let own = base.own.current();
        let record = if seq < own.seq() { own.as_rlp() } else { &[] };
        let proof =
            Handshake { source: self.own, signature: &signature, ephemeral: &public, record };
        let keys = Keys::new(Cipher::new(&keys.initiator), Cipher::new(&keys.recipient));
        let (nonce, iv) = (nonce(u32::MAX, &mut self.random), self.random.bytes());
        let mask = Mask::of(&remote.id);
        let bytes = packet::handshake(&mask, &iv, &nonce, &proof, keys.seal(), &text);
        self.sessions.insert_ours(now.mono, remote, keys);
        let until = now.mono + self.config.reply_timeout;
        self.calls.set_sent(now.mono, id, nonce, true, until);
        if is_long {
            self.calls.defer(id);
        }
        self.send(base, from, bytes);
        Ok(())
    }

    /// The time that a request waits for something is over.
    pub(super) fn on_call_due(&mut self, now: Now, base: &mut Base, id: CallId) {
        let Some(call) = self.calls.get_mut(id) else { return };
        match call.stage {
            Stage::Paced => self.transmit(now, base, id),
            Stage::Queued => {}
            Stage::Sent { .. } => match call.told.take() {
                Some(told) => self.end(now, base, id, Answer::Nodes(told.nodes)),
                None => {
                    self.stats.timeouts += 1;
                    if call.tries > 0 {
                        self.launch(now, base, id);
                    } else {
                        self.end(now, base, id, Answer::None);
                    }
                }
            },
        }
    }

    /// There is a session now: what waited for it is sent.
    pub(super) fn release(&mut self, now: Now, base: &mut Base, remote: &Remote) {
        for id in self.calls.on_session(remote) {
            self.transmit(now, base, id);
        }
    }

    /// A request has its answer, or will not get one.
    pub(super) fn end(&mut self, now: Now, base: &mut Base, id: CallId, answer: Answer) {
        let Some((call, waiting)) = self.calls.remove(now.mono, id) else { return };
        let Call { node, to, purpose, packets, sent, .. } = call;
        let has_failed = matches!(answer, Answer::None);
        match purpose {
            Purpose::Check => match answer {
                Answer::Pong { seq, .. } => {
                    self.finder.on_alive(now, base, node.id(), to, Some(seq));
                }
                _ => self.finder.on_check_failed(now, base, node.id()),
            },
            Purpose::Ping(query) => {
                let round_trip = now.mono.saturating_since(sent);
                base.put(answer.into_pong(query, to, round_trip));
            }
            Purpose::Find { search, .. } => {
                let nodes = answer.into_nodes();
                self.finder.on_query(now, base, node.id(), to, nodes.is_some());
                self.finder.on_nodes(now, base, search, node, nodes, packets);
            }
            Purpose::Record(wanted) => {
                let record = answer.into_record();
                self.finder.on_record(now, base, wanted, node, record);
            }
            Purpose::Talk(query) => {
                base.put(Output::TalkResponse { id: query, response: answer.into_talk() });
            }
        }
        for id in waiting {
            if has_failed {
                // Nobody is there: they would wait for the same in vain.
                self.end(now, base, id, Answer::None);
            } else {
                self.transmit(now, base, id);
            }
        }
        self.drive(now, base);
    }

    /// Sends a packet.
    pub(super) fn send(&mut self, base: &mut Base, to: SocketAddr, bytes: Vec<u8>) {
        self.stats.sent += 1;
        base.put(Output::Send { to, bytes });
    }

    /// A request id of the usual length. It begins with no zero: some clients lose those.
    fn request_id(&mut self) -> RequestId {
        let mut bytes = self.random.bytes::<8>();
        bytes[0] |= 1;
        RequestId::new(&bytes).expect("because that is how long they may be")
    }
}

/// The distances at which `node` is asked for nodes close to `target`: its own distance, and those
/// around it.
fn distances(target: &NodeId, node: &NodeId) -> Vec<u16> {
    let own = target.log_distance(node);
    let around = (1..=u16::MAX).flat_map(|n| [own.checked_add(n), own.checked_sub(n)]).flatten();
    [own].into_iter().chain(around).filter(|it| (1..=256).contains(it)).take(DISTANCES).collect()
}

/// What a request led to.
#[derive(Debug)]
pub(super) enum Answer {
    /// Nothing, in time.
    None,
    /// Nodes that can be used.
    Nodes(Vec<Node>),
    /// It is there.
    Pong {
        /// The sequence number of its record.
        seq: u64,
        /// Where it sees us.
        us: Option<SocketAddr>,
    },
    /// The answer of another protocol.
    Talk(Vec<u8>),
}

impl Answer {
    fn into_pong(self, id: QueryId, from: SocketAddr, round_trip: std::time::Duration) -> Output {
        match self {
            Self::Pong { seq, us: our_endpoint } => {
                let pong = crate::PongInfo { from, round_trip, seq: Some(seq), our_endpoint };
                Output::Pong { id, pong }
            }
            Self::None | Self::Nodes(_) | Self::Talk(_) => Output::PingFailed { id },
        }
    }

    fn into_nodes(self) -> Option<Vec<Node>> {
        match self {
            Self::Nodes(nodes) => Some(nodes),
            Self::None | Self::Pong { .. } | Self::Talk(_) => None,
        }
    }

    fn into_record(self) -> Option<Record> {
        self.into_nodes()?.first()?.record().cloned()
    }

    fn into_talk(self) -> Option<Vec<u8>> {
        match self {
            Self::Talk(response) => Some(response),
            Self::None | Self::Nodes(_) | Self::Pong { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lookup_asks_at_distances_around_its_target() {
        let id = |distance: u16| {
            let mut id = [0; 32];
            if let Some(bit) = distance.checked_sub(1) {
                id[31 - usize::from(bit / 8)] = 1 << (bit % 8);
            }
            NodeId(id)
        };
        for (distance, asked) in [
            (256, [256, 255, 254, 253, 252, 251, 250, 249]),
            (255, [255, 256, 254, 253, 252, 251, 250, 249]),
            (250, [250, 251, 249, 252, 248, 253, 247, 254]),
            (1, [1, 2, 3, 4, 5, 6, 7, 8]),
            (0, [1, 2, 3, 4, 5, 6, 7, 8]),
        ] {
            assert_eq!(distances(&id(distance), &NodeId([0; 32])), asked, "{distance}");
        }
    }
}
