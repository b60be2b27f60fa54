//! What a host's own system takes and gives: descriptors, buffers, a way out.

use super::{Net, stream::Socket};
use crate::world::{
    HostId,
    event::ConnectError,
    faults::{Faults, SendError},
    net::link::chance,
};

impl Net {
    /// Changes what a host lacks, from now on. What is open stays open.
    pub(crate) fn set_faults(&mut self, host: HostId, faults: Faults) {
        self.stations[host.index()].faults = faults;
    }

    /// Whether the system of a host takes a datagram.
    pub(super) fn takes_datagram(&mut self, host: HostId) -> Result<(), SendError> {
        let faults = self.stations[host.index()].faults;
        let refused = if faults.is_unreachable {
            SendError::Unreachable
        } else if chance(&mut self.random, faults.no_buffers) {
            SendError::NoBuffers
        } else {
            return Ok(());
        };
        self.stats.datagrams_refused += 1;
        Err(refused)
    }

    /// Whether the system of a host opens a stream to elsewhere.
    pub(super) fn opens_stream(&mut self, host: HostId) -> Result<(), ConnectError> {
        let refused = if !self.has_descriptor(host) {
            ConnectError::TooManyOpen
        } else if self.stations[host.index()].faults.is_unreachable {
            ConnectError::Unreachable
        } else {
            return Ok(());
        };
        self.stats.streams_refused += 1;
        Err(refused)
    }

    /// Whether a program may have one more stream open.
    pub(super) fn has_descriptor(&self, host: HostId) -> bool {
        let station = &self.stations[host.index()];
        station.faults.descriptors.is_none_or(|most| station.open < most)
    }

    /// A program has one more stream open.
    pub(super) fn take_descriptor(&mut self, socket: Socket) {
        if let Some(end) = self.end_mut(socket) {
            end.is_open = true;
            let host = end.host;
            self.stations[host.index()].open += 1;
        }
    }

    /// A program has let go of a stream.
    pub(super) fn free_descriptor(&mut self, socket: Socket) {
        if let Some(end) = self.end_mut(socket).filter(|end| end.is_open) {
            end.is_open = false;
            let host = end.host;
            let station = &mut self.stations[host.index()];
            station.open = station.open.saturating_sub(1);
        }
    }
}
