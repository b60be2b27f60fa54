//! A node as the program of a host: what it is made of, what it keeps, and the node while it runs.

use std::{any::Any, rc::Rc};

use peerage_machine::Now;

use super::{Mail, Node, NodeDb, NodeFact, NodeSpec};
use crate::world::{self, Crash, HostEvent, Io, Program};

/// Where the type of a packet of discovery v4 stands: behind hash and signature.
pub(super) const TYPE_AT: usize = 97;

/// The program of a host that is a node.
#[derive(Debug)]
pub(crate) struct NodeHost {
    pub(super) spec: Rc<NodeSpec>,
    /// What survives a restart.
    pub(super) db: NodeDb,
    pub(super) running: Option<Box<Node>>,
}

impl NodeHost {
    pub(super) fn new(spec: NodeSpec) -> Self {
        Self { spec: Rc::new(spec), db: NodeDb::default(), running: None }
    }

    /// Has the node do something, and ends it if that was the last thing.
    pub(super) fn run<R>(
        &mut self,
        io: &mut Io<'_>,
        act: impl FnOnce(&mut Node, &mut Io<'_>, &mut NodeDb) -> R,
    ) -> Option<R> {
        let node = self.running.as_mut()?;
        let done = act(node, io, &mut self.db);
        for keep in node.to_keep.drain(..) {
            self.db.tell(io.now(), keep);
        }
        if node.is_over() {
            self.db.close(io.now());
            io.exit();
        }
        Some(done)
    }
}

impl Program for NodeHost {
    fn on_start(&mut self, io: &mut Io<'_>) {
        let has_database = self.db.seq().is_some();
        io.report(&NodeFact::Starts { id: self.spec.id(), has_database });
        let node = Node::start(io, &mut self.db, self.spec.clone());
        self.running = Some(Box::new(node));
        self.run(io, |_, _, _| {});
    }

    fn on_event(&mut self, io: &mut Io<'_>, event: HostEvent) {
        self.run(io, |node, io, db| node.on_event(io, db, event));
    }

    fn on_mail(&mut self, io: &mut Io<'_>, mail: Box<dyn world::Mail>) {
        let mail: Box<dyn Any> = mail;
        if let Ok(mail) = mail.downcast::<Mail>() {
            self.run(io, |node, io, db| node.on_mail(io, db, *mail));
        }
    }

    fn on_stop(&mut self, io: &mut Io<'_>) {
        io.report(&NodeFact::Stopping);
        self.run(io, |node, io, _| node.stop(io));
    }

    fn on_down(&mut self, now: Now, how: Crash) {
        self.db.crash(now, how);
        self.running = None;
    }

    fn describe(&self, datagram: &[u8]) -> String {
        describe(datagram)
    }
}

/// What a datagram of discovery is, for people.
pub(crate) fn describe(datagram: &[u8]) -> String {
    let kind = datagram.get(TYPE_AT).copied().unwrap_or(0);
    format!("type {kind} of {} bytes", datagram.len())
}
