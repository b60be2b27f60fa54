//! What comes in: each packet to its handler, after the checks that cost least.

use std::net::SocketAddr;

use peerage_machine::Now;
use peerage_node::{Node, NodeId, PublicKey, Record, check_relay};

use super::{
    DropReason, MAX_PARTS, MAX_RECORDS, V5,
    calls::{CallId, Purpose},
    challenges::Challenge,
    crypto::{Cipher, SessionKeys, identity_digest},
    outbound::Answer,
    packet::{self, Handshake, Header, Mask, Message, MessageError, RequestId, Unmasked},
    sessions::{Keys, Opened, Remote},
};
use crate::{Entry, StoreOp, base::Base, is_reserved_port};

impl V5 {
    /// A packet came in from an address that may be talked to.
    pub(crate) fn on_packet(
        &mut self,
        now: Now,
        base: &mut Base,
        from: SocketAddr,
        packet: &Unmasked<'_>,
    ) {
        self.stats.received += 1;
        let handled = match packet.header() {
            // Nobody else knows the nonce: this is worth an answer whatever else comes in.
            Header::WhoAreYou { seq, .. } => self.on_who_are_you(now, base, from, packet, seq),
            Header::Message { source } => {
                let remote = Remote { id: source, addr: from };
                self.on_message(now, base, remote, packet)
            }
            Header::Handshake(proof) => {
                let remote = Remote { id: proof.source, addr: from };
                self.on_handshake(now, base, remote, packet, &proof)
            }
        };
        if let Err(reason) = handled {
            self.stats.count(reason);
        }
    }

    fn on_message(
        &mut self,
        now: Now,
        base: &mut Base,
        remote: Remote,
        packet: &Unmasked<'_>,
    ) -> Result<(), DropReason> {
        self.check(now, base, &remote)?;
        match self.sessions.open(now.mono, &remote, packet) {
            Opened::Text(text) => self.on_text(now, base, remote, &text),
            Opened::Replayed => Err(DropReason::Replayed),
            Opened::Nothing => {
                self.challenge(now, base, remote, packet);
                Err(DropReason::Unopened)
            }
        }
    }

    /// What costs nothing is checked first, and then whether the packet is worth its cost.
    fn check(&mut self, now: Now, base: &mut Base, remote: &Remote) -> Result<(), DropReason> {
        let ip = remote.addr.ip();
        if remote.id == self.own {
            return Err(DropReason::Own);
        }
        if !base.is_allowed(now, Some(&remote.id), ip) {
            return Err(DropReason::NotAllowed);
        }
        if !self.calls.spend(remote) && !base.limiter.allow(now.mono, ip) {
            return Err(DropReason::RateLimit);
        }
        Ok(())
    }

    /// Asks a node who it is, whose packet we cannot open.
    fn challenge(&mut self, now: Now, base: &mut Base, remote: Remote, packet: &Unmasked<'_>) {
        if let Some(pending) = self.challenges.get(now.mono, &remote) {
            let bytes = pending.packet.to_vec();
            return self.send(base, remote.addr, bytes);
        }
        let known = self.finder.table().get(&remote.id).map(Entry::node);
        let known = known.filter(|node| node.record().is_some()).cloned();
        let seq = known.as_ref().and_then(Node::record).map_or(0, Record::seq);
        let (iv, id_nonce) = (self.random.bytes(), self.random.bytes());
        let mask = Mask::of(&remote.id);
        let (bytes, data) = packet::who_are_you(&mask, &iv, &packet.nonce(), &id_nonce, seq);
        self.challenges.insert(now.mono, remote, Challenge::new(bytes, data, known));
        self.send(base, remote.addr, bytes.to_vec());
    }

    fn on_handshake(
        &mut self,
        now: Now,
        base: &mut Base,
        remote: Remote,
        packet: &Unmasked<'_>,
        proof: &Handshake<'_>,
    ) -> Result<(), DropReason> {
        if self.challenges.get(now.mono, &remote).is_none() {
            return Err(DropReason::Unsolicited);
        }
        self.check(now, base, &remote)?;
        let shaken = self.shake_hands(now, base, &remote, packet, proof);
        let Shaken { text, keys, record } = shaken.inspect_err(|_| {
            self.challenges.on_failure(now.mono, &remote);
        })?;
        self.challenges.remove(&remote);
        self.sessions.insert_theirs(now.mono, remote, keys, record.clone());
        base.limiter.prove(now.mono, remote.addr.ip());
        self.stats.handshakes += 1;
        // What it wants comes first: it waits for that.
        let handled = self.on_text(now, base, remote, &text);
        self.meet(now, base, remote, record);
        handled
    }

    /// Checks who sent a handshake: the message, the keys of the session, and its record if there
    /// is one.
    fn shake_hands(
        &mut self,
        now: Now,
        base: &Base,
        remote: &Remote,
        packet: &Unmasked<'_>,
        proof: &Handshake<'_>,
    ) -> Result<Shaken, DropReason> {
        let challenge = self.challenges.get(now.mono, remote).ok_or(DropReason::Unsolicited)?;
        let (data, known) = (challenge.data, challenge.node.clone());
        let known = known.and_then(|node| node.record().cloned());
        let ephemeral = PublicKey::from_sec1(proof.ephemeral).map_err(|_| DropReason::Malformed)?;
        let sent = match proof.record {
            [] => None,
            rlp => Some(self.record_of(now, base, &remote.id, rlp).ok_or(DropReason::Malformed)?),
        };
        let newest = match (sent, known) {
            (Some(sent), Some(known)) if known.seq() > sent.seq() => Some(known),
            (sent, known) => sent.or(known),
        };
        let record = newest.ok_or(DropReason::Malformed)?;
        let digest = identity_digest(&data, proof.ephemeral, &self.own);
        if !record.public_key().verify_with(base.key.crypto(), &digest, proof.signature) {
            return Err(DropReason::Proof);
        }
        let secret = base.key.agree_point(&ephemeral);
        let keys = SessionKeys::derive(&secret, &remote.id, &self.own, &data);
        let mut keys = Keys::new(Cipher::new(&keys.recipient), Cipher::new(&keys.initiator));
        let text = keys.open_first(packet).ok_or(DropReason::Proof)?;
        Ok(Shaken { text, keys, record })
    }

    /// The record that `rlp` is, if it is of the node `id`.
    fn record_of(&mut self, now: Now, base: &Base, id: &NodeId, rlp: &[u8]) -> Option<Record> {
        let (record, is_new) = self.records.decode(now.mono, base.key.crypto(), rlp)?;
        self.stats.verified += u64::from(is_new);
        Some(record).filter(|record| record.id() == *id)
    }

    /// A node has proved who and where it is, and tells its record. One without a usable endpoint
    /// is none for the table; one that states another is asked there before others hear of it.
    fn meet(&mut self, now: Now, base: &mut Base, remote: Remote, record: Record) {
        let node = Node::from_record(record);
        match self.finder.reach(now, base, &node) {
            Some(stated) if stated == remote.addr => self.finder.add_inbound(now, base, node),
            Some(stated) if check_relay(remote.addr.ip(), stated.ip()).is_ok() => {
                self.finder.add_found(now, base, node);
            }
            _ => {}
        }
    }

    /// A packet of a session says this.
    fn on_text(
        &mut self,
        now: Now,
        base: &mut Base,
        remote: Remote,
        text: &[u8],
    ) -> Result<(), DropReason> {
        self.release(now, base, &remote);
        let message = Message::decode(text).map_err(|error| match error {
            MessageError::Malformed { .. } => DropReason::Malformed,
            MessageError::UnknownType { .. } => DropReason::UnknownType,
        })?;
        match message {
            Message::Ping { id, .. } => self.on_ping(now, base, remote, id),
            Message::Pong { id, seq, recipient } => {
                self.on_pong(now, base, remote, id, Answer::Pong { seq, us: recipient })?;
            }
            Message::FindNode { id, distances } => {
                self.on_find_node(now, base, remote, id, &distances);
            }
            Message::Nodes { id, total, records } => {
                self.on_nodes(now, base, remote, id, total, &records)?;
            }
            Message::TalkRequest { id, protocol, request } => {
                self.on_talk_request(now, base, remote, id, (protocol, request))?;
            }
            Message::TalkResponse { id, response } => {
                let call = self.answered(&remote, id, |it| matches!(it, Purpose::Talk(_)))?;
                base.limiter.prove(now.mono, remote.addr.ip());
                self.end(now, base, call, Answer::Talk(response.to_vec()));
            }
        }
        Ok(())
    }

    fn on_ping(&mut self, now: Now, base: &mut Base, remote: Remote, id: RequestId) {
        let seq = base.own.current().seq();
        let pong = Message::Pong { id, seq, recipient: Some(remote.addr) };
        self.respond(now, base, &remote, &pong.encode());
        let record = self.sessions.record(now.mono, &remote).cloned();
        if let Some(record) = record.filter(|_| self.finder.table().get(&remote.id).is_none()) {
            // It was dropped, or never came in, and is still there.
            self.meet(now, base, remote, record);
        }
        let ip = remote.addr.ip();
        if self.sessions.is_news(now.mono, &remote) {
            base.store(StoreOp::Ping { id: remote.id, ip, unix: now.unix });
        }
    }

    fn on_pong(
        &mut self,
        now: Now,
        base: &mut Base,
        remote: Remote,
        id: RequestId,
        answer: Answer,
    ) -> Result<(), DropReason> {
        let is_ping = |it: &Purpose| matches!(it, Purpose::Check | Purpose::Ping(_));
        let call = self.answered(&remote, id, is_ping)?;
        base.limiter.prove(now.mono, remote.addr.ip());
        if let Answer::Pong { us: Some(us), .. } = answer
            && let Some(record) = base.own.on_statement(now.mono, remote.addr, us)
        {
            base.on_own_record(record);
        }
        self.end(now, base, call, answer);
        Ok(())
    }

    fn on_nodes(
        &mut self,
        now: Now,
        base: &mut Base,
        remote: Remote,
        id: RequestId,
        total: u64,
        records: &[&[u8]],
    ) -> Result<(), DropReason> {
        let is_find = |it: &Purpose| matches!(it, Purpose::Find { .. } | Purpose::Record(_));
        let id = self.answered(&remote, id, is_find)?;
        base.limiter.prove(now.mono, remote.addr.ip());
        let call = self.calls.get_mut(id).ok_or(DropReason::Unsolicited)?;
        let mut told = call.told.take().unwrap_or_default();
        let distances = match &call.purpose {
            Purpose::Find { distances, .. } => distances.clone(),
            _ => vec![0],
        };
        told.parts += 1;
        for rlp in records {
            if told.records >= MAX_RECORDS {
                break;
            }
            told.records += 1;
            let Some((record, is_new)) = self.records.decode(now.mono, base.key.crypto(), rlp)
            else {
                continue;
            };
            self.stats.verified += u64::from(is_new);
            if let Some(node) = self.usable(now, base, &remote, &distances, record)
                && told.nodes.iter().all(|other| other.id() != node.id())
            {
                told.nodes.push(node);
            }
        }
        let is_whole = told.parts >= total.min(MAX_PARTS) || told.records >= MAX_RECORDS;
        if is_whole {
            self.end(now, base, id, Answer::Nodes(told.nodes));
        } else if let Some(call) = self.calls.get_mut(id) {
            call.told = Some(told);
            self.calls.set_due(id, now.mono + self.config.reply_timeout);
        }
        Ok(())
    }

    /// The node of a record that `remote` tells, if it was asked for and may be asked itself.
    fn usable(
        &self,
        now: Now,
        base: &Base,
        remote: &Remote,
        distances: &[u16],
        record: Record,
    ) -> Option<Node> {
        let distance = record.id().log_distance(&remote.id);
        if !distances.contains(&distance) || record.id() == self.own {
            return None;
        }
        let node = Node::from_record(record);
        if distance == 0 {
            // What it says of itself is asked for whatever it is.
            return Some(node);
        }
        let to = self.finder.reach(now, base, &node)?;
        let is_good =
            !is_reserved_port(to.port()) && check_relay(remote.addr.ip(), to.ip()).is_ok();
        is_good.then_some(node)
    }

    /// The request of the kind that `is_kind` names that a response answers.
    fn answered(
        &self,
        remote: &Remote,
        id: RequestId,
        is_kind: impl Fn(&Purpose) -> bool,
    ) -> Result<CallId, DropReason> {
        let call = self.calls.answered(remote, id).ok_or(DropReason::Unsolicited)?;
        let is_right = self.calls.get(call).is_some_and(|call| is_kind(&call.purpose));
        is_right.then_some(call).ok_or(DropReason::Unsolicited)
    }
}

/// What a handshake has led to.
struct Shaken {
    text: Vec<u8>,
    keys: Keys,
    record: Record,
}
