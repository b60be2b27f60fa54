//! The Disconnect message, as peers really write it
//! ([rlpx.md, Disconnect](https://github.com/ethereum/devp2p/blob/master/rlpx.md#disconnect-0x01)).

use alloy_rlp::{Encodable, Header};

use crate::DisconnectReason;

/// What a Disconnect that cannot be decoded counts as.
const UNDECODABLE: DisconnectReason = DisconnectReason::Other(0xff);

/// The payload of a Disconnect: a list of one integer.
pub(crate) fn encode(reason: DisconnectReason) -> Vec<u8> {
    let code = reason.code();
    let mut payload = Vec::with_capacity(3);
    Header { list: true, payload_length: code.length() }.encode(&mut payload);
    code.encode(&mut payload);
    payload
}

/// The reason in the payload of a Disconnect.
///
/// Peers write `[reason]`, the reason alone, or nothing at all; all of that is understood, and what
/// is not is [`Other(0xff)`](DisconnectReason::Other). A connection that is ending anyway is no
/// place to be strict. Some never compress one, either: `Ingress` hands over what came then.
pub(crate) fn decode(payload: &[u8]) -> DisconnectReason {
    decode_lenient(payload).unwrap_or(UNDECODABLE)
}

fn decode_lenient(mut payload: &[u8]) -> Option<DisconnectReason> {
    if payload.first().is_some_and(|byte| *byte >= 0xc0) {
        payload = Header::decode_bytes(&mut payload, true).ok()?;
    }
    if payload.is_empty() {
        return Some(DisconnectReason::Requested);
    }
    let integer = Header::decode_bytes(&mut payload, false).ok()?;
    match *integer {
        [] => Some(DisconnectReason::Requested),
        [code] => Some(DisconnectReason::from_code(code)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_form_that_is_seen_in_the_wild_is_understood() {
        use DisconnectReason as Reason;
        let rows: [(&[u8], Reason); 13] = [
            (&[0xc1, 0x04], Reason::TooManyPeers),
            (&[0xc1, 0x80], Reason::Requested),
            (&[0xc1, 0x00], Reason::Requested), // zero as a byte: not canonical, but clear
            (&[0xc1, 0x10], Reason::SubprotocolReason),
            (&[0xc2, 0x81, 0xfe], Reason::Other(0xfe)),
            (&[0xc2, 0x03, 0x01], Reason::UselessPeer), // an element more
            (&[0x04], Reason::TooManyPeers),
            (&[0x80], Reason::Requested),
            (&[], Reason::Requested),
            (&[0xc0], Reason::Requested),
            (&[0xc1], UNDECODABLE),
            (&[0xc3, 0x82, 0x01, 0x00], UNDECODABLE), // 256
            (&[0xc2, 0xc1, 0x04], UNDECODABLE),
        ];
        for (payload, reason) in rows {
            assert_eq!(decode(payload), reason, "{payload:x?}");
        }
    }

    #[test]
    fn every_reason_round_trips() {
        for code in 0..=u8::MAX {
            let reason = DisconnectReason::from_code(code);
            assert_eq!(decode(&encode(reason)), reason);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_have_a_reason(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = decode(&bytes);
        }
    }
}
