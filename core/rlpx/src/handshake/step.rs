//! The steps of a handshake that cost curve operations, as values that can be run anywhere.

use std::{fmt, sync::Arc};

use peerage_machine::Random;
use peerage_node::PublicKey;

use super::{Accepted, Initiator, Secrets, accept};
use crate::{Config, PeerMisbehaved};

/// A step of an encryption handshake: a tenth to a third of a millisecond of curve operations.
///
/// The connection that asks for it stands still until it is given the result, by
/// [`Connection::handle_step`](crate::Connection::handle_step). Where the step is run is the
/// driver's choice: in place, or on another thread.
pub struct Step {
    config: Arc<Config>,
    task: Box<Task>,
}

enum Task {
    /// Answer the initiator's auth.
    Accept { random: Random, auth: Vec<u8> },
    /// Make the initiator's auth.
    Call { random: Random, remote: PublicKey },
    /// Read the recipient's ack.
    Finish { initiator: Initiator, remote: PublicKey, ack: Vec<u8> },
}

/// What came of a [`Step`].
pub struct StepResult(pub(crate) Result<Stepped, PeerMisbehaved>);

/// What comes of a step that found nothing wrong.
#[expect(clippy::large_enum_variant, reason = "it is moved a few times in a connection's life")]
pub(crate) enum Stepped {
    /// The auth is made, and to be sent.
    Called { initiator: Initiator, auth: Vec<u8> },
    /// The other end's packet was read, and there is an answer to send: none for an initiator.
    Shaken { secrets: Secrets, remote: PublicKey, reply: Vec<u8> },
}

impl Step {
    /// The step that makes an auth for `remote`.
    pub(crate) fn call(config: Arc<Config>, random: Random, remote: PublicKey) -> Self {
        Self { config, task: Box::new(Task::Call { random, remote }) }
    }

    /// The step that reads an auth and makes an ack.
    pub(crate) fn accept(config: Arc<Config>, random: Random, auth: Vec<u8>) -> Self {
        Self { config, task: Box::new(Task::Accept { random, auth }) }
    }

    /// The step that reads the ack of `remote`.
    pub(crate) fn finish(
        config: Arc<Config>,
        initiator: Initiator,
        remote: PublicKey,
        ack: Vec<u8>,
    ) -> Self {
        Self { config, task: Box::new(Task::Finish { initiator, remote, ack }) }
    }

    /// Runs the step.
    pub fn run(self) -> StepResult {
        let key = &self.config.key;
        StepResult(match *self.task {
            Task::Accept { mut random, auth } => accept(key, &auth, &mut random).map(|accepted| {
                let Accepted { secrets, remote, ack: reply } = accepted;
                Stepped::Shaken { secrets, remote, reply }
            }),
            Task::Call { mut random, remote } => {
                let (initiator, auth) = Initiator::start(key, &remote, &mut random);
                Ok(Stepped::Called { initiator, auth })
            }
            Task::Finish { initiator, remote, ack } => initiator
                .finish(key, &ack)
                .map(|secrets| Stepped::Shaken { secrets, remote, reply: Vec::new() }),
        })
    }

    /// The bytes held besides the value itself and the shared settings.
    pub(crate) fn memory(&self) -> usize {
        let packet = match &*self.task {
            Task::Accept { auth, .. } => auth.capacity(),
            Task::Call { .. } => 0,
            Task::Finish { initiator, ack, .. } => initiator.memory() + ack.capacity(),
        };
        size_of::<Task>() + packet
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &*self.task {
            Task::Accept { .. } => "Step::Accept",
            Task::Call { .. } => "Step::Call",
            Task::Finish { .. } => "Step::Finish",
        })
    }
}

impl fmt::Debug for StepResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StepResult(..)")
    }
}
