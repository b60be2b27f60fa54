//! Whom a node may send more than PING and PONG: who has proved to be at its address.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::{IpAddr, SocketAddr},
};

use crate::node::host::TYPE_AT;

const PING: u8 = 0x01;
const PONG: u8 = 0x02;

/// Pings that a host may be waiting for, as far as the ledger remembers.
const MAX_PINGS: usize = 4_096;

/// As much of a ping's hash as tells it from the others of a host.
type Token = [u8; 8];

/// To whom a host may send more than PING and PONG.
#[derive(Debug, Default)]
pub(super) struct Proofs {
    /// The first bytes of the hashes of pings that were sent, and where to.
    pings: BTreeMap<Token, IpAddr>,
    order: VecDeque<Token>,
    proved: BTreeSet<IpAddr>,
}

impl Proofs {
    /// The node starts: what was proved to it counts for as long as its database is there.
    pub(super) fn on_start(&mut self, has_database: bool) {
        if !has_database {
            self.proved.clear();
        }
        self.pings.clear();
        self.order.clear();
    }

    /// The node starts with another one that it knew to be at these addresses.
    pub(super) fn on_seed(&mut self, udp: &[SocketAddr]) {
        self.proved.extend(udp.iter().map(SocketAddr::ip));
    }

    /// The node sends a datagram: what is wrong with that.
    pub(super) fn on_sent(&mut self, to: SocketAddr, bytes: &[u8]) -> Result<(), String> {
        match bytes.get(TYPE_AT) {
            Some(&PING) => {
                if let Some(hash) = bytes.first_chunk() {
                    self.pings.insert(*hash, to.ip());
                    self.order.push_back(*hash);
                    if self.order.len() > MAX_PINGS
                        && let Some(old) = self.order.pop_front()
                    {
                        self.pings.remove(&old);
                    }
                }
                Ok(())
            }
            Some(&PONG) => Ok(()),
            _ if self.proved.contains(&to.ip()) => Ok(()),
            kind => Err(format!(
                "it sent a packet of type {:?} to {to}, which has proved nothing",
                kind.copied()
            )),
        }
    }

    /// The node gets a datagram.
    pub(super) fn on_received(&mut self, from: SocketAddr, bytes: &[u8]) {
        let Some(token) = pong_token(bytes) else { return };
        if self.pings.remove(&token) == Some(from.ip().to_canonical()) {
            self.proved.insert(from.ip().to_canonical());
        }
    }
}

/// The hash in a PONG: the second item of its list.
fn pong_token(bytes: &[u8]) -> Option<Token> {
    if bytes.get(TYPE_AT) != Some(&PONG) {
        return None;
    }
    let list = skip_header(&bytes[TYPE_AT + 1..])?.0;
    let (inside, length) = skip_header(list)?;
    let token = inside.get(length..)?;
    (token.first() == Some(&0xa0)).then(|| token.get(1..)?.first_chunk().copied()).flatten()
}

/// What follows the header of an RLP list, and how long the list is.
fn skip_header(rlp: &[u8]) -> Option<(&[u8], usize)> {
    match *rlp.first()? {
        short @ 0xc0..=0xf7 => Some((&rlp[1..], usize::from(short - 0xc0))),
        0xf8 => Some((rlp.get(2..)?, usize::from(*rlp.get(1)?))),
        0xf9 => {
            Some((rlp.get(3..)?, usize::from(u16::from_be_bytes([*rlp.get(1)?, *rlp.get(2)?]))))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use peerage_discovery::v4::packet::{Endpoint, EnrRequest, Packet, Ping, Pong};
    use peerage_node::SecretKey;

    use super::*;

    fn key(n: u8) -> SecretKey {
        SecretKey::from_bytes(&[n; 32]).unwrap()
    }

    #[test]
    fn only_who_answered_a_ping_may_be_told_more() {
        let mut proofs = Proofs::default();
        let to: SocketAddr = "11.0.0.1:30303".parse().unwrap();
        let elsewhere: SocketAddr = "11.0.0.2:30303".parse().unwrap();
        let (from, expiration, seq) = (Endpoint::new(to, 0), 0, None);
        let ping = Packet::Ping(Ping { from, to: from, expiration, seq });
        let (ping, token) = ping.encode(&key(1));
        let pong = |token| {
            Packet::Pong(Pong { to: from, token, expiration, seq: Some(7) }).encode(&key(2)).0
        };
        let (find, _) = Packet::EnrRequest(EnrRequest { expiration }).encode(&key(1));
        assert_eq!(proofs.on_sent(to, &ping), Ok(()));
        // Answers to something else, or from elsewhere.
        proofs.on_received(to, &pong([3; 32]));
        proofs.on_received(elsewhere, &pong(token));
        assert!(proofs.on_sent(to, &find).is_err());
        assert_eq!(proofs.on_sent(to, &ping), Ok(()));
        proofs.on_received(to, &pong(token));
        assert_eq!(proofs.on_sent(to, &find), Ok(()));
        assert!(proofs.on_sent(elsewhere, &find).is_err());
    }
}
