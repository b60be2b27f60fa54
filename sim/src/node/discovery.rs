//! The discovery task of a node: datagrams, names, seeds and questions in, datagrams and candidates
//! out.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use peerage_discovery::{
    Command, Endpoint, Input as Told, NameId, Output, QueryId, SeedNode,
    candidates::Input as Mixed, store,
};
use peerage_machine::{Instant, Machine as _, Now, Random, Seed};
use peerage_node::{Node as Named, NodeId, SelfDescription};
use peerage_peering::{
    Names, NamesInput,
    envelope::{Input, LocateId},
};

use super::{Mail, Node, NodeDb, NodeFact, NodeSpec, Question, question, token};
use crate::world::{Io, Way};

/// The machine, and who waits for its answers.
#[derive(Debug)]
pub(super) struct Discovery {
    pub(super) endpoint: Endpoint,
    names: Names<NameId>,
    queries: BTreeMap<QueryId, Query>,
    next_query: u64,
    /// What the database knew at the start.
    seeds: Vec<SeedNode>,
    /// Of mail to peering.
    to_peering: Way,
}

/// What a question was for.
#[derive(Debug)]
enum Query {
    Locate(LocateId),
    Record(NodeId),
}

impl Discovery {
    pub(super) fn new(io: &Io<'_>, db: &mut NodeDb, spec: &NodeSpec, seed: Seed) -> Self {
        let mut random = Random::from_seed(seed);
        let mut config = spec.discovery.clone().unwrap_or_default();
        config.policy = spec.policy.clone();
        let seq = store::last_seq(db.seq(), io.now());
        let endpoint = Endpoint::new(config, about(io, spec), seq, random.fork());
        let seeds = db.open(io.now(), random.fork());
        db.state_seq(io.now(), endpoint.local_record().seq());
        Self {
            endpoint,
            names: Names::default(),
            queries: BTreeMap::new(),
            next_query: 0,
            seeds,
            to_peering: Way::default(),
        }
    }

    /// Has an answer known by what it is for.
    fn wait(&mut self, query: Query) -> QueryId {
        let id = QueryId(self.next_query);
        self.next_query += 1;
        self.queries.insert(id, query);
        id
    }

    pub(super) fn on_timeout(&mut self, now: Now) {
        self.names.handle_timeout(now);
        self.endpoint.handle_timeout(now);
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.endpoint.poll_timeout().into_iter().chain(self.names.poll_timeout()).min()
    }

    /// What the machine wants next, once it has been told of all names that are resolved.
    fn poll_output(&mut self, io: &mut Io<'_>) -> Option<Output> {
        while let Some((id, addresses)) =
            question::poll_resolved(&mut self.names, io, question::discovery)
        {
            self.endpoint.handle_input(io.now(), Told::NameResolved { id, addresses });
        }
        self.endpoint.poll_output()
    }
}

/// What a node says of itself: that it listens at the addresses of its host, or at the wildcard.
fn about(io: &Io<'_>, spec: &NodeSpec) -> SelfDescription {
    let listens_at = if spec.knows_address {
        io.ips().to_vec()
    } else if io.ips().iter().any(IpAddr::is_ipv6) {
        vec![Ipv6Addr::UNSPECIFIED.into()]
    } else {
        vec![Ipv4Addr::UNSPECIFIED.into()]
    };
    let mut about = SelfDescription::new(spec.key.clone());
    about.udp = listens_at.iter().map(|ip| SocketAddr::new(*ip, spec.port)).collect();
    if spec.takes_streams() {
        about.tcp.clone_from(&about.udp);
    }
    about
}

impl Node {
    pub(super) fn on_datagram(
        &mut self,
        io: &mut Io<'_>,
        db: &mut NodeDb,
        from: SocketAddr,
        bytes: &[u8],
    ) {
        self.tell_discovery(io, db, Told::Datagram { from, datagram: bytes.into() });
    }

    pub(super) fn on_question(&mut self, io: &mut Io<'_>, db: &mut NodeDb, question: Question) {
        match (&mut self.discovery, question) {
            (None, Question::SetPolicy(_) | Question::Want { .. }) => {}
            (None, Question::Record(node)) => {
                let answer = Mixed::Record { id: node.id(), record: None };
                self.mail(io, Mail::Candidates(answer));
            }
            (None, Question::Resolve { locate, .. }) => {
                self.mail(io, Mail::Peering(Input::Located { locate, node: None }));
            }
            (Some(discovery), Question::Record(node)) => {
                let id = discovery.wait(Query::Record(node.id()));
                self.tell_discovery(
                    io,
                    db,
                    Command::RequestRecord { id, version: None, node: *node }.into(),
                );
            }
            (Some(discovery), Question::Resolve { locate, key }) => {
                let id = discovery.wait(Query::Locate(locate));
                let command = Command::Resolve { id, version: None, node: Named::new(key) };
                self.tell_discovery(io, db, command.into());
            }
            (Some(_), Question::SetPolicy(policy)) => {
                self.tell_discovery(io, db, Told::SetPolicy(policy));
            }
            (Some(_), Question::Want { source, count }) => {
                self.tell_discovery(io, db, Told::Want { source, count });
            }
        }
    }

    /// The system has answered a question of discovery for a name.
    pub(super) fn on_discovery_name(
        &mut self,
        io: &mut Io<'_>,
        db: &mut NodeDb,
        resolve: NameId,
        addresses: Vec<IpAddr>,
    ) {
        if let Some(discovery) = &mut self.discovery {
            discovery.names.handle_input(io.now(), NamesInput::Answered { resolve, addresses });
            self.drain_discovery(io, db);
        }
    }

    fn tell_discovery(&mut self, io: &mut Io<'_>, db: &mut NodeDb, told: Told<'_>) {
        let now = io.now();
        if let Some(discovery) = &mut self.discovery {
            discovery.endpoint.handle_input(now, told);
            self.drain_discovery(io, db);
        }
    }

    pub(super) fn drain_discovery(&mut self, io: &mut Io<'_>, db: &mut NodeDb) {
        let Some(discovery) = &mut self.discovery else { return };
        while let Some(output) = discovery.poll_output(io) {
            match output {
                Output::Candidate { node, source } => {
                    let input = Mixed::Found { node, source };
                    io.mail(&mut discovery.to_peering, Box::new(Mail::Candidates(input)));
                }
                Output::LocalRecord(record) => self.record = Some(record),
                Output::ResolveName { id: resolve, host } => {
                    discovery.names.handle_input(io.now(), NamesInput::Resolve { resolve, host });
                }
                Output::Record { id, record } => {
                    if let Some(Query::Record(id)) = discovery.queries.remove(&id) {
                        let input = Mixed::Record { id, record };
                        io.mail(&mut discovery.to_peering, Box::new(Mail::Candidates(input)));
                    }
                }
                Output::Resolved { id, node } => {
                    if let Some(Query::Locate(locate)) = discovery.queries.remove(&id) {
                        let input = Input::Located { locate, node };
                        io.mail(&mut discovery.to_peering, Box::new(Mail::Peering(input)));
                    }
                }
                Output::Send { to, bytes } => {
                    // As with any other loss, the question goes without an answer.
                    io.send(to, bytes).ok();
                }
                Output::Store(op) => db.op(io.now(), op),
                Output::WantSeeds => {
                    let seeds = std::mem::take(&mut discovery.seeds);
                    for seed in &seeds {
                        io.report(&NodeFact::Seed { udp: seed.node.udp_endpoints() });
                    }
                    discovery.endpoint.handle_input(io.now(), Told::Seeds(seeds));
                }
                Output::LookupDone { .. }
                | Output::LookupStep { .. }
                | Output::NodeAdded { .. }
                | Output::NodeDropped { .. }
                | Output::PingFailed { .. }
                | Output::Pong { .. }
                | Output::Table { .. }
                | Output::TalkRequest { .. }
                | Output::TalkResponse { .. }
                | Output::Warning(_) => {}
            }
        }
        io.set_alarm(token::DISCOVERY, discovery.poll_timeout());
    }
}
