//! Boot nodes that are known by name: asked for again and again, as the address behind a name
//! changes.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use peerage_machine::Instant;
use peerage_node::Node;

use super::{NameId, Output, Warning};
use crate::base::Base;

/// How long an answer is believed. Short, as a boot node is needed most when no other node is left;
/// the system keeps answers for as long as they are good.
const AGAIN: Duration = Duration::from_secs(60);

/// The boot nodes that have names: as many as the settings have.
#[derive(Debug)]
pub(super) struct BootNodes {
    /// Those whose names are to be asked for, and when.
    waiting: Vec<(Instant, Node)>,
    /// Those whose names are being asked for.
    asked: BTreeMap<NameId, Node>,
    next: NameId,
}

impl BootNodes {
    /// Follows nobody yet.
    pub(super) const fn new() -> Self {
        Self { waiting: Vec::new(), asked: BTreeMap::new(), next: NameId(0) }
    }

    /// Follows those of `bootnodes` that have names, from the beginning. The driver is warned of
    /// those that nobody can ask.
    pub(super) fn begin(&mut self, now: Instant, base: &mut Base, bootnodes: &[Node]) {
        self.waiting.clear();
        self.asked.clear();
        for node in bootnodes {
            if node.hostname().is_some() {
                self.waiting.push((now, node.clone()));
            } else if node.udp_endpoints().is_empty() {
                base.put(Output::Warning(Warning::BootNodeWithoutEndpoint(node.clone())));
            }
        }
        self.ask_names(now, base);
    }

    /// Asks for the names whose time has come.
    pub(super) fn ask_names(&mut self, now: Instant, base: &mut Base) {
        for (_, node) in self.waiting.extract_if(.., |(at, _)| *at <= now) {
            let Some(host) = node.hostname() else { continue };
            let id = self.next;
            self.next = NameId(id.0 + 1);
            base.put(Output::ResolveName { id, host: host.into() });
            self.asked.insert(id, node);
        }
    }

    /// A name was resolved, or was not. The boot node with its address, if it has one.
    pub(super) fn on_resolved(
        &mut self,
        now: Instant,
        base: &mut Base,
        id: NameId,
        addresses: &[IpAddr],
    ) -> Option<Node> {
        let named = self.asked.remove(&id)?;
        self.waiting.push((now + AGAIN, named.clone()));
        let node = named.clone().resolved_to(addresses);
        if node.udp_endpoints().is_empty() {
            base.put(Output::Warning(Warning::BootNodeName(named)));
            return None;
        }
        Some(node)
    }

    /// When a name is to be asked for next.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.waiting.iter().map(|(at, _)| *at).min()
    }
}
