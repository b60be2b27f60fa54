//! The machine: composes admission, the inbound gate and the dial scheduler.

use std::collections::VecDeque;

use peerage_machine::{Instant, Machine, Now, Random, Seed};

use crate::{
    Config,
    admission::PeerSet,
    envelope::{Input, Output},
};

/// Whom to be connected to. See the [crate documentation](crate).
#[derive(Debug)]
pub struct Server {
    config: Config,
    random: Random,
    peers: PeerSet,
    outputs: VecDeque<Output>,
}

impl Server {
    /// A server without connections. Its first outputs open the listener and ask for candidates.
    pub fn new(config: Config, seed: Seed) -> Self {
        let peers = PeerSet::new(config.own);
        let outputs = VecDeque::from([Output::Accepting(config.limits.max_handshakes > 0)]);
        Self { config, random: Random::from_seed(seed), peers, outputs }
    }

    /// The peers.
    pub const fn peers(&self) -> &PeerSet {
        &self.peers
    }
}

impl Machine for Server {
    type Input<'a> = Input;
    type Output = Output;

    fn handle_input(&mut self, _now: Now, _input: Input) {}

    fn handle_timeout(&mut self, _now: Now) {
        let _ = (self.random.below(2), &self.config);
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        None
    }
}
