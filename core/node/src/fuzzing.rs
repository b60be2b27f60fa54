//! What is done with arbitrary bytes: the bodies of the fuzz targets, which are property tests too.
//!
//! A body panics where something is wrong. The targets themselves are in `fuzz/`. Not part of the
//! public interface.

#![allow(clippy::unwrap_used, reason = "a finding is a panic")]

use crate::{
    MAX_RECORD_SIZE, Node, Record, SecretKey,
    record::{assemble, scheme},
};

/// A record: the bytes as they are, or as the content of one that is signed, so that what is behind
/// the signature is reached. What is accepted is canonical, and the same in every form.
pub fn record(data: &[u8]) {
    let Some((mode, rest)) = data.split_first() else { return };
    let key = SecretKey::from_bytes(&[7; 32]).unwrap();
    let rlp = if mode.is_multiple_of(2) {
        rest.to_vec()
    } else {
        assemble(&scheme::sign(&key, rest), rest)
    };
    let Ok(record) = Record::decode(&rlp) else { return };
    assert!(rlp.len() <= MAX_RECORD_SIZE);
    assert_eq!(record.as_rlp(), rlp);
    assert_eq!(record.to_string().parse(), Ok(record.clone()));
    assert_eq!(record.id(), record.public_key().id());
    let names: Vec<_> = record.entries().map(|(name, _)| name.to_vec()).collect();
    assert!(names.windows(2).all(|pair| pair[0] < pair[1]), "keys are sorted and unique");
    let node = Node::from_record(record);
    let endpoints = [node.tcp_endpoints(), node.udp_endpoints()].concat();
    assert!(endpoints.iter().all(|at| at.port() != 0 && !at.ip().is_unspecified()));
    assert_eq!(node.to_string().parse::<Node>().unwrap(), node);
}

/// The text of a node, in any of its forms: what is understood is written so that it is understood
/// the same.
pub fn url(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match text.parse::<Node>() {
        Ok(node) => {
            let written = node.to_string();
            assert_eq!(written.parse::<Node>().as_ref(), Ok(&node), "{text:?} as {written:?}");
        }
        Err(error) => {
            let said = error.to_string();
            assert!(!said.is_empty() && !said.contains('\n'), "{said:?} for {text:?}");
        }
    }
    // What begins right is worth more tries than chance gives it.
    let key = SecretKey::from_bytes(&[7; 32]).unwrap();
    let tail = format!("enode://{}@{text}", key.public());
    if let Ok(node) = tail.parse::<Node>() {
        assert_eq!(node.to_string().parse::<Node>().as_ref(), Ok(&node), "{tail:?}");
    }
}

#[cfg(test)]
mod tests {
    use peerage_machine::fuzzing::replay;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_bytes_are_survived(data in proptest::collection::vec(any::<u8>(), 0..400)) {
            record(&data);
            url(&data);
        }

        #[test]
        fn any_text_is_survived(text in "[0-9a-z:@.?=\\[\\]%/-]{0,40}") {
            url(text.as_bytes());
        }
    }

    #[test]
    fn what_was_found_or_is_known_is_survived() {
        replay(env!("CARGO_MANIFEST_DIR"), &[("record", record), ("url", url)]);
    }
}
