//! What every version of discovery at one socket stands on: our key and record, which packets are
//! worth looking at, who may be talked to, and what is put out.

use std::{collections::VecDeque, net::IpAddr};

use peerage_machine::{Now, deque_memory, list_bound};
use peerage_node::{NodeId, Policy, Record, SecretKey};

use crate::{Config, Limiter, Output, StoreOp, own_record::OwnRecord};

/// The ground of all versions. The [`Endpoint`](crate::Endpoint) owns it, and lends it to a version
/// for the length of a call.
#[derive(Debug)]
pub(crate) struct Base {
    pub(crate) key: SecretKey,
    pub(crate) own: OwnRecord,
    pub(crate) limiter: Limiter,
    pub(crate) policy: Policy,
    outputs: VecDeque<Output>,
}

impl Base {
    pub(crate) fn new(config: &Config, key: SecretKey, own: OwnRecord) -> Self {
        Self {
            key,
            own,
            limiter: Limiter::new(config.limiter.clone()),
            policy: config.policy.clone(),
            outputs: VecDeque::new(),
        }
    }

    /// Asks the driver for something, or tells it.
    pub(crate) fn put(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    /// Has something kept for the next run.
    pub(crate) fn store(&mut self, op: StoreOp) {
        self.put(Output::Store(op));
    }

    /// The next output.
    pub(crate) fn pop(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Our record has changed.
    pub(crate) fn on_own_record(&mut self, record: Record) {
        self.store(StoreOp::Seq(record.seq()));
        self.put(Output::LocalRecord(record));
    }

    /// Whether the policy allows the node, where it is known which, at `ip`.
    pub(crate) fn is_allowed(&self, now: Now, id: Option<&NodeId>, ip: IpAddr) -> bool {
        self.policy.check(now.mono, id, Some(ip)).is_ok()
    }

    /// The bytes held for others.
    pub(crate) fn memory(&self) -> usize {
        self.own.memory()
            + self.limiter.memory()
            + deque_memory(&self.outputs)
            + self.outputs.iter().map(Output::memory).sum::<usize>()
    }

    /// The most bytes held for others, once the outputs are drained, of which one call puts out
    /// at most so many.
    pub(crate) fn memory_bound(config: &Config, outputs: usize) -> usize {
        OwnRecord::memory_bound()
            + Limiter::memory_bound(&config.limiter)
            + list_bound::<Output>(outputs)
    }
}
