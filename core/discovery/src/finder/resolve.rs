//! Records on request, and where a node is now: by asking it, and by a lookup if that fails.

use peerage_machine::Now;
use peerage_node::{Node, PublicKey, Record};

use super::{
    Finder, Query, Request, Target,
    candidates::is_candidate,
    searches::{Goal, RecordFor, Search},
};
use crate::{Output, QueryId, base::Base};

impl<T: Target> Finder<T> {
    /// [`Command::RequestRecord`](crate::Command::RequestRecord).
    pub(crate) fn request_record(&mut self, now: Now, base: &mut Base, id: QueryId, node: Node) {
        if !self.ask_record(now, base, node, RecordFor::Command(id)) {
            base.put(Output::Record { id, record: None });
        }
    }

    /// [`Command::Resolve`](crate::Command::Resolve).
    pub(crate) fn resolve(&mut self, now: Now, base: &mut Base, id: QueryId, node: Node) {
        let known = self.table.get(&node.id()).map(|entry| entry.node().clone());
        let asked = known.unwrap_or_else(|| node.clone());
        if !self.ask_record(now, base, asked, RecordFor::Resolve { id, may_search: true }) {
            self.search_node(id, *node.public_key());
        }
    }

    /// A node was asked for its record, and gave it, or not.
    pub(crate) fn on_record(
        &mut self,
        now: Now,
        base: &mut Base,
        wanted: RecordFor,
        asked: Node,
        record: Option<Record>,
    ) {
        self.update_record(now, base, record.as_ref());
        match wanted {
            RecordFor::Command(id) => base.put(Output::Record { id, record }),
            RecordFor::Resolve { id, may_search } => {
                self.on_resolve_record(now, base, id, may_search, asked, record);
            }
            RecordFor::Table => {}
        }
    }

    /// Has `node` asked for its record. Whether it can be asked at all.
    pub(super) fn ask_record(
        &mut self,
        now: Now,
        base: &Base,
        node: Node,
        wanted: RecordFor,
    ) -> bool {
        let Some(to) = self.reach(now, base, &node) else { return false };
        self.searches.records.push_back(Query { node, to, request: Request::Record(wanted) });
        true
    }

    /// A lookup has met the node that it is for: what that says itself is worth more.
    pub(super) fn end_resolve(&mut self, now: Now, base: &mut Base, n: u64, node: Node) {
        if let Some(Search { goal: Goal::Resolve { id, .. }, .. }) =
            self.searches.running.remove(&n)
        {
            let wanted = RecordFor::Resolve { id, may_search: false };
            if !self.ask_record(now, base, node.clone(), wanted) {
                base.put(Output::Resolved { id, node: Some(node) });
            }
        }
    }

    /// A node that is to be resolved gave its record, or not.
    fn on_resolve_record(
        &mut self,
        now: Now,
        base: &mut Base,
        id: QueryId,
        may_search: bool,
        asked: Node,
        record: Option<Record>,
    ) {
        let node = match record.map(Node::from_record) {
            Some(node) if is_candidate(now, base, &node, asked.udp_endpoints().first()) => {
                Some(node)
            }
            // A record without an address that we could use is no help; where it answered is.
            Some(_) => Some(asked),
            None if may_search => return self.search_node(id, *asked.public_key()),
            // Others tell of it; it may be that it answers to TCP only.
            None => Some(asked),
        };
        base.put(Output::Resolved { id, node });
    }

    fn search_node(&mut self, id: QueryId, key: PublicKey) {
        self.search(Goal::Resolve { id, key }, T::of(&key));
    }
}
