//! What becomes of an event: it is noted, and the host that it is for is told.

use super::{
    World,
    alarms::Ring,
    event::{Event, HostEvent, Mail},
    host::{Deferred, HostId, Program},
    io::Io,
    net::Crash,
    observer::Fact,
    trace::Kind,
};

/// Datagrams that a host that stands still can keep: a kernel's buffer.
const MAX_DEFERRED: usize = 256;

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
        if self.is_up(host) {
            self.observers.on_fact(self.now, host, &Fact::Told(&event));
            let (program, mut io) = self.enter(host);
            program.on_event(&mut io, event);
        }
    }

    fn mail(&mut self, host: HostId, mail: Box<dyn Mail>) {
        self.trace.note(self.now, host.0, Kind::MAIL, &[], &[], || format!("{mail:?}"));
        if let Some(deferred) = &mut self.hosts[host.index()].deferred {
            return deferred.push(Deferred::Mail(mail));
        }
        if self.is_up(host) {
            let (program, mut io) = self.enter(host);
            program.on_mail(&mut io, mail);
        }
    }

    fn resume(&mut self, host: HostId) {
        self.note(host, 6, "goes on");
        self.observers.on_fact(self.now, host, &Fact::GoesOn);
        let deferred = self.hosts[host.index()].deferred.take().unwrap_or_default();
        for deferred in deferred {
            match deferred {
                Deferred::Event(event) => self.deliver(host, event),
                Deferred::Mail(mail) => self.mail(host, mail),
                Deferred::Stop => self.stop(host),
            }
        }
    }

    /// The program of a host, and its side of the world, for the length of one event.
    pub(super) fn enter(&mut self, host: HostId) -> (&mut dyn Program, Io<'_>) {
        let epoch = self.net.epoch(host);
        let found = &mut self.hosts[host.index()];
        let io = Io {
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
            observers: &mut self.observers,
            has_exited: &mut found.has_exited,
        };
        (found.program.as_mut(), io)
    }

    /// A host has dealt with an event: it is looked at, and goes down if its program has exited.
    pub(super) fn leave(&mut self, host: HostId) {
        if !self.is_up(host) {
            return;
        }
        let found = &self.hosts[host.index()];
        self.observers.on_rest(self.now, host, found.program.as_ref());
        if found.has_exited {
            self.end(host, Crash::Process);
        }
    }

    /// A host goes down.
    pub(super) fn end(&mut self, host: HostId, how: Crash) {
        self.net.end(self.now, &mut self.queue, host, how);
        self.observers.on_fact(self.now, host, &Fact::Down);
        self.alarms.clear(host);
        let found = &mut self.hosts[host.index()];
        found.deferred = None;
        found.has_exited = false;
        found.program.on_down(found.clock.now(self.now), how);
        self.note(host, 7, "is down");
    }

    pub(super) fn note(&mut self, host: HostId, what: u64, text: &str) {
        self.trace.note(self.now, host.0, Kind::HOST, &[what], &[], || text.into());
    }

    fn note_event(&mut self, host: HostId, event: &HostEvent) {
        let program = &self.hosts[host.index()].program;
        let (trace, at, host) = (&mut self.trace, self.now, host.0);
        match event {
            HostEvent::Datagram { from, bytes } => {
                let head = &bytes[..bytes.len().min(32)];
                let numbers = [u64::from(from.port()), bytes.len() as u64];
                trace.note(at, host, Kind::DATAGRAM, &numbers, head, || {
                    let hash: String = head.iter().take(4).map(|it| format!("{it:02x}")).collect();
                    format!("{} from {from}, {hash}", program.describe(bytes))
                });
            }
            HostEvent::Wake(task) => {
                trace.note(at, host, Kind::WAKE, &[*task], &[], || format!("task {task}"));
            }
            HostEvent::Stream(socket) => {
                trace.note(at, host, Kind::SEGMENT, &[socket.0], &[], || format!("s{}", socket.0));
            }
            HostEvent::Resolved { question, answer } => {
                let count = answer.as_ref().map_or(0, Vec::len) as u64;
                trace.note(at, host, Kind::NAME, &[*question, count], &[], || match answer {
                    Ok(addresses) => format!("question {question}: {addresses:?}"),
                    Err(error) => format!("question {question}: {error}"),
                });
            }
            HostEvent::Acceptable => {
                trace.note(at, host, Kind::CONNECTION, &[2], &[], || "a stream waits".into());
            }
            HostEvent::Connected { socket, remote } => {
                trace.note(at, host, Kind::CONNECTION, &[3, socket.0], &[], || {
                    format!("s{} is connected to {remote}", socket.0)
                });
            }
            HostEvent::ConnectFailed { socket, why } => {
                trace.note(at, host, Kind::CONNECTION, &[4, socket.0], &[], || {
                    format!("s{} is not connected: {why}", socket.0)
                });
            }
        }
    }
}
