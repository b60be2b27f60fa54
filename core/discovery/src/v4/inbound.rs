//! What comes in: each datagram to its handler, after the checks that cost least.

use std::net::{IpAddr, SocketAddr};

use peerage_machine::Now;
use peerage_node::{Node, NodeId, PublicKey, Record, check_relay};

use super::{
    DropReason, Output, V4,
    asks::{AskId, RecordFor, Request, Stage},
    bonds::Claimant,
    outbound::Answer,
    packet::{
        Endpoint, EnrResponse, FindNode, MAX_NEIGHBORS, Neighbor, Neighbors, Packet, PacketError,
        Ping, Pong, Sealed, Token,
    },
    pings::PingPurpose,
};
use crate::{CLOSEST, Entry, StoreOp};

/// The ports that nodes do not listen at, as others do: nobody should make us send there.
const RESERVED_PORTS: std::ops::RangeInclusive<u16> = 0..=1024;

impl V4 {
    pub(super) fn on_datagram(&mut self, now: Now, from: SocketAddr, bytes: &[u8]) {
        self.stats.received += 1;
        let from = SocketAddr::new(from.ip().to_canonical(), from.port());
        if let Err(reason) = self.open(now, from, bytes) {
            self.stats.count(reason);
        }
    }

    /// Checks a datagram, the cheapest first, and handles it.
    fn open(&mut self, now: Now, from: SocketAddr, bytes: &[u8]) -> Result<(), DropReason> {
        if from.port() == 0 || !is_unicast(from.ip()) || !self.is_allowed(now, None, from.ip()) {
            return Err(DropReason::NotAllowed);
        }
        let sealed = Sealed::check(bytes).map_err(DropReason::of)?;
        let packet = sealed.decode().map_err(DropReason::of)?;
        let is_asked_for = match &packet {
            // Nobody else knows its hash: this one is worth a signature whatever else comes in.
            Packet::Pong(pong) => self.pings.expect_once(now.mono, from.ip(), pong.token),
            Packet::EnrResponse(response) => self.asks.expects(from.ip(), response.token),
            // Answers without a hash, and questions.
            Packet::EnrRequest(_)
            | Packet::FindNode(_)
            | Packet::Neighbors(_)
            | Packet::Ping(_) => true,
        };
        if !is_asked_for {
            return Err(DropReason::Unsolicited);
        }
        if !matches!(packet, Packet::Pong(_)) && !self.limiter.allow(now.mono, from.ip()) {
            return Err(DropReason::RateLimit);
        }
        if packet.is_expired(now.unix) {
            return Err(DropReason::Expired);
        }
        let key = sealed.recover_with(self.key.crypto()).map_err(DropReason::of)?;
        if &key == self.key.public() {
            return Err(DropReason::Own);
        }
        let claimant = Claimant { ip: from.ip(), id: key.id() };
        if !self.is_allowed(now, Some(&claimant.id), claimant.ip) {
            return Err(DropReason::NotAllowed);
        }
        match packet {
            Packet::Ping(ping) => self.on_ping(now, claimant, from, key, ping, sealed.hash()),
            Packet::Pong(pong) => self.on_pong(now, claimant, from, pong)?,
            Packet::FindNode(find) => self.on_find_node(now, claimant, from, find)?,
            Packet::Neighbors(neighbors) => self.on_neighbors(now, claimant, neighbors)?,
            Packet::EnrRequest(_) => self.on_enr_request(now, claimant, from, sealed.hash())?,
            Packet::EnrResponse(response) => self.on_enr_response(now, claimant, response)?,
        }
        Ok(())
    }

    fn on_ping(
        &mut self,
        now: Now,
        claimant: Claimant,
        from: SocketAddr,
        key: PublicKey,
        ping: Ping,
        token: Token,
    ) {
        let pong = Pong {
            to: Endpoint::new(from, ping.from.tcp),
            token,
            expiration: self.expiration(now),
            seq: Some(self.own.current().seq()),
        };
        self.send(from, &Packet::Pong(pong));
        let is_news = self.bonds.on_ping(now.mono, claimant);
        // Where it is, is seen; only its TCP port has to be told.
        let tcp = SocketAddr::new(from.ip(), tcp_port(&ping.from, from));
        let node = Node::from_endpoint(key, tcp, Some(from.port()));
        if self.bonds.is_proved(now.mono, claimant) {
            if is_news {
                let op = StoreOp::Ping { id: claimant.id, ip: claimant.ip, unix: now.unix };
                self.outputs.push_back(Output::Store(op));
            }
            self.add_inbound(now, node);
        } else {
            self.ask_proof(now, claimant, from, node);
        }
        for id in self.asks.greeting(claimant) {
            self.send_ask(now, id);
        }
    }

    fn on_pong(
        &mut self,
        now: Now,
        claimant: Claimant,
        from: SocketAddr,
        pong: Pong,
    ) -> Result<(), DropReason> {
        let answered =
            self.pings.take(now.mono, claimant, pong.token).ok_or(DropReason::Unsolicited)?;
        if self.bonds.prove(now.mono, claimant) {
            self.limiter.prove(now.mono, claimant.ip);
            if let Some(node) = answered.stranger {
                self.add_inbound(now, node);
            }
        }
        let Some(own) = answered.own else { return Ok(()) };
        // Only those whom we chose to ask have a vote.
        self.on_vote(now, from, &pong);
        for purpose in own.purposes {
            match purpose {
                PingPurpose::Ask(id) => self.on_bonded(now, claimant, id),
                PingPurpose::Check => self.on_alive(now, claimant, pong.seq),
                PingPurpose::Command(id) => self.outputs.push_back(Output::Pong {
                    id,
                    from,
                    round_trip: now.mono.saturating_since(own.sent),
                    seq: pong.seq,
                    our_endpoint: pong.to.udp_addr(),
                }),
            }
        }
        Ok(())
    }

    /// What the node that answered says our endpoint is.
    fn on_vote(&mut self, now: Now, from: SocketAddr, pong: &Pong) {
        let Some(ours) = pong.to.udp_addr() else { return };
        if let Some(record) = self.own.on_statement(now.mono, from, ours) {
            self.on_local_record(record);
        }
    }

    /// A node that is to be asked something is proved.
    fn on_bonded(&mut self, now: Now, claimant: Claimant, id: AskId) {
        if self.bonds.may_know_us(now.mono, claimant) {
            self.send_ask(now, id);
        } else if let Some(ask) = self.asks.get_mut(id) {
            ask.stage = Stage::Greeting;
            self.asks.set_due(id, now.mono + self.config.reply_timeout);
        }
    }

    /// A node of the table has answered its check.
    fn on_alive(&mut self, now: Now, claimant: Claimant, seq: Option<u64>) {
        let outdated = self.table.on_alive(now.mono, &claimant.id, seq);
        let Some(entry) = self.table.get(&claimant.id).filter(|entry| entry.is_live()) else {
            return;
        };
        if entry.checks() == 1 {
            self.store_node(claimant.id);
        }
        let op = StoreOp::Pong { id: claimant.id, ip: claimant.ip, unix: now.unix };
        self.outputs.push_back(Output::Store(op));
        if let Some(node) = outdated {
            self.ask(now, node, Request::Record(RecordFor::Table));
        }
    }

    fn on_find_node(
        &mut self,
        now: Now,
        claimant: Claimant,
        from: SocketAddr,
        find: FindNode,
    ) -> Result<(), DropReason> {
        if !self.bonds.is_proved(now.mono, claimant) {
            return Err(DropReason::Unproved);
        }
        let nodes = self.neighbors(find.target.id(), claimant);
        // Nobody is nobody: the node waits for an answer.
        let chunks =
            if nodes.is_empty() { vec![&nodes[..]] } else { nodes.chunks(MAX_NEIGHBORS).collect() };
        for chunk in chunks {
            let expiration = self.expiration(now);
            self.send(from, &Packet::Neighbors(Neighbors { nodes: chunk.to_vec(), expiration }));
        }
        Ok(())
    }

    /// The nodes to tell `claimant` of: live ones, unless there is none.
    fn neighbors(&self, target: NodeId, claimant: Claimant) -> Vec<Neighbor> {
        let tell = |live_only| {
            // Twice as many, as some may be meant for others only.
            let entries = self.table.closest(&target, 2 * CLOSEST, live_only);
            let may_be_told = |entry: &&Entry| {
                entry.id() != claimant.id && check_relay(claimant.ip, entry.endpoint().ip()).is_ok()
            };
            let entries = entries.into_iter().filter(may_be_told).take(CLOSEST);
            entries.map(|entry| Neighbor::new(entry.node(), entry.endpoint())).collect::<Vec<_>>()
        };
        let live = tell(true);
        if live.is_empty() { tell(false) } else { live }
    }

    fn on_neighbors(
        &mut self,
        now: Now,
        claimant: Claimant,
        neighbors: Neighbors,
    ) -> Result<(), DropReason> {
        let id = self.asks.sent_find(claimant).ok_or(DropReason::Unsolicited)?;
        let usable: Vec<_> = neighbors
            .nodes
            .iter()
            .filter_map(|neighbor| self.usable(now, claimant.ip, neighbor))
            .collect();
        let Some(Stage::Sent { until, told, .. }) = self.asks.get_mut(id).map(|ask| &mut ask.stage)
        else {
            return Err(DropReason::Unsolicited);
        };
        let until = *until;
        let (count, nodes) = told.get_or_insert_default();
        *count += neighbors.nodes.len();
        nodes.extend(usable);
        nodes.truncate(CLOSEST);
        if *count >= CLOSEST {
            let nodes = std::mem::take(nodes);
            self.end_ask(now, id, Answer::Nodes(nodes));
        } else {
            self.asks.set_due(id, until.min(now.mono + self.config.neighbors_linger));
        }
        Ok(())
    }

    /// The node that the node at `from` tells of, if it may be asked.
    fn usable(&self, now: Now, from: IpAddr, neighbor: &Neighbor) -> Option<Node> {
        let udp = neighbor.endpoint.udp_addr()?;
        let is_good = !RESERVED_PORTS.contains(&udp.port())
            && check_relay(from, udp.ip()).is_ok()
            && self.is_allowed(now, None, udp.ip());
        let node = if is_good { neighbor.to_node()? } else { return None };
        (node.public_key() != self.key.public()).then_some(node)
    }

    fn on_enr_request(
        &mut self,
        now: Now,
        claimant: Claimant,
        from: SocketAddr,
        token: Token,
    ) -> Result<(), DropReason> {
        if !self.bonds.is_proved(now.mono, claimant) {
            return Err(DropReason::Unproved);
        }
        let record = self.own.current().encode();
        self.send(from, &Packet::EnrResponse(EnrResponse { token, record }));
        Ok(())
    }

    fn on_enr_response(
        &mut self,
        now: Now,
        claimant: Claimant,
        response: EnrResponse,
    ) -> Result<(), DropReason> {
        let asks = self.asks.sent_record(claimant, response.token);
        if asks.is_empty() {
            return Err(DropReason::Unsolicited);
        }
        let record = Record::decode_with(self.key.crypto(), &response.record)
            .ok()
            .filter(|record| record.id() == claimant.id)
            .ok_or(DropReason::Malformed)?;
        for id in asks {
            self.end_ask(now, id, Answer::Record(record.clone()));
        }
        Ok(())
    }
}

impl DropReason {
    const fn of(error: PacketError) -> Self {
        match error {
            PacketError::Hash | PacketError::Size { .. } => Self::NotV4,
            PacketError::Malformed { .. } => Self::Malformed,
            PacketError::Signature => Self::Signature,
            PacketError::UnknownType { .. } => Self::UnknownType,
        }
    }
}

/// The TCP port of a node that states `endpoint` and sends from `from`; 0 for none.
///
/// One that states no port at all does not know its own: the client of ethereumjs never does. As in
/// an enode URL with one port, UDP's is meant, or nobody whom we tell of it could connect to it.
/// One that states a UDP port and no TCP port takes no connections.
const fn tcp_port(endpoint: &Endpoint, from: SocketAddr) -> u16 {
    match (endpoint.udp, endpoint.tcp) {
        (0, 0) => from.port(),
        (_, tcp) => tcp,
    }
}

/// Whether one machine can be at `ip`: a forged source must not make us speak to many.
fn is_unicast(ip: IpAddr) -> bool {
    let is_broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    !ip.is_multicast() && !ip.is_unspecified() && !is_broadcast
}
