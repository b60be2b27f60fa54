//! The protocol of `run --echo`: every message goes back as it came.

use peerage::{NodeId, Protocol};
use tokio::sync::mpsc;

use crate::args::EchoSpec;

/// A message that came and went back.
#[derive(Clone, Debug)]
pub(crate) struct Echoed {
    /// Who sent it.
    pub(crate) id: NodeId,
    /// On which capability.
    pub(crate) spec: EchoSpec,
    /// Its code within the capability.
    pub(crate) code: u64,
    /// The size of its payload in bytes.
    pub(crate) size: usize,
}

/// The protocol that `spec` asks for; tells `seen` of each message.
pub(crate) fn protocol(spec: EchoSpec, seen: mpsc::Sender<Echoed>) -> Protocol {
    Protocol::new(spec.name.as_str(), spec.version, spec.length, move |peer, mut channel| {
        let seen = seen.clone();
        async move {
            while let Some(message) = channel.recv().await {
                let (code, size) = (message.code, message.payload.len());
                // Fails when the command is on its way out: the echo is still owed.
                let _ = seen.send(Echoed { id: peer.id(), spec, code, size }).await;
                channel.send(code, message.payload).await?;
            }
            Ok(())
        }
    })
}
