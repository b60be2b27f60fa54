//! RLP values of node records, shown without knowing what they mean.

use alloy_rlp::{Encodable, Header};
use serde_json::Value;

/// One item of RLP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    /// A string of bytes.
    Bytes(Vec<u8>),
    /// A list of items.
    List(Vec<Item>),
}

impl Item {
    /// The item that `rlp` is; `None` if it is not exactly one.
    ///
    /// Recursion is bounded by the input: a record has at most 300 bytes.
    pub(crate) fn decode(mut rlp: &[u8]) -> Option<Self> {
        let item = Self::take(&mut rlp)?;
        rlp.is_empty().then_some(item)
    }

    fn take(rlp: &mut &[u8]) -> Option<Self> {
        let header = Header::decode(rlp).ok()?;
        let (mut payload, rest) = rlp.split_at_checked(header.payload_length)?;
        *rlp = rest;
        if !header.list {
            return Some(Self::Bytes(payload.to_vec()));
        }
        let mut items = Vec::new();
        while !payload.is_empty() {
            items.push(Self::take(&mut payload)?);
        }
        Some(Self::List(items))
    }

    /// For people: text where the bytes are printable, hexadecimal otherwise.
    pub(crate) fn to_text(&self) -> String {
        match self {
            Self::Bytes(bytes) => match printable(bytes) {
                Some(text) => format!("\"{text}\""),
                None => hex_text(bytes),
            },
            Self::List(items) => {
                format!("[{}]", items.iter().map(Self::to_text).collect::<Vec<_>>().join(", "))
            }
        }
    }

    /// For programs: strings of hexadecimal digits, and arrays of them.
    pub(crate) fn to_json(&self) -> Value {
        match self {
            Self::Bytes(bytes) => hex_text(bytes).into(),
            Self::List(items) => items.iter().map(Self::to_json).collect(),
        }
    }
}

/// `text` as an RLP string.
pub(crate) fn encode_text(text: &str) -> Vec<u8> {
    let mut rlp = Vec::new();
    text.encode(&mut rlp);
    rlp
}

/// `0x` and two digits a byte.
pub(crate) fn hex_text(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

/// A single printable byte is more often a small number than a letter.
fn printable(bytes: &[u8]) -> Option<&str> {
    let text = bytes.len() > 1 && bytes.iter().all(|byte| matches!(byte, b' '..=b'~'));
    text.then(|| str::from_utf8(bytes).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_lists_are_shown_with_text_where_it_is_text() {
        // [["geth", 0x01], 0x80ff, []]
        let rlp = [0xcb, 0xc6, 0x84, b'g', b'e', b't', b'h', 0x01, 0x82, 0x80, 0xff, 0xc0];
        let item = Item::decode(&rlp).unwrap();
        assert_eq!(item.to_text(), "[[\"geth\", 0x01], 0x80ff, []]");
        assert_eq!(item.to_json(), serde_json::json!([["0x67657468", "0x01"], "0x80ff", []]));
    }

    #[test]
    fn what_is_not_exactly_one_item_is_none() {
        assert_eq!(Item::decode(&[]), None);
        assert_eq!(Item::decode(&[0x01, 0x02]), None);
        assert_eq!(Item::decode(&[0x82, 0x80]), None);
        assert_eq!(Item::decode(&[0xc1, 0x82]), None);
    }
}
