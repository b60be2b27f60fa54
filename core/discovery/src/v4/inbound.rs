//! What comes in: each datagram to its handler, after the checks that cost least.

use std::net::{IpAddr, SocketAddr};

use peerage_machine::Now;
use peerage_node::{Node, NodeId, Record, check_relay};

use super::{
    DropReason, V4,
    asks::{AskId, Stage},
    bonds::Claimant,
    outbound::Answer,
    packet::{
        Endpoint, EnrResponse, FindNode, MAX_NEIGHBORS, Neighbor, Neighbors, Packet, PacketError,
        Ping, Pong, Sealed, Token,
    },
    pings::PingPurpose,
};
use crate::{CLOSEST, Entry, Output, PongInfo, StoreOp, base::Base, is_reserved_port};

impl V4 {
    /// A packet came in from an address that may be talked to.
    pub(crate) fn on_packet(
        &mut self,
        now: Now,
        base: &mut Base,
        from: SocketAddr,
        sealed: Sealed<'_>,
    ) {
        self.stats.received += 1;
        if let Err(reason) = self.open(now, base, from, sealed) {
            self.stats.count(reason);
        }
    }

    /// Checks a packet, the cheapest first, and handles it.
    fn open(
        &mut self,
        now: Now,
        base: &mut Base,
        from: SocketAddr,
        sealed: Sealed<'_>,
    ) -> Result<(), DropReason> {
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
        if !matches!(packet, Packet::Pong(_)) && !base.limiter.allow(now.mono, from.ip()) {
            return Err(DropReason::RateLimit);
        }
        if packet.is_expired(now.unix) {
            return Err(DropReason::Expired);
        }
        let key = sealed.recover_with(base.key.crypto()).map_err(DropReason::of)?;
        if &key == base.key.public() {
            return Err(DropReason::Own);
        }
        let token = sealed.hash();
        let claimant = Claimant { ip: from.ip(), id: key.id() };
        if !base.is_allowed(now, Some(&claimant.id), claimant.ip) {
            return Err(DropReason::NotAllowed);
        }
        match packet {
            Packet::Ping(ping) => {
                // Where it is, is seen; only its TCP port has to be told.
                let tcp = SocketAddr::new(from.ip(), tcp_port(&ping.from, from));
                let node = Node::from_endpoint(key, tcp, Some(from.port()));
                self.on_ping(now, base, from, node, ping, token);
            }
            Packet::Pong(pong) => self.on_pong(now, base, claimant, from, pong)?,
            Packet::FindNode(find) => self.on_find_node(now, base, claimant, from, find)?,
            Packet::Neighbors(neighbors) => self.on_neighbors(now, base, claimant, neighbors)?,
            Packet::EnrRequest(_) => self.on_enr_request(now, base, claimant, from, token)?,
            Packet::EnrResponse(response) => self.on_enr_response(now, base, claimant, response)?,
        }
        Ok(())
    }

    fn on_ping(
        &mut self,
        now: Now,
        base: &mut Base,
        from: SocketAddr,
        node: Node,
        ping: Ping,
        token: Token,
    ) {
        let claimant = Claimant { ip: from.ip(), id: node.id() };
        let pong = Pong {
            to: Endpoint::new(from, ping.from.tcp),
            token,
            expiration: self.expiration(now),
            seq: Some(base.own.current().seq()),
        };
        self.send(base, from, &Packet::Pong(pong));
        let is_news = self.bonds.on_ping(now.mono, claimant);
        if self.bonds.is_proved(now.mono, claimant) {
            if is_news {
                base.store(StoreOp::Ping { id: claimant.id, ip: claimant.ip, unix: now.unix });
            }
            self.finder.add_inbound(now, base, node);
        } else {
            self.ask_proof(now, base, claimant, from, node);
        }
        for id in self.asks.greeting(claimant) {
            self.send_ask(now, base, id);
        }
    }

    fn on_pong(
        &mut self,
        now: Now,
        base: &mut Base,
        claimant: Claimant,
        from: SocketAddr,
        pong: Pong,
    ) -> Result<(), DropReason> {
        let answered =
            self.pings.take(now.mono, claimant, pong.token).ok_or(DropReason::Unsolicited)?;
        if self.bonds.prove(now.mono, claimant) {
            base.limiter.prove(now.mono, claimant.ip);
            if let Some(node) = answered.stranger {
                self.finder.add_inbound(now, base, node);
            }
        }
        let Some(own) = answered.own else { return Ok(()) };
        // Only those whom we chose to ask have a vote.
        if let Some(ours) = pong.to.udp_addr()
            && let Some(record) = base.own.on_statement(now.mono, from, ours)
        {
            base.on_own_record(record);
        }
        for purpose in own.purposes {
            match purpose {
                PingPurpose::Ask(id) => self.on_bonded(now, base, claimant, id),
                PingPurpose::Check => {
                    self.finder.on_alive(now, base, claimant.id, from, pong.seq);
                    self.drive(now, base);
                }
                PingPurpose::Command(id) => {
                    let pong = PongInfo {
                        from,
                        round_trip: now.mono.saturating_since(own.sent),
                        seq: pong.seq,
                        our_endpoint: pong.to.udp_addr(),
                    };
                    base.put(Output::Pong { id, pong });
                }
            }
        }
        Ok(())
    }

    /// A node that is to be asked something is proved.
    fn on_bonded(&mut self, now: Now, base: &mut Base, claimant: Claimant, id: AskId) {
        if self.bonds.may_know_us(now.mono, claimant) {
            self.send_ask(now, base, id);
        } else if let Some(ask) = self.asks.get_mut(id) {
            ask.stage = Stage::Greeting;
            self.asks.set_due(id, now.mono + self.config.reply_timeout);
        }
    }

    fn on_find_node(
        &mut self,
        now: Now,
        base: &mut Base,
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
            self.send(
                base,
                from,
                &Packet::Neighbors(Neighbors { nodes: chunk.to_vec(), expiration }),
            );
        }
        Ok(())
    }

    /// The nodes to tell `claimant` of: live ones, unless there is none.
    fn neighbors(&self, target: NodeId, claimant: Claimant) -> Vec<Neighbor> {
        let tell = |live_only| {
            // Twice as many, as some may be meant for others only.
            let entries = self.finder.table().closest(&target, 2 * CLOSEST, live_only);
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
        base: &mut Base,
        claimant: Claimant,
        neighbors: Neighbors,
    ) -> Result<(), DropReason> {
        let id = self.asks.sent_find(claimant).ok_or(DropReason::Unsolicited)?;
        let usable: Vec<_> = neighbors
            .nodes
            .iter()
            .filter_map(|neighbor| usable(now, base, claimant.ip, neighbor))
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
            self.end_ask(now, base, id, Answer::Nodes(nodes));
        } else {
            self.asks.set_due(id, until.min(now.mono + self.config.neighbors_linger));
        }
        Ok(())
    }

    fn on_enr_request(
        &mut self,
        now: Now,
        base: &mut Base,
        claimant: Claimant,
        from: SocketAddr,
        token: Token,
    ) -> Result<(), DropReason> {
        if !self.bonds.is_proved(now.mono, claimant) {
            return Err(DropReason::Unproved);
        }
        let record = base.own.current().encode();
        self.send(base, from, &Packet::EnrResponse(EnrResponse { token, record }));
        Ok(())
    }

    fn on_enr_response(
        &mut self,
        now: Now,
        base: &mut Base,
        claimant: Claimant,
        response: EnrResponse,
    ) -> Result<(), DropReason> {
        let asks = self.asks.sent_record(claimant, response.token);
        if asks.is_empty() {
            return Err(DropReason::Unsolicited);
        }
        let record = Record::decode_with(base.key.crypto(), &response.record)
            .ok()
            .filter(|record| record.id() == claimant.id)
            .ok_or(DropReason::Malformed)?;
        for id in asks {
            self.end_ask(now, base, id, Answer::Record(record.clone()));
        }
        Ok(())
    }
}

/// The node that the node at `from` tells of, if it may be asked.
fn usable(now: Now, base: &Base, from: IpAddr, neighbor: &Neighbor) -> Option<Node> {
    let udp = neighbor.endpoint.udp_addr()?;
    let is_good = !is_reserved_port(udp.port())
        && check_relay(from, udp.ip()).is_ok()
        && base.is_allowed(now, None, udp.ip());
    let node = if is_good { neighbor.to_node()? } else { return None };
    (node.public_key() != base.key.public()).then_some(node)
}

impl DropReason {
    const fn of(error: PacketError) -> Self {
        match error {
            // Checked before.
            PacketError::Hash | PacketError::Malformed { .. } | PacketError::Size { .. } => {
                Self::Malformed
            }
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
