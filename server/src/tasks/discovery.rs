//! The discovery task: one UDP socket, and what carries datagrams, names, commands and time to the
//! machine of `peerage-discovery`. It is not to be stopped by any of them.
//!
//! Nothing is decided here. Who is in the table, who is asked and what we tell of ourselves is the
//! machine's business; whom to be connected to is that of `peerage-peering`.

mod carry;
mod command;
mod socket;
mod talking;

use std::{collections::BTreeMap, net::SocketAddr, panic::AssertUnwindSafe};

use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use peerage_discovery::{Command as Asked, Config, Endpoint, Input, NameId, QueryId, Version};
use peerage_machine::{Machine as _, Random};
use peerage_node::{Node, Policy, SelfDescription, Source};
use tokio::sync::{broadcast, mpsc, watch};

use self::{carry::Query, talking::Talking};
pub(crate) use self::{
    command::Command,
    socket::{Socket, bind_beside, bind_udp},
};
use super::{clock::Clock, keeper::Keeper, names::Resolver, notice::Notice};
use crate::{events::Event, talk::TalkHandler};

/// How many datagrams are read before commands and timers have their turn.
const BATCH: usize = 64;

/// Discovery, as it was described.
pub(crate) struct Plan {
    pub(crate) socket: Socket,
    pub(crate) config: Config,
    pub(crate) about: SelfDescription,
    /// The sequence number of our record that was published last.
    pub(crate) seq: u64,
    /// What answers TALKREQs from the start.
    pub(crate) talk_handlers: Vec<(Vec<u8>, TalkHandler)>,
}

/// What the task shares with the rest of the server.
pub(crate) struct Links {
    pub(crate) clock: Clock,
    pub(crate) random: Random,
    pub(crate) commands: mpsc::UnboundedReceiver<Command>,
    pub(crate) keeper: Keeper,
    /// How many candidates are wanted of each version.
    pub(crate) wanted: Vec<(Source, watch::Receiver<usize>)>,
    /// Who may be talked to.
    pub(crate) policy: watch::Receiver<Policy>,
    pub(crate) tell: mpsc::UnboundedSender<Notice>,
    /// What handles show as ourselves.
    pub(crate) shown: watch::Sender<Node>,
    pub(crate) events: broadcast::Sender<Event>,
    pub(crate) stopping: watch::Receiver<bool>,
}

/// How handles reach the discovery task.
pub(crate) struct Reach {
    pub(crate) addr: SocketAddr,
    /// Those that are on.
    pub(crate) versions: Vec<Version>,
    pub(crate) commands: mpsc::UnboundedSender<Command>,
}

/// The state of the task.
pub(crate) struct Task {
    socket: Socket,
    links: Links,
    /// How many candidates are wanted of each version, once that changes.
    wishes: FuturesUnordered<BoxFuture<'static, Option<Wish>>>,
    endpoint: Endpoint,
    /// Who waits for an answer. As many as users ask.
    queries: BTreeMap<QueryId, Query>,
    next_query: u64,
    /// As many as boot nodes have.
    names: Resolver<NameId>,
    talking: Talking,
}

/// A version, and how many candidates are wanted of it.
type Wish = (Source, watch::Receiver<usize>);

impl Task {
    pub(crate) fn new(plan: Plan, mut links: Links) -> Self {
        let seed = links.random.fork();
        let wishes = std::mem::take(&mut links.wanted).into_iter().map(changed).collect();
        let mut task = Self {
            wishes,
            socket: plan.socket,
            names: Resolver::new(links.clock),
            links,
            endpoint: Endpoint::new(plan.config, plan.about, plan.seq, seed),
            queries: BTreeMap::new(),
            next_query: 0,
            talking: Talking::default(),
        };
        for (protocol, handler) in plan.talk_handlers {
            task.on_command(Command::SetTalkHandler { protocol, handler: Some(handler) });
        }
        task
    }

    /// Discovers until the server stops.
    pub(crate) async fn run(mut self) {
        while AssertUnwindSafe(self.drive()).catch_unwind().await.is_err() {
            tracing::error!("discovery panicked, and begins again");
            // Nobody is answered any more.
            self.queries.clear();
            self.input(Input::Panicked);
        }
    }

    async fn drive(&mut self) {
        let mut stopping = self.links.stopping.clone();
        loop {
            self.carry_outputs().await;
            let wake = self.endpoint.poll_timeout();
            // What comes while discovery rests waits for it.
            let is_running = self.endpoint.is_running();
            tokio::select! {
                () = until_true(&mut stopping) => return,
                () = self.socket.readable(), if is_running => self.receive().await,
                Some(command) = self.links.commands.recv(), if is_running => self.on_command(command),
                Some(Some((source, mut wanted))) = self.wishes.next() => {
                    let count = *wanted.borrow_and_update();
                    self.wishes.push(changed((source, wanted)));
                    self.input(Input::Want { source, count });
                }
                Ok(()) = self.links.policy.changed() => {
                    let policy = self.links.policy.borrow_and_update().clone();
                    self.input(Input::SetPolicy(policy));
                }
                (id, response) = self.talking.next() => {
                    self.input(Input::TalkResponse { id, response });
                }
                (id, addresses) = self.names.next() => {
                    self.input(Input::NameResolved { id, addresses });
                }
                () = self.links.clock.until(wake) => self.endpoint.handle_timeout(self.links.clock.now()),
            }
        }
    }

    /// Reads what has come, within reason.
    async fn receive(&mut self) {
        let mut buffer = [0; Socket::BUFFER];
        for _ in 0..BATCH {
            let Some((size, from)) = self.socket.receive(&mut buffer).await else { return };
            self.input(Input::Datagram { from, datagram: buffer[..size].into() });
            self.carry_outputs().await;
        }
        // There may be more: whoever floods us is not to keep a thread for itself.
        tokio::task::yield_now().await;
    }

    fn on_command(&mut self, command: Command) {
        let command = match command {
            Command::AddNode(node) => Asked::AddNode(node),
            #[cfg(test)]
            Command::Crash => panic!("as a test wishes"),
            Command::Lookup { target, version, steps, done } => {
                let id = self.wait(Query::Lookup { steps, done });
                Asked::Lookup { id, target, version }
            }
            Command::Ping { node, version, done } => {
                Asked::Ping { id: self.wait(Query::Ping(done)), node, version }
            }
            Command::Record { node, done } => {
                Asked::RequestRecord { id: self.wait(Query::Record(done)), node, version: None }
            }
            Command::Resolve { node, done } => {
                Asked::Resolve { id: self.wait(Query::Resolve(done)), node, version: None }
            }
            Command::SetTalkHandler { protocol, handler } => {
                let has_handler = self.talking.set(&protocol, handler);
                Asked::SetTalkProtocol { protocol, has_handler }
            }
            Command::Table { done } => Asked::Table { id: self.wait(Query::Table(done)) },
            Command::Talk { node, protocol, request, done } => {
                Asked::Talk { id: self.wait(Query::Talk(done)), node, protocol, request }
            }
        };
        self.input(command.into());
    }

    /// Lets somebody wait for an answer.
    fn wait(&mut self, query: Query) -> QueryId {
        let id = QueryId(self.next_query);
        self.next_query += 1;
        self.queries.insert(id, query);
        id
    }

    fn input(&mut self, input: Input<'_>) {
        self.endpoint.handle_input(self.links.clock.now(), input);
    }
}

/// Waits until another number of candidates is wanted; `None` if nobody is left to want any.
fn changed((source, mut wanted): Wish) -> BoxFuture<'static, Option<Wish>> {
    Box::pin(async move {
        wanted.changed().await.ok()?;
        Some((source, wanted))
    })
}

/// Waits for the word to stop. That nobody is left to say it stops too.
async fn until_true(stopping: &mut watch::Receiver<bool>) {
    // Dropped here, as it is a lock.
    let _ = stopping.wait_for(|stopping| *stopping).await;
}
