//! What the peering machine wants done, done: one arm per output, and the tasks that they start.

use std::{net::SocketAddr, panic::AssertUnwindSafe, sync::Arc};

use futures_util::FutureExt as _;
use peerage_discovery::candidates::Input as Mixed;
use peerage_machine::Machine as _;
use peerage_node::{Node, NodeId, PublicKey};
use peerage_peering::{
    Origin, Peer as Admitted,
    envelope::{ConnId, DialError, DialId, Input, LocateId, Output, Refusal},
};
use peerage_rlpx::{Fault, Role};
use tokio::sync::oneshot;

use super::{Conn, Entering, Hellos, Progress, Task};
use crate::{
    channel::Channel,
    dialer::{BoxedStream, DialRequest, Dialed, Direction},
    error::ConnectError,
    events::Event,
    info::PeerInfo,
    peer::{About, Peer},
    tasks::{
        connection::{self, Connecting},
        discovery,
        listener::Incoming,
        mailbox::{Admission, Mailbox},
        notice::Notice,
        protocol,
    },
};

impl Task {
    /// Drains both machines, as their contract demands after every call.
    pub(super) fn carry_outputs(&mut self) {
        loop {
            if let Some(output) = self.peering.poll_output() {
                self.carry(output);
            } else if let Some(output) = self.candidates.poll_output() {
                self.carry_mixed(output);
            } else {
                return;
            }
        }
    }

    fn carry(&mut self, output: Output) {
        match output {
            Output::Accepting(accepting) => {
                self.accepting.send_replace(accepting);
            }
            Output::Begin { conn, role } => self.begin(conn, role),
            Output::CancelDial { dial } => {
                if let Some(task) = self.dials.remove(&dial) {
                    task.abort();
                    self.input(Input::DialFailed { dial, why: DialError::Cancelled });
                }
            }
            Output::CandidateSkipped { id, source, why } => {
                self.mix(Mixed::Skipped { id, source, why });
            }
            Output::Dial { dial, key, addresses } => self.dial(dial, key, addresses),
            Output::DialFailed { id, why, retry_at } => {
                let now = self.clock.now().mono;
                let retry_in = retry_at.map(|at| at.saturating_since(now));
                tracing::debug!(%id, %why, ?retry_in, "dial failed");
                self.publish(Event::DialFailed { id, why, retry_in });
            }
            Output::Disconnect { conn, reason } | Output::Reject { conn, reason } => {
                match self.conns.get(&conn) {
                    Some(Conn::Entering(entering)) => entering.mailbox.disconnect(reason),
                    Some(Conn::Peer(peer)) => peer.disconnect(reason),
                    None => {}
                }
            }
            Output::Forget { list, id } => {
                if let Some(keeper) = &self.keeper {
                    keeper.unlist(list, id);
                }
            }
            Output::Greet { conn } => self.greet(conn),
            Output::Keep { list, node } => {
                if let Some(keeper) = &self.keeper {
                    keeper.list(list, node);
                }
            }
            Output::Locate { locate, key } => self.locate(locate, key),
            Output::PeerAdded { id, peer, remote } => self.add_peer(id, peer, remote),
            Output::PeerDropped { conn, id, fault } => self.drop_peer(conn, id, fault),
            Output::PolicyChanged { policy } => {
                self.policy.send_replace(policy);
            }
            Output::Refuse { conn, remote, why } => self.refuse(conn, remote, why),
            Output::Resolve { resolve, host } => self.names.resolve(resolve, host),
            Output::SlotChanged { conn, id, slot } => {
                if let Some(Conn::Peer(peer)) = self.conns.get(&conn) {
                    peer.set_slot(slot);
                    self.publish(Event::SlotChanged { id, slot });
                }
            }
            Output::Stopped => {
                if let Progress::Stopping(deadline) = self.progress {
                    self.progress = Progress::Stopped(deadline);
                }
            }
            Output::WantCandidates { count } => self.mix(Mixed::Want { count }),
        }
    }

    pub(super) fn on_accepted(&mut self, Incoming { stream, remote }: Incoming) {
        let local = stream.local_addr().ok();
        let conn = self.add_conn(Box::new(stream), local, None);
        self.input(Input::Accepted { conn, remote });
    }

    pub(super) fn on_dialed(&mut self, dial: DialId, result: Result<Dialed, DialError>) {
        // A dial that is not known was cancelled while its answer was on the way.
        if self.dials.remove(&dial).is_none() {
            return;
        }
        match result {
            Ok(Dialed { stream, remote, local }) => {
                let conn = self.add_conn(stream, local, None);
                self.input(Input::DialSucceeded { dial, conn, remote });
            }
            Err(why) => self.input(Input::DialFailed { dial, why }),
        }
    }

    pub(super) fn on_stream(
        &mut self,
        stream: BoxedStream,
        direction: Direction,
        done: oneshot::Sender<Result<NodeId, ConnectError>>,
    ) {
        let conn = self.add_conn(stream, None, Some(done));
        let role = match direction {
            Direction::Inbound => Role::Recipient,
            Direction::Outbound(remote) => Role::Initiator { remote },
        };
        self.input(Input::Stream { conn, role });
    }

    fn add_conn(
        &mut self,
        stream: BoxedStream,
        local: Option<SocketAddr>,
        done: Option<oneshot::Sender<Result<NodeId, ConnectError>>>,
    ) -> ConnId {
        let conn = ConnId(self.next_conn);
        self.next_conn += 1;
        let entering = Entering { local, mailbox: Arc::new(Mailbox::new()), done };
        self.conns.insert(conn, Conn::Entering(Box::new(entering)));
        self.streams.insert(conn, stream);
        conn
    }

    fn begin(&mut self, conn: ConnId, role: Role) {
        let Some(stream) = self.streams.remove(&conn) else { return };
        let Some(Conn::Entering(entering)) = self.conns.get(&conn) else { return };
        self.tasks.spawn(connection::Task::new(Connecting {
            conn,
            stream,
            role,
            seed: self.random.fork(),
            mailbox: entering.mailbox.clone(),
            links: self.connecting.clone(),
        }));
    }

    /// Drops what there is of a connection. Who brought its stream hears that by the drop.
    fn refuse(&mut self, conn: ConnId, remote: Option<SocketAddr>, why: Refusal) {
        self.conns.remove(&conn);
        self.streams.remove(&conn);
        if let Some(remote) = remote {
            tracing::debug!(%remote, %why, "connection refused");
            self.publish(Event::Refused { remote, why });
        }
    }

    fn greet(&self, conn: ConnId) {
        if let Some(Conn::Entering(entering)) = self.conns.get(&conn) {
            entering.mailbox.admit(Admission::Greet);
        }
    }

    fn add_peer(&mut self, id: NodeId, peer: Admitted, remote: Option<SocketAddr>) {
        let Admitted { conn, key, origin, slot, .. } = peer;
        let Some(Hellos { theirs, shared }) = self.hellos.remove(&conn) else { return };
        let Some(Conn::Entering(entering)) = self.conns.remove(&conn) else { return };
        let Entering { local, mailbox, done } = *entering;
        let limits = &self.connecting.config.lanes;
        let (channels, lanes): (Vec<_>, Vec<_>) = shared
            .iter()
            .map(|shared| {
                let (channel, lane) = Channel::connected(shared.capability, shared.length, limits);
                ((shared.local, channel), lane)
            })
            .unzip();
        mailbox.admit(Admission::Start(lanes));
        let about = About {
            key,
            client: theirs.client.into(),
            capabilities: theirs.capabilities.into(),
            shared: shared.iter().map(|shared| shared.capability).collect(),
            inbound: origin == Origin::Inbound,
            remote,
            local,
        };
        let peer = Peer::new(about, slot, mailbox);
        self.conns.insert(conn, Conn::Peer(peer.clone()));
        self.roster.add(conn, peer.clone());
        tracing::debug!(%id, client = peer.client(), ?slot, "peer added");
        // Asking a protocol for its information now would be too early: it has not begun.
        let info = PeerInfo::of(&peer, |_| "handshake".into());
        self.publish(Event::PeerAdded { peer: Box::new(info) });
        for (local, channel) in channels {
            let protocol = self.protocols[local].clone();
            self.tasks.spawn(protocol::Task::new(protocol, peer.clone(), channel));
        }
        if let Some(done) = done {
            // Fails if whoever brought the stream no longer waits.
            let _ = done.send(Ok(id));
        }
    }

    fn drop_peer(&mut self, conn: ConnId, id: NodeId, fault: Fault) {
        self.roster.remove(conn, id);
        let Some(Conn::Peer(peer)) = self.conns.get(&conn) else { return };
        tracing::debug!(%id, %fault, "peer dropped");
        let duration = peer.connected_for();
        self.publish(Event::PeerDropped {
            id,
            fault,
            reason: fault.reason(),
            by_us: fault.is_by_us(),
            duration,
        });
    }

    fn dial(&mut self, dial: DialId, key: PublicKey, addresses: Vec<SocketAddr>) {
        let (dialer, tell) = (self.dialer.clone(), self.tell.clone());
        let task = self.tasks.spawn(async move {
            let dialed = async { dialer.dial(DialRequest { key, addresses }).await };
            // A dialer may be the user's. A dial whose end nobody hears of would not be repeated
            // before it is too late.
            let result = AssertUnwindSafe(dialed).catch_unwind().await.unwrap_or_else(|_| {
                tracing::error!("a dialer panicked");
                Err(DialError::Unreachable)
            });
            // Fails if the server has stopped meanwhile.
            let _ = tell.send(Notice::Dialed { dial, result });
        });
        self.dials.insert(dial, task);
    }

    fn locate(&mut self, locate: LocateId, key: PublicKey) {
        let notice = move |node: Option<Node>| {
            let node = node.map(Box::new);
            Notice::Located { locate, node }
        };
        self.ask(|done| discovery::Command::Resolve { node: Node::new(key), done }, notice);
    }

    /// Asks discovery something, and has its answer come as a notice; `None` where nobody is there
    /// to be asked.
    pub(super) fn ask<T: Send + 'static>(
        &mut self,
        command: impl FnOnce(oneshot::Sender<Option<T>>) -> discovery::Command,
        notice: impl FnOnce(Option<T>) -> Notice + Send + 'static,
    ) {
        let (done, answer) = oneshot::channel();
        let command = command(done);
        let asked = self.discovery.as_ref().is_some_and(|asked| asked.send(command).is_ok());
        if !asked {
            return self.on_notice(notice(None));
        }
        let tell = self.tell.clone();
        self.tasks.spawn(async move {
            // Discovery may have ended: then nobody knows.
            let answer = answer.await.ok().flatten();
            // Fails if the server has stopped meanwhile.
            let _ = tell.send(notice(answer));
        });
    }

    pub(super) fn publish(&self, event: Event) {
        // Fails if nobody has subscribed.
        let _ = self.events.send(event);
    }
}
