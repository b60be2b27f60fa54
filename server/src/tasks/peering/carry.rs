//! What the peering machine wants done, done: one arm per output, and the tasks that they start.

use std::{net::SocketAddr, panic::AssertUnwindSafe, sync::Arc};

use futures_util::FutureExt as _;
use peerage_machine::Machine as _;
use peerage_node::{Node, NodeId, PublicKey};
use peerage_peering::{
    NamesInput, NamesOutput, Slot,
    envelope::{ConnId, DialError, DialId, Input, LocateId, Output, ResolveId},
};
use peerage_rlpx::{Fault, Role};
use tokio::{sync::oneshot, time::timeout};

use super::{Conn, Dialing, Entering, Progress, Stage, Task};
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
        names,
        notice::Notice,
        protocol,
    },
};

impl Task {
    /// Drains the machine, as its contract demands after every call.
    pub(super) fn carry_outputs(&mut self) {
        while let Some(output) = self.peering.poll_output() {
            self.carry(output);
        }
    }

    fn carry(&mut self, output: Output) {
        match output {
            Output::Accepting(accepting) => {
                self.accepting.send_replace(accepting);
            }
            Output::Admit { conn } => self.admit(conn),
            Output::CancelDial { dial } => {
                if let Some(Dialing { task, .. }) = self.dials.remove(&dial) {
                    task.abort();
                    self.input(Input::DialFailed { dial, why: DialError::Cancelled });
                }
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
            Output::Locate { locate, key } => self.locate(locate, key),
            Output::PeerAdded { conn, id, slot } => self.add_peer(conn, id, slot),
            Output::PeerDropped { conn, id, fault } => self.drop_peer(conn, id, fault),
            Output::PolicyChanged { policy } => {
                self.policy.send_replace(policy);
            }
            Output::Proceed { conn } => self.proceed(conn),
            Output::Refuse { conn, why } => {
                if let Some(Conn::Entering(entering)) = self.conns.remove(&conn)
                    && let Some(remote) = entering.remote
                {
                    tracing::debug!(%remote, %why, "connection refused");
                    self.publish(Event::Refused { remote, why });
                }
            }
            Output::Resolve { resolve, host } => {
                self.on_names(NamesInput::Resolve { resolve, host });
            }
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
            Output::WantCandidates { count } => {
                self.wanted.send_replace(count);
            }
        }
    }

    pub(super) fn on_accepted(&mut self, Incoming { stream, remote }: Incoming) {
        let local = stream.local_addr().ok();
        let stage = Stage::Accepted(Box::new(stream));
        let conn = self.add_conn(Entering {
            inbound: true,
            remote: Some(remote),
            local,
            mailbox: Arc::new(Mailbox::new()),
            stage,
            done: None,
        });
        self.input(Input::Accepted { conn, remote });
    }

    pub(super) fn on_dialed(&mut self, dial: DialId, result: Result<Dialed, DialError>) {
        // A dial that is not known was cancelled while its answer was on the way.
        let Some(Dialing { key, .. }) = self.dials.remove(&dial) else { return };
        match result {
            Ok(Dialed { stream, remote, local }) => {
                let conn = self.add_conn(Entering {
                    inbound: false,
                    remote: Some(remote),
                    local,
                    mailbox: Arc::new(Mailbox::new()),
                    stage: Stage::Shaking,
                    done: None,
                });
                self.input(Input::DialSucceeded { dial, conn, remote });
                self.spawn_connection(conn, stream, Role::Initiator { remote: key });
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
        if !matches!(self.progress, Progress::Running) {
            // Dropping `done` says that the server has stopped.
            return;
        }
        let (role, dialed) = match direction {
            Direction::Inbound => (Role::Recipient, None),
            Direction::Outbound(remote) => (Role::Initiator { remote }, Some(remote.id())),
        };
        let conn = self.add_conn(Entering {
            inbound: dialed.is_none(),
            remote: None,
            local: None,
            mailbox: Arc::new(Mailbox::new()),
            stage: Stage::Shaking,
            done: Some(done),
        });
        self.input(Input::Stream { conn, dialed });
        self.spawn_connection(conn, stream, role);
    }

    fn add_conn(&mut self, entering: Entering) -> ConnId {
        let conn = ConnId(self.next_conn);
        self.next_conn += 1;
        self.conns.insert(conn, Conn::Entering(Box::new(entering)));
        conn
    }

    fn proceed(&mut self, conn: ConnId) {
        let Some(Conn::Entering(entering)) = self.conns.get_mut(&conn) else { return };
        match std::mem::replace(&mut entering.stage, Stage::Shaking) {
            Stage::Accepted(stream) => self.spawn_connection(conn, stream, Role::Recipient),
            stage => entering.stage = stage,
        }
    }

    fn spawn_connection(&mut self, conn: ConnId, stream: BoxedStream, role: Role) {
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

    fn admit(&mut self, conn: ConnId) {
        let Some(Conn::Entering(entering)) = self.conns.get_mut(&conn) else { return };
        match std::mem::replace(&mut entering.stage, Stage::Shaking) {
            Stage::Identified(key) => {
                entering.stage = Stage::Identified(key);
                entering.mailbox.admit(Admission::Greet);
            }
            Stage::Ready { key, hello, shared } => {
                let limits = &self.connecting.config.lanes;
                let (channels, lanes) = shared
                    .iter()
                    .map(|shared| {
                        let (channel, lane) =
                            Channel::connected(shared.capability, shared.length, limits);
                        ((shared.local, channel), lane)
                    })
                    .unzip();
                entering.stage = Stage::Admitted { key, hello, channels };
                entering.mailbox.admit(Admission::Start(lanes));
            }
            stage => entering.stage = stage,
        }
    }

    fn add_peer(&mut self, conn: ConnId, id: NodeId, slot: Slot) {
        let Some(Conn::Entering(entering)) = self.conns.remove(&conn) else { return };
        let Entering { inbound, remote, local, mailbox, stage, done } = *entering;
        let Stage::Admitted { key, hello, channels } = stage else { return };
        let about = About {
            key,
            client: hello.client.into(),
            capabilities: hello.capabilities.into(),
            shared: channels.iter().map(|(_, channel)| channel.capability()).collect(),
            inbound,
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
        let (dialer, limit, tell) = (self.dialer.clone(), self.dial_timeout, self.tell.clone());
        let task = self.tasks.spawn(async move {
            let dialed = async { dialer.dial(DialRequest { key, addresses }).await };
            // A dialer may be the user's. A dial whose end nobody hears of would never be repeated.
            let dialed = timeout(limit, AssertUnwindSafe(dialed).catch_unwind());
            let result = match dialed.await {
                Ok(Ok(result)) => result,
                Ok(Err(_)) => {
                    tracing::error!("a dialer panicked");
                    Err(DialError::Unreachable)
                }
                Err(_) => Err(DialError::TimedOut),
            };
            // Fails if the server has stopped meanwhile.
            let _ = tell.send(Notice::Dialed { dial, result });
        });
        self.dials.insert(dial, Dialing { key, task });
    }

    fn locate(&mut self, locate: LocateId, key: PublicKey) {
        let (done, answer) = oneshot::channel();
        let command = discovery::Command::Resolve { node: Node::new(key), done };
        let asked = self.locating.as_ref().is_some_and(|discovery| discovery.send(command).is_ok());
        if !asked {
            return self.input(Input::Located { locate, node: None });
        }
        let tell = self.tell.clone();
        self.tasks.spawn(async move {
            // Discovery may have ended: then nobody knows.
            let node = answer.await.ok().flatten().map(Box::new);
            let _ = tell.send(Notice::Located { locate, node });
        });
    }

    pub(super) fn on_names(&mut self, input: NamesInput<ResolveId>) {
        self.names.handle_input(self.clock.now(), input);
        self.carry_names();
    }

    pub(super) fn carry_names(&mut self) {
        while let Some(output) = self.names.poll_output() {
            match output {
                NamesOutput::Ask { resolve, host } => {
                    let tell = self.tell.clone();
                    self.tasks.spawn(async move {
                        let addresses = names::resolve(&host).await;
                        let _ = tell.send(Notice::Resolved { resolve, addresses });
                    });
                }
                NamesOutput::Resolved { resolve, addresses } => {
                    self.input(Input::Resolved { resolve, addresses });
                }
            }
        }
    }

    fn publish(&self, event: Event) {
        // Fails if nobody has subscribed.
        let _ = self.events.send(event);
    }
}
