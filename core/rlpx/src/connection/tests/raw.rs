//! A peer that writes whatever a test wants it to.

use peerage_machine::{Now, Random};

use super::pair::{Side, capability, config, key};
use crate::*;

/// The key of the peer.
pub(super) const PEER: u8 = 9;

/// The initiator's end of a connection, without its rules, and the recipient that has to bear it.
pub(super) struct Raw {
    pub(super) victim: Side,
    pub(super) egress: Egress,
    pub(super) ingress: Ingress,
    /// Whether everything that the victim says must be compressed. `ingress` would let an
    /// uncompressed Disconnect pass.
    pub(super) snappy: bool,
    /// Everything that the victim said in frames: id and payload.
    pub(super) heard: Vec<(u64, Vec<u8>)>,
    pub(super) now: Now,
}

impl Raw {
    /// A peer that has shaken hands and was admitted, but did not say Hello.
    pub(super) fn greeted() -> Self {
        let config = config(2, &[capability("aaa", 1, 4)]);
        let mut random = Random::from_seed([3; 32]);
        let (initiator, auth) = Initiator::start(&key(PEER), config.key.public(), &mut random);
        let mut victim = Side::new(config, Role::Recipient, 0xb);
        let now = Now::default();
        victim.wire = auth;
        while victim.read(now) {}

        let mut out = victim.take_outgoing(now);
        let ack = 2 + packet_size([out[0], out[1]]).unwrap();
        let (egress, ingress) = initiator.finish(&key(PEER), &out[..ack]).unwrap().split();
        let mut raw = Self { victim, egress, ingress, snappy: false, heard: Vec::new(), now };
        raw.hear(&mut out[ack..]);
        assert_eq!(raw.heard.len(), 1, "because the victim says Hello");
        raw.heard.clear();
        raw
    }

    /// A peer that is admitted twice, and speaks `version` of the `p2p` protocol.
    pub(super) fn open(version: u64) -> Self {
        let mut raw = Self::greeted();
        let mut payload = Vec::new();
        Self::hello(version).encode(&mut payload);
        raw.send(0x00, &payload);
        assert!(raw.victim.connection.is_open());
        if version >= 5 {
            raw.egress.enable_snappy();
            raw.snappy = true;
        }
        raw
    }

    pub(super) fn hello(version: u64) -> Hello {
        Hello {
            version,
            client: "raw".into(),
            capabilities: vec![capability("aaa", 1, 4).capability],
            listen_port: 0,
            identity: *key(PEER).public(),
        }
    }

    /// A frame, not sent yet.
    pub(super) fn frame(&mut self, code: u64, payload: &[u8]) -> Vec<u8> {
        let mut frame = Vec::new();
        self.egress.seal(code, payload, &mut frame).unwrap();
        frame
    }

    /// Sends a message.
    pub(super) fn send(&mut self, code: u64, payload: &[u8]) {
        let frame = self.frame(code, payload);
        self.send_bytes(&frame);
    }

    /// Sends bytes and lets the victim read them.
    pub(super) fn send_bytes(&mut self, bytes: &[u8]) {
        self.victim.wire.extend_from_slice(bytes);
        while self.victim.read(self.now) {}
    }

    /// Reads what the victim has said.
    pub(super) fn listen(&mut self) {
        let mut out = self.victim.take_outgoing(self.now);
        self.hear(&mut out);
    }

    fn hear(&mut self, mut bytes: &mut [u8]) {
        let mut payload = Vec::new();
        while let Some(code) = self.ingress.open(&mut bytes, &mut payload).unwrap() {
            let plain = match self.snappy {
                true => snap::raw::Decoder::new().decompress_vec(&payload).unwrap(),
                false => payload.clone(),
            };
            self.heard.push((code, plain));
        }
    }
}
