//! Hello: what each end says of itself, first thing after the encryption handshake
//! ([rlpx.md, Hello](https://github.com/ethereum/devp2p/blob/master/rlpx.md#hello-0x00)).
//!
//! Not here: what two Hellos amount to (`negotiate`), or whether that is enough to stay connected
//! (`peering`).

use alloy_rlp::{Decodable, Encodable, Header};
use peerage_node::PublicKey;

use crate::{Capability, CapabilityName, PeerMisbehaved};

/// The version of the `p2p` protocol that we speak: 5, the one with snappy
/// ([EIP-706](https://eips.ethereum.org/EIPS/eip-706)).
pub const P2P_VERSION: u64 = 5;

/// The most capabilities that are kept of one Hello; those beyond it are not looked at.
///
/// # Security
///
/// A Hello of 2,048 bytes has room for some 650 capabilities of three bytes each, which would take
/// 10 KiB here, on behalf of a peer that nobody has admitted yet. No correct peer announces a tenth
/// of this limit.
const MAX_CAPABILITIES: usize = 128;

/// What one end of a connection says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Version of the `p2p` protocol; payloads are compressed if both ends speak 5 or later.
    pub version: u64,
    /// Name and version of the software, for people. Safe to show when it was received:
    /// neither control characters nor ones that reorder text.
    pub client: String,
    /// The capabilities it speaks, in the order it named them, duplicates included. A received one
    /// whose name is not 1 to 8 printable ASCII characters is left out: nothing can match it.
    pub capabilities: Vec<Capability>,
    /// Where it listens; 0 is unknown. Obsolete: most clients send 0, and a received value that is
    /// not a port counts as 0.
    pub listen_port: u16,
    /// Its public key.
    pub identity: PublicKey,
}

impl Hello {
    /// Decodes the payload of a Hello message. Elements after the ones known here are skipped, in
    /// the list as in each capability, and so are bytes after the list (forward compatibility as in
    /// [EIP-8](https://eips.ethereum.org/EIPS/eip-8)).
    ///
    /// # Errors
    ///
    /// [`PeerMisbehaved::InvalidIdentity`] if the identity is not 64 bytes or no point on the
    /// curve, [`PeerMisbehaved::BadHello`] for everything else.
    pub fn decode(mut payload: &[u8]) -> Result<Self, PeerMisbehaved> {
        let bad = |_| PeerMisbehaved::BadHello;
        let mut fields = Header::decode_bytes(&mut payload, true).map_err(bad)?;
        let version = u64::decode(&mut fields).map_err(bad)?;
        let client = Header::decode_bytes(&mut fields, false).map_err(bad)?;
        let mut list = Header::decode_bytes(&mut fields, true).map_err(bad)?;
        let listen_port = Header::decode_bytes(&mut fields, false).map_err(bad)?;
        let identity = Header::decode_bytes(&mut fields, false).map_err(bad)?;

        let mut capabilities = Vec::new();
        while !list.is_empty() && capabilities.len() < MAX_CAPABILITIES {
            let mut item = Header::decode_bytes(&mut list, true).map_err(bad)?;
            let name = Header::decode_bytes(&mut item, false).map_err(bad)?;
            let version = u64::decode(&mut item).map_err(bad)?;
            if let Ok(name) = CapabilityName::from_bytes(name) {
                capabilities.push(Capability { name, version });
            }
        }

        let identity: &[u8; 64] =
            identity.try_into().map_err(|_| PeerMisbehaved::InvalidIdentity)?;
        Ok(Self {
            version,
            client: printable(client),
            capabilities,
            listen_port: port(listen_port),
            identity: PublicKey::from_bytes(identity)
                .map_err(|_| PeerMisbehaved::InvalidIdentity)?,
        })
    }

    /// Appends the payload of the Hello message to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let identity = self.identity.to_bytes();
        let list = |capability: &Capability| Header {
            list: true,
            payload_length: capability.name.as_str().length() + capability.version.length(),
        };
        let capabilities = Header {
            list: true,
            payload_length: self
                .capabilities
                .iter()
                .map(|capability| list(capability).length_with_payload())
                .sum(),
        };
        let hello = Header {
            list: true,
            payload_length: self.version.length()
                + self.client.as_str().length()
                + capabilities.length_with_payload()
                + self.listen_port.length()
                + identity[..].length(),
        };
        hello.encode(out);
        self.version.encode(out);
        self.client.as_str().encode(out);
        capabilities.encode(out);
        for capability in &self.capabilities {
            list(capability).encode(out);
            capability.name.as_str().encode(out);
            capability.version.encode(out);
        }
        self.listen_port.encode(out);
        identity[..].encode(out);
    }
}

/// The version in the payload of a Hello, be the rest of it as it may.
pub(crate) fn version(mut payload: &[u8]) -> Option<u64> {
    let mut fields = Header::decode_bytes(&mut payload, true).ok()?;
    u64::decode(&mut fields).ok()
}

/// `client` as text that is safe to show.
///
/// # Security
///
/// A stranger chose these bytes and a terminal or a log will show them: control characters, what is
/// not UTF-8, and what would make text that follows appear in another order or place become `?`.
fn printable(client: &[u8]) -> String {
    let is_safe = |char: char| {
        let is_format = matches!(char,
            '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
        !char.is_control() && !is_format && char != char::REPLACEMENT_CHARACTER
    };
    let client = String::from_utf8_lossy(client);
    client.chars().map(|char| if is_safe(char) { char } else { '?' }).collect()
}

/// The port that big-endian `bytes` name; 0 if they name none.
fn port(bytes: &[u8]) -> u16 {
    match *bytes {
        [low] => low.into(),
        [high, low] => u16::from_be_bytes([high, low]),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use peerage_node::SecretKey;
    use proptest::prelude::*;

    use super::*;

    fn identity() -> PublicKey {
        *SecretKey::from_bytes(&[7; 32]).unwrap().public()
    }

    fn capability(name: &str, version: u64) -> Capability {
        Capability { name: CapabilityName::new(name).unwrap(), version }
    }

    fn sample() -> Hello {
        Hello {
            version: 5,
            client: "peerage/0.1".into(),
            capabilities: vec![capability("eth", 68), capability("snap", 1)],
            listen_port: 30303,
            identity: identity(),
        }
    }

    fn encoded(hello: &Hello) -> Vec<u8> {
        let mut bytes = Vec::new();
        hello.encode(&mut bytes);
        bytes
    }

    /// A list of items that are encoded already.
    fn list(items: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        let payload_length = items.iter().map(|item| item.len()).sum();
        Header { list: true, payload_length }.encode(&mut out);
        out.extend(items.concat());
        out
    }

    fn text(bytes: &[u8]) -> Vec<u8> {
        alloy_rlp::encode(bytes)
    }

    fn with(client: &[u8], capabilities: &[u8], port: &[u8], identity: &[u8]) -> Vec<u8> {
        list(&[&[5], &text(client), capabilities, port, &text(identity)])
    }

    #[test]
    fn a_hello_round_trips() {
        assert_eq!(Hello::decode(&encoded(&sample())), Ok(sample()));
    }

    #[test]
    fn unknown_elements_are_skipped_at_every_level() {
        let cap = list(&[&text(b"eth"), &[68], &text(b"more"), &list(&[&[1]])]);
        let mut bytes = list(&[
            &[22],
            &text(b"future"),
            &list(&[&cap]),
            &[0x80],
            &text(&identity().to_bytes()),
            &list(&[&[1], &[2]]),
            &text(&[9; 80]),
        ]);
        bytes.extend([0xff; 9]);
        let hello = Hello::decode(&bytes).unwrap();
        assert_eq!(hello.version, 22);
        assert_eq!(hello.capabilities, [capability("eth", 68)]);
    }

    #[test]
    fn names_that_nothing_can_match_are_left_out_and_duplicates_kept() {
        let caps = list(&[
            &list(&[&text(b"ninechars"), &[1]]),
            &list(&[&text(b""), &[1]]),
            &list(&[&text(&[0xff, 0x61]), &[1]]),
            &list(&[&text(b"eth"), &[68]]),
            &list(&[&text(b"eth"), &[68]]),
        ]);
        let bytes = with(b"x", &caps, &[0x80], &identity().to_bytes());
        let hello = Hello::decode(&bytes).unwrap();
        assert_eq!(hello.capabilities, [capability("eth", 68); 2]);
    }

    #[test]
    fn no_more_capabilities_are_kept_than_a_correct_peer_could_have() {
        let cap = list(&[&text(b"a"), &[1]]);
        let caps = list(&vec![&cap[..]; MAX_CAPABILITIES + 1]);
        let bytes = with(b"x", &caps, &[0x80], &identity().to_bytes());
        assert_eq!(Hello::decode(&bytes).unwrap().capabilities.len(), MAX_CAPABILITIES);
    }

    #[test]
    fn an_identity_that_is_no_public_key_is_invalid() {
        for identity in [&[][..], &[0; 64], &[1; 64], &[4; 65], &identity().to_bytes()[1..]] {
            let bytes = with(b"x", &[0xc0], &[0x80], identity);
            assert_eq!(Hello::decode(&bytes), Err(PeerMisbehaved::InvalidIdentity));
        }
    }

    #[test]
    fn any_integer_is_tolerated_as_port() {
        let rows: [(&[u8], u16); 4] =
            [(&[0x80], 0), (&[0x01], 1), (&[0x82, 0x76, 0x5f], 30303), (&[0x83, 1, 0, 0], 0)];
        for (encoded, port) in rows {
            let bytes = with(b"x", &[0xc0], encoded, &identity().to_bytes());
            assert_eq!(Hello::decode(&bytes).unwrap().listen_port, port);
        }
    }

    #[test]
    fn a_client_name_cannot_carry_terminal_escapes() {
        let bytes = with(b"ok\x1b[2J\n\xff", &[0xc0], &[0x80], &identity().to_bytes());
        assert_eq!(Hello::decode(&bytes).unwrap().client, "ok?[2J??");
        let bytes = with("é\u{202e}gpj".as_bytes(), &[0xc0], &[0x80], &identity().to_bytes());
        assert_eq!(Hello::decode(&bytes).unwrap().client, "é?gpj");
    }

    #[test]
    fn every_truncation_is_refused() {
        let bytes = encoded(&sample());
        for end in 0..bytes.len() {
            assert!(Hello::decode(&bytes[..end]).is_err());
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Hello::decode(&bytes);
        }

        #[test]
        fn any_damage_to_a_hello_is_decoded_or_refused(at in 0usize..80, byte: u8) {
            let mut bytes = encoded(&sample());
            bytes[at] = byte;
            let _ = Hello::decode(&bytes);
        }
    }
}
