//! What becomes of an event: it is noted, and the host that it is for is told.

use super::{Deferred, MAX_DEFERRED, Program, World};
use crate::{
    HostId,
    alarms::Ring,
    event::{Event, HostEvent},
    io::Io,
    net::Crash,
    node::{Mail, Node, NodeDb},
    trace::Kind,
};

impl World {
    /// Whether anything happens by `event`: not by a wake-up that was put off.
    pub(super) fn is_news(&mut self, event: &Event) -> bool {
        let Event::Wake { host, task } = *event else { return true };
        match self.alarms.ring(host, task, self.now) {
            Ring::Silent => false,
            Ring::Later(due) => {
                self.queue.plan(due, Event::Wake { host, task });
                false
            }
            Ring::Now => true,
        }
    }

    /// Something happens; the host that took part.
    pub(super) fn happen(&mut self, event: Event) -> Option<HostId> {
        let (now, net, queue) = (self.now, &mut self.net, &mut self.queue);
        let told = match event {
            Event::Arrive { socket } => net.on_arrive(now, queue, socket),
            Event::Datagram { sender, from, to, bytes } => {
                net.on_datagram(now, sender, from, to, bytes)
            }
            Event::Answer { socket, is_refused } => net.on_answer(socket, is_refused),
            Event::Backlog { socket } => net.on_backlog(socket),
            Event::Reset { socket } => net.on_reset(socket),
            Event::Syn { socket, from, to, tries } => {
                net.on_syn(now, queue, (socket, from, to), tries);
                None
            }
            Event::Wake { host, task } => Some((host, HostEvent::Wake(task))),
            Event::Window { socket } => net.on_window(socket),
            Event::Host { host, epoch, event } => {
                (net.epoch(host) == epoch).then_some((host, event))
            }
            Event::Mail { host, epoch, mail } => {
                if net.epoch(host) == epoch {
                    self.mail(host, mail);
                    return Some(host);
                }
                None
            }
            Event::Resume { host, epoch } => {
                if net.epoch(host) == epoch {
                    self.resume(host);
                    return Some(host);
                }
                None
            }
        };
        let (host, event) = told?;
        self.deliver(host, event);
        Some(host)
    }

    fn deliver(&mut self, host: HostId, event: HostEvent) {
        self.note_event(host, &event);
        if let Some(deferred) = &mut self.hosts[host.index()].deferred {
            if deferred.len() < MAX_DEFERRED || !matches!(event, HostEvent::Datagram { .. }) {
                deferred.push(Deferred::Event(event));
            }
            return;
        }
        match &mut self.hosts[host.index()].program {
            Program::Node { .. } => {
                self.with_node(host, |node, io, db| node.on_event(io, db, event));
            }
            Program::Actor(actor) => {
                if let Some(mut actor) = actor.take() {
                    actor.on_event(&mut self.io(host), event);
                    self.hosts[host.index()].program = Program::Actor(Some(actor));
                }
            }
        }
    }

    fn mail(&mut self, host: HostId, mail: Mail) {
        self.trace.note(self.now, host.0, Kind::Mail, &[], &[], || format!("{mail:?}"));
        if let Some(deferred) = &mut self.hosts[host.index()].deferred {
            return deferred.push(Deferred::Mail(mail));
        }
        self.with_node(host, |node, io, db| node.on_mail(io, db, mail));
    }

    fn resume(&mut self, host: HostId) {
        self.note(host, 6, "goes on");
        self.ledger.set_away(self.now, host, false);
        let deferred = self.hosts[host.index()].deferred.take().unwrap_or_default();
        for deferred in deferred {
            match deferred {
                Deferred::Event(event) => self.deliver(host, event),
                Deferred::Mail(mail) => self.mail(host, mail),
                Deferred::Stop => self.stop(host),
            }
        }
    }

    /// What has to be seen to after each event of a host.
    pub(super) fn settle(&mut self, host: HostId) {
        let at = self.now;
        let Program::Node { node: Some(node), .. } = &self.hosts[host.index()].program else {
            return;
        };
        self.ledger.check_node(at, host, node);
        if node.is_over() {
            self.end(host, Crash::Process);
        }
    }

    pub(super) fn end(&mut self, host: HostId, how: Crash) {
        self.net.end(self.now, &mut self.queue, host, how);
        self.ledger.on_down(self.now, host);
        self.alarms.clear(host);
        let found = &mut self.hosts[host.index()];
        found.deferred = None;
        if let Program::Node { node, .. } = &mut found.program {
            *node = None;
        }
        self.note(host, 7, "is down");
    }

    pub(super) fn with_node<R>(
        &mut self,
        host: HostId,
        act: impl FnOnce(&mut Node, &mut Io<'_>, &mut NodeDb) -> R,
    ) -> Option<R> {
        let Program::Node { node, .. } = &mut self.hosts[host.index()].program else { return None };
        let mut running = node.take()?;
        let mut db = std::mem::take(&mut self.hosts[host.index()].db);
        let done = act(&mut running, &mut self.io(host), &mut db);
        let found = &mut self.hosts[host.index()];
        found.db = db;
        if let Program::Node { node, .. } = &mut found.program {
            *node = Some(running);
        }
        Some(done)
    }

    pub(super) fn io(&mut self, host: HostId) -> Io<'_> {
        let epoch = self.net.epoch(host);
        let found = &mut self.hosts[host.index()];
        Io {
            at: self.now,
            host,
            epoch,
            clock: found.clock,
            settings: &self.settings,
            net: &mut self.net,
            queue: &mut self.queue,
            alarms: &mut self.alarms,
            random: &mut found.random,
            trace: &mut self.trace,
            ledger: &mut self.ledger,
        }
    }

    pub(super) fn note(&mut self, host: HostId, what: u64, text: &str) {
        self.trace.note(self.now, host.0, Kind::Host, &[what], &[], || text.into());
    }

    fn note_event(&mut self, host: HostId, event: &HostEvent) {
        let (trace, at, host) = (&mut self.trace, self.now, host.0);
        match event {
            HostEvent::Datagram { from, bytes } => {
                let head = &bytes[..bytes.len().min(32)];
                let kind = bytes.get(97).copied().unwrap_or(0);
                let numbers = [u64::from(from.port()), bytes.len() as u64];
                trace.note(at, host, Kind::Datagram, &numbers, head, || {
                    let hash: String = head.iter().take(4).map(|it| format!("{it:02x}")).collect();
                    format!("type {kind} of {} bytes from {from}, {hash}", bytes.len())
                });
            }
            HostEvent::Wake(task) => {
                trace.note(at, host, Kind::Wake, &[*task], &[], || format!("task {task}"));
            }
            HostEvent::Stream(socket) => {
                trace.note(at, host, Kind::Segment, &[socket.0], &[], || format!("s{}", socket.0));
            }
            HostEvent::Acceptable => {
                trace.note(at, host, Kind::Connection, &[2], &[], || "a stream waits".into());
            }
            HostEvent::Connected { socket, remote } => {
                trace.note(at, host, Kind::Connection, &[3, socket.0], &[], || {
                    format!("s{} is connected to {remote}", socket.0)
                });
            }
            HostEvent::ConnectFailed { socket, why } => {
                trace.note(at, host, Kind::Connection, &[4, socket.0], &[], || {
                    format!("s{} is not connected: {why}", socket.0)
                });
            }
        }
    }
}
