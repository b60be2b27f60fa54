//! The questions of a node for names, as their numbers: even ones of peering, odd ones of
//! discovery.

use std::net::IpAddr;

use peerage_discovery::NameId;
use peerage_machine::Machine as _;
use peerage_peering::{Names, NamesOutput, envelope::ResolveId};

use crate::world::Io;

/// Who asks, and by what it knows the question.
pub(super) enum Asker {
    Discovery(NameId),
    Peering(ResolveId),
}

pub(super) const fn discovery(id: NameId) -> u64 {
    2 * id.0 + 1
}

pub(super) const fn peering(resolve: ResolveId) -> u64 {
    2 * resolve.0
}

pub(super) const fn whose(question: u64) -> Asker {
    match question % 2 {
        0 => Asker::Peering(ResolveId(question / 2)),
        _ => Asker::Discovery(NameId(question / 2)),
    }
}

/// The next name that is resolved, with its addresses. Asks the system for those that are to be.
pub(super) fn poll_resolved<K: Copy + PartialEq>(
    names: &mut Names<K>,
    io: &mut Io<'_>,
    number: fn(K) -> u64,
) -> Option<(K, Vec<IpAddr>)> {
    loop {
        match names.poll_output()? {
            NamesOutput::Ask { resolve, host } => io.resolve(number(resolve), &host),
            NamesOutput::Resolved { resolve, addresses } => return Some((resolve, addresses)),
        }
    }
}
