//! What users ask, or tell us of: which version that concerns.

use peerage_machine::Now;

use super::{Command, Endpoint, Output, State};
use crate::{LookupResult, Version};

impl Endpoint {
    /// Where no version can be asked, the answer is that there is none.
    pub(super) fn on_command(&mut self, now: Now, command: Command) {
        let base = &mut self.base;
        let (mut v4, mut v5) = match &mut self.state {
            State::Running(versions) => (versions.v4.as_mut(), versions.v5.as_mut()),
            State::Resting { .. } | State::Seeding => (None, None),
        };
        match command.version() {
            Some(Version::V4) => v5 = None,
            Some(Version::V5) => v4 = None,
            None => {}
        }
        let (has_none, has_both) = (v4.is_none() && v5.is_none(), v4.is_some() && v5.is_some());
        match command {
            Command::AddNode(node) => self.add_node(now, node),
            Command::Lookup { id, target, .. } => match (v4, v5) {
                (_, Some(v5)) => v5.look_up(now, base, id, target),
                (Some(v4), None) => v4.look_up(now, base, id, target),
                (None, None) => {
                    base.put(Output::LookupDone { id, result: LookupResult::default() });
                }
            },
            Command::Ping { id, node, .. } => match (v4, v5) {
                (_, Some(v5)) => v5.ping_node(now, base, id, &node),
                (Some(v4), None) => v4.ping_node(now, base, id, &node),
                (None, None) => base.put(Output::PingFailed { id }),
            },
            Command::RequestRecord { id, node, .. } => {
                if has_both {
                    self.joint.begin(id);
                } else if has_none {
                    base.put(Output::Record { id, record: None });
                }
                if let Some(v5) = v5 {
                    v5.request_record(now, base, id, node.clone());
                }
                if let Some(v4) = v4 {
                    v4.request_record(now, base, id, node);
                }
            }
            Command::Resolve { id, node, .. } => {
                if has_both {
                    self.joint.begin(id);
                } else if has_none {
                    base.put(Output::Resolved { id, node: None });
                }
                if let Some(v5) = v5 {
                    v5.resolve(now, base, id, node.clone());
                }
                if let Some(v4) = v4 {
                    v4.resolve(now, base, id, node);
                }
            }
            Command::SetTalkProtocol { protocol, has_handler } => {
                if let Some(v5) = v5 {
                    v5.set_talk_protocol(protocol.clone(), has_handler);
                }
                if has_handler {
                    self.talk_protocols.insert(protocol);
                } else {
                    self.talk_protocols.remove(&protocol);
                }
            }
            Command::Table { id } => {
                let mut entries = v4.map_or_else(Vec::new, |v4| v4.entries(now));
                entries.extend(v5.into_iter().flat_map(|v5| v5.entries(now)));
                base.put(Output::Table { id, entries });
            }
            Command::Talk { id, node, protocol, request } => match v5 {
                Some(v5) => v5.talk(now, base, id, &node, (&protocol, &request)),
                None => base.put(Output::TalkResponse { id, response: None }),
            },
        }
    }
}
