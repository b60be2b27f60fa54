//! The discovery task of a node: datagrams and questions in, datagrams and candidates out.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

use peerage_discovery::{Input as Asked, LocalChange, Output, QueryId, v4::V4};
use peerage_machine::{Machine as _, Random, Seed};
use peerage_node::{LocalRecord, Node as Named};
use peerage_peering::envelope::{Input, LocateId};

use super::{Mail, Node, NodeDb, NodeFact, NodeSpec, Question, token};
use crate::world::{Io, Way};

/// The machine, and who waits for its answers.
#[derive(Debug)]
pub(super) struct Discovery {
    pub(super) v4: V4,
    queries: BTreeMap<QueryId, LocateId>,
    next_query: u64,
    /// Of mail to peering.
    to_peering: Way,
}

impl Discovery {
    pub(super) fn new(io: &mut Io<'_>, db: &mut NodeDb, spec: &NodeSpec, seed: Seed) -> Self {
        let mut random = Random::from_seed(seed);
        let now = io.now();
        let v4_seed = random.fork();
        let seeds = db.open(now, random.fork());
        for seed in &seeds {
            io.report(&NodeFact::Seed { udp: seed.node.udp_endpoints() });
        }
        let mut local = LocalRecord::new(spec.key.clone(), db.seq());
        let fits = "because an address and ports fit into an empty record";
        let stated = io.ips().iter().copied().filter(|_| spec.knows_address).collect::<Vec<_>>();
        for ip in &stated {
            match ip {
                IpAddr::V4(ip) => local.set_ip4(Some(*ip)).expect(fits),
                IpAddr::V6(ip) => local.set_ip6(Some(*ip)).expect(fits),
            }
        }
        local.set_udp4(Some(spec.port)).expect(fits);
        local.set_tcp4(spec.takes_streams().then_some(spec.port)).expect(fits);
        let mut config = spec.discovery.clone().unwrap_or_default();
        config.table.has_ipv4 = io.ips().iter().any(IpAddr::is_ipv4);
        config.table.has_ipv6 = io.ips().iter().any(IpAddr::is_ipv6);
        let mut v4 = V4::new(config, spec.key.clone(), local, seeds, now, v4_seed);
        db.state_seq(now, v4.local_record().seq());
        for ip in stated {
            let change = match ip {
                IpAddr::V4(ip) => LocalChange::Ip4(Some(ip)),
                IpAddr::V6(ip) => LocalChange::Ip6(Some(ip)),
            };
            v4.handle_input(now, Asked::Local(change));
        }
        Self { v4, queries: BTreeMap::new(), next_query: 0, to_peering: Way::default() }
    }
}

impl Node {
    pub(super) fn on_datagram(
        &mut self,
        io: &mut Io<'_>,
        db: &mut NodeDb,
        from: SocketAddr,
        bytes: &[u8],
    ) {
        let Some(discovery) = &mut self.discovery else { return };
        discovery.v4.handle_input(io.now(), Asked::Datagram { from, bytes });
        self.drain_discovery(io, db);
    }

    pub(super) fn on_question(&mut self, io: &mut Io<'_>, db: &mut NodeDb, question: Question) {
        let now = io.now();
        match (&mut self.discovery, question) {
            (None, Question::SetPolicy(_) | Question::Want(_)) => {}
            (None, Question::Resolve { locate, .. }) => {
                self.mail_peering(io, Input::Located { locate, node: None });
            }
            (Some(discovery), Question::SetPolicy(policy)) => {
                discovery.v4.handle_input(now, Asked::SetPolicy(policy));
                self.drain_discovery(io, db);
            }
            (Some(discovery), Question::Want(count)) => {
                discovery.v4.handle_input(now, Asked::Want { count });
                self.drain_discovery(io, db);
            }
            (Some(discovery), Question::Resolve { locate, key }) => {
                let id = QueryId(discovery.next_query);
                discovery.next_query += 1;
                discovery.queries.insert(id, locate);
                discovery.v4.handle_input(now, Asked::Resolve { id, node: Named::new(key) });
                self.drain_discovery(io, db);
            }
        }
    }

    pub(super) fn drain_discovery(&mut self, io: &mut Io<'_>, db: &mut NodeDb) {
        let Some(discovery) = &mut self.discovery else { return };
        while let Some(output) = discovery.v4.poll_output() {
            match output {
                Output::Send { to, bytes } => {
                    // As with any other loss, the question goes without an answer.
                    io.send(to, bytes).ok();
                }
                Output::Candidate(node) => {
                    let input = Input::Candidate { node };
                    io.mail(&mut discovery.to_peering, Box::new(Mail::Peering(input)));
                }
                Output::LocalRecord(record) => self.record = Some(record),
                Output::Resolved { id, node } => {
                    if let Some(locate) = discovery.queries.remove(&id) {
                        let input = Input::Located { locate, node };
                        io.mail(&mut discovery.to_peering, Box::new(Mail::Peering(input)));
                    }
                }
                Output::Store(op) => db.op(io.now(), op),
                Output::LookupDone { .. }
                | Output::LookupStep { .. }
                | Output::NodeAdded(_)
                | Output::NodeDropped(_)
                | Output::PingFailed { .. }
                | Output::Pong { .. }
                | Output::Record { .. } => {}
            }
        }
        io.set_alarm(token::DISCOVERY, discovery.v4.poll_timeout());
    }
}
