//! The start of a server: its tasks made, and tied together.
//!
//! Not here: what may be wrong with the description (`builder`), which comes before.

use std::{net::SocketAddr, sync::Arc};

use peerage_machine::Random;
use peerage_node::Node;
use peerage_peering::UNJUDGED;
use tokio::{
    net::TcpListener,
    sync::{broadcast, mpsc, watch},
    task::JoinSet,
};

use crate::{
    events::Event,
    server::{Handle, Server},
    store::NodeStore,
    tasks::{
        clock::Clock,
        discovery::{self, Reach},
        keeper, listener, peering,
        roster::Roster,
    },
};

/// A server that was described without a mistake.
pub(crate) struct Plan {
    pub(crate) node: Node,
    pub(crate) listener: Option<TcpListener>,
    pub(crate) listen: Option<SocketAddr>,
    pub(crate) clock: Clock,
    /// `None` for no discovery.
    pub(crate) discovery: Option<discovery::Plan>,
    pub(crate) peering: peering::Plan,
    pub(crate) events: broadcast::Sender<Event>,
    pub(crate) random: Random,
    pub(crate) store: Box<dyn NodeStore>,
}

/// Starts every task of a server.
pub(crate) fn start(mut plan: Plan) -> Server {
    // Unbounded, as its senders are bounded: a connection says at most three things, a dial and a
    // search one each, a version of discovery one candidate until the next is wanted, and the rest
    // is the user's own.
    let (tell, notices) = mpsc::unbounded_channel();
    let (accepted_sender, accepted) = mpsc::channel(UNJUDGED);
    let (accepting, may_accept) = watch::channel(false);
    let events = plan.events;
    let (stopped_sender, stopped) = watch::channel(false);
    let (user_wants, wanted) = watch::channel(0);
    let versions = plan.discovery.iter().flat_map(|discovery| discovery.config.sources());
    let (discovery_wants, wanted_of_discovery) = versions
        .map(|version| {
            let (wants, wanted) = watch::channel(0);
            ((version, wants), (version, wanted))
        })
        .unzip();
    let (policy_sender, policy) = watch::channel(plan.peering.peering.policy.clone());
    let (shown, local) = watch::channel(plan.node);
    let (commands, commanded) = mpsc::unbounded_channel();
    let (stopping, may_stop) = watch::channel(false);
    let reach = |plan: &discovery::Plan| Reach {
        addr: plan.socket.address(),
        versions: plan.config.versions(),
        commands,
    };
    let discovery = plan.discovery.as_ref().map(reach);
    let asking = discovery.as_ref().map(|reach| reach.commands.clone());
    let roster = Arc::new(Roster::default());
    let handle = Handle {
        clock: plan.clock,
        local,
        discovery,
        name: plan.peering.connection.client.clone(),
        listen: plan.listen,
        protocols: plan.peering.protocols.clone(),
        roster: roster.clone(),
        events: events.downgrade(),
        tell: tell.clone(),
        stopped,
        wanted,
    };

    let clock = plan.clock;
    let mut tasks = JoinSet::new();
    let (keeping, keeper) = keeper::Task::new(plan.store, clock, plan.random.fork());
    tasks.spawn(keeping.run());
    if let Some(discovery) = plan.discovery {
        let links = discovery::Links {
            clock,
            random: Random::from_seed(plan.random.fork()),
            commands: commanded,
            keeper: keeper.clone(),
            wanted: wanted_of_discovery,
            policy,
            tell: tell.clone(),
            shown,
            events: events.clone(),
            stopping: may_stop,
        };
        tasks.spawn(discovery::Task::new(discovery, links).run());
    }
    let listening = plan
        .listener
        .map(|listener| tasks.spawn(listener::accept(listener, may_accept, accepted_sender)));
    let links = peering::Links {
        clock,
        random: plan.random,
        tell,
        notices,
        accepted,
        accepting,
        listening,
        keeper,
        discovery: asking,
        stopping,
        stopped: stopped_sender,
        wanted_of_discovery: discovery_wants,
        wanted_of_user: user_wants,
        policy: policy_sender,
        events,
        roster,
        tasks,
    };
    tokio::spawn(peering::Task::new(plan.peering, links).run());
    Server(Arc::new(handle))
}
