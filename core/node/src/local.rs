//! Our own node record: a set of pairs that is signed anew when it is read after a change.
//!
//! Which address to state is decided elsewhere (endpoint vote, port mapping, configuration), and so
//! is where the sequence number is kept between runs.
//!
//! Spec: [EIP-778](https://eips.ethereum.org/EIPS/eip-778).

use std::{
    collections::BTreeMap,
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
};

use alloy_rlp::Encodable;

use crate::{
    MAX_RECORD_SIZE, NodeId, PublicKey, Record, SecretKey,
    record::{assemble, key, scheme, take_item},
};

/// Why a pair cannot be part of our record. The record is as it was before.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LocalRecordError {
    /// The value is not exactly one item of RLP.
    #[error("the value of the record attribute {key:?} is not one RLP item")]
    NotRlp {
        /// The attribute.
        key: String,
    },
    /// The key has a meaning in EIP-778 and a setter of its own.
    #[error("the record attribute {key:?} has a fixed meaning; choose another name")]
    Reserved {
        /// The attribute.
        key: String,
    },
    /// The attribute is there already.
    #[error("the record attribute {key:?} is set twice; give each protocol a name of its own")]
    Taken {
        /// The attribute.
        key: String,
    },
    /// With this pair the record would exceed [`MAX_RECORD_SIZE`].
    #[error(
        "with {key:?} the node record would have {size} bytes, but at most {MAX_RECORD_SIZE} fit"
    )]
    TooBig {
        /// The key that did not fit.
        key: String,
        /// The size the record would have, in bytes.
        size: usize,
    },
}

/// Our own record.
///
/// Reading it signs it, if its pairs are not those of the last one; each new one has the next
/// sequence number. Setting a value to what it is, or there and back, changes nothing.
pub struct LocalRecord {
    secret: SecretKey,
    /// The sequence number of the record made last, by this value or before it.
    seq: u64,
    /// All pairs, values in RLP. Bounded: no setter lets the record grow beyond its limit.
    pairs: BTreeMap<Vec<u8>, Vec<u8>>,
    signed: Option<Record>,
}

impl LocalRecord {
    /// A record with nothing but its identity. `seq` is the sequence number published last (0 for
    /// none): the first record has the next one.
    ///
    /// A node that keeps no state passes the UNIX time in milliseconds, as go-ethereum does, so
    /// that its number grows over restarts too.
    pub fn new(secret: SecretKey, seq: u64) -> Self {
        let pairs = BTreeMap::from([
            (key::ID.into(), alloy_rlp::encode(scheme::NAME)),
            (key::PUBLIC_KEY.into(), alloy_rlp::encode(secret.public().to_compressed().as_slice())),
        ]);
        Self { secret, seq, pairs, signed: None }
    }

    /// States our IPv4 address, or none.
    pub fn set_ip4(&mut self, ip: Option<Ipv4Addr>) -> Result<(), LocalRecordError> {
        self.set(key::IP4, ip.map(|ip| alloy_rlp::encode(ip.octets().as_slice())))
    }

    /// States our IPv6 address, or none.
    pub fn set_ip6(&mut self, ip: Option<Ipv6Addr>) -> Result<(), LocalRecordError> {
        self.set(key::IP6, ip.map(|ip| alloy_rlp::encode(ip.octets().as_slice())))
    }

    /// States our TCP port, of IPv4 and, unless that has its own, of IPv6. 0 is none.
    pub fn set_tcp4(&mut self, port: Option<u16>) -> Result<(), LocalRecordError> {
        self.set_port(key::TCP4, port)
    }

    /// States our TCP port of IPv6, where it differs. 0 is none.
    pub fn set_tcp6(&mut self, port: Option<u16>) -> Result<(), LocalRecordError> {
        self.set_port(key::TCP6, port)
    }

    /// States our UDP port, of IPv4 and, unless that has its own, of IPv6. 0 is none.
    pub fn set_udp4(&mut self, port: Option<u16>) -> Result<(), LocalRecordError> {
        self.set_port(key::UDP4, port)
    }

    /// States our UDP port of IPv6, where it differs. 0 is none.
    pub fn set_udp6(&mut self, port: Option<u16>) -> Result<(), LocalRecordError> {
        self.set_port(key::UDP6, port)
    }

    /// Sets an attribute of a protocol (such as `eth`) to one item of RLP, whether or not it was
    /// set.
    pub fn set_attribute(&mut self, key: &str, rlp: Vec<u8>) -> Result<(), LocalRecordError> {
        if key::RESERVED.contains(&key) {
            return Err(LocalRecordError::Reserved { key: key.into() });
        }
        let mut rest = rlp.as_slice();
        if take_item(&mut rest).is_err() || !rest.is_empty() {
            return Err(LocalRecordError::NotRlp { key: key.into() });
        }
        self.set(key, Some(rlp))
    }

    /// Sets an attribute that must not be there yet: two protocols cannot share one.
    pub fn add_attribute(&mut self, key: &str, rlp: Vec<u8>) -> Result<(), LocalRecordError> {
        if !key::RESERVED.contains(&key) && self.pairs.contains_key(key.as_bytes()) {
            return Err(LocalRecordError::Taken { key: key.into() });
        }
        self.set_attribute(key, rlp)
    }

    /// Removes an attribute of a protocol. Whether it was there.
    pub fn remove_attribute(&mut self, key: &str) -> bool {
        !key::RESERVED.contains(&key) && self.pairs.remove(key.as_bytes()).is_some()
    }

    /// The record, signed now if something changed since it was read last.
    pub fn record(&mut self) -> &Record {
        if !self.is_current() {
            self.seq = self.next_seq();
            let content = self.content(self.seq);
            let rlp = assemble(&scheme::sign(&self.secret, &content), &content);
            self.signed = Some(
                Record::decode_with(self.secret.crypto(), &rlp)
                    .expect("because the pairs are sorted, checked and within the limit"),
            );
        }
        self.signed.as_ref().expect("because a record that is missing is not current")
    }

    /// The sequence number of the record made last: what to keep for the next run.
    pub const fn seq(&self) -> u64 {
        self.seq
    }

    /// Our public key.
    pub const fn public_key(&self) -> &PublicKey {
        self.secret.public()
    }

    /// Our id.
    pub fn id(&self) -> NodeId {
        self.public_key().id()
    }

    fn set_port(&mut self, key: &str, port: Option<u16>) -> Result<(), LocalRecordError> {
        self.set(key, port.filter(|port| *port != 0).map(alloy_rlp::encode))
    }

    /// Sets a pair, or takes it back if the record would then be too big.
    fn set(&mut self, key: &str, value: Option<Vec<u8>>) -> Result<(), LocalRecordError> {
        let Some(value) = value else {
            self.pairs.remove(key.as_bytes());
            return Ok(());
        };
        let before = self.pairs.insert(key.into(), value);
        let size = assemble(&[0; 64], &self.content(self.next_seq())).len();
        if size <= MAX_RECORD_SIZE {
            return Ok(());
        }
        match before {
            Some(before) => self.pairs.insert(key.into(), before),
            None => self.pairs.remove(key.as_bytes()),
        };
        Err(LocalRecordError::TooBig { key: key.into(), size })
    }

    fn is_current(&self) -> bool {
        let ours = self.pairs.iter().map(|(key, value)| (key.as_slice(), value.as_slice()));
        self.signed.as_ref().is_some_and(|record| record.entries().eq(ours))
    }

    /// Nobody gets to the last number by counting; a state file that says so should not end the
    /// node.
    const fn next_seq(&self) -> u64 {
        self.seq.saturating_add(1)
    }

    /// What is signed: sequence number and pairs.
    fn content(&self, seq: u64) -> Vec<u8> {
        let mut content = Vec::with_capacity(MAX_RECORD_SIZE);
        seq.encode(&mut content);
        for (key, value) in &self.pairs {
            key.as_slice().encode(&mut content);
            content.extend_from_slice(value);
        }
        content
    }
}

impl fmt::Debug for LocalRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalRecord")
            .field("id", &self.id())
            .field("seq", &self.seq)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
