//! Pings that wait for their pong.

use std::{collections::BTreeMap, net::IpAddr};

use peerage_machine::{ExpiringMap, Instant, TimerTable, list_bound, tree_memory};
use peerage_node::{Node, NodeId};

use super::{asks::AskId, bonds::Claimant, packet::Token};
use crate::QueryId;

/// How many strangers may be asked for a proof at the same time. At the rate that unproved
/// addresses are listened to, half a second brings no more of them than this.
const MAX_STRANGERS: usize = 1024;

/// What a ping of ours is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PingPurpose {
    /// A request waits until the node is proved.
    Ask(AskId),
    /// The table wants to know whether the node is still there.
    Check,
    /// The driver wants to know.
    Command(QueryId),
}

/// A ping of our own accord.
#[derive(Clone, Debug)]
pub(super) struct PingUnderWay {
    pub(super) token: Token,
    pub(super) sent: Instant,
    /// Whether nothing with its hash has come back yet.
    is_open: bool,
    /// Everything that waits for the pong; never empty.
    pub(super) purposes: Vec<PingPurpose>,
}

/// A node that pinged us, and was asked in return.
#[derive(Clone, Debug)]
struct Stranger {
    token: Token,
    /// As its ping tells of it.
    node: Node,
}

/// The pings that a pong answered.
#[derive(Debug)]
pub(super) struct Answered {
    /// One of our own accord.
    pub(super) own: Option<PingUnderWay>,
    /// One in return for a ping, of this node.
    pub(super) stranger: Option<Node>,
}

/// All pings that wait for their pong. At most two per node and address: one of our own accord,
/// which is as bounded as what it is for, and one in return for a ping of a stranger.
///
/// # Security
///
/// Apart from each other, so that a flood of pings from forged addresses cannot push out our own.
#[derive(Debug)]
pub(super) struct Pings {
    own: BTreeMap<Claimant, PingUnderWay>,
    due: TimerTable<Claimant>,
    strangers: ExpiringMap<Claimant, Stranger>,
    /// The tokens among `strangers` with which nothing has come back yet.
    tokens: ExpiringMap<Token, ()>,
}

impl Pings {
    pub(super) fn new() -> Self {
        Self {
            own: BTreeMap::new(),
            due: TimerTable::new(),
            strangers: ExpiringMap::new(MAX_STRANGERS),
            tokens: ExpiringMap::new(MAX_STRANGERS),
        }
    }

    /// Lets `purpose` wait for a ping that is under way to `claimant`. Whether there is one.
    pub(super) fn join(&mut self, claimant: Claimant, purpose: PingPurpose) -> bool {
        let Some(ping) = self.own.get_mut(&claimant) else { return false };
        ping.purposes.push(purpose);
        true
    }

    /// Notes a ping that was sent now.
    pub(super) fn add(
        &mut self,
        now: Instant,
        until: Instant,
        claimant: Claimant,
        token: Token,
        purpose: PingPurpose,
    ) {
        self.own.insert(
            claimant,
            PingUnderWay { token, sent: now, is_open: true, purposes: vec![purpose] },
        );
        self.due.set(claimant, until);
    }

    /// Whether a stranger was asked for a proof, and may still answer.
    pub(super) fn is_stranger_asked(&self, now: Instant, claimant: Claimant) -> bool {
        self.strangers.get(&claimant, now).is_some()
    }

    /// Notes a ping that asks a stranger for a proof.
    pub(super) fn add_stranger(
        &mut self,
        until: Instant,
        claimant: Claimant,
        token: Token,
        node: Node,
    ) {
        self.strangers.insert(claimant, Stranger { token, node }, until);
        self.tokens.insert(token, (), until);
    }

    /// The hash of the ping of our own accord that is under way to `claimant`.
    pub(super) fn own_token(&self, claimant: Claimant) -> Option<Token> {
        self.own.get(&claimant).map(|ping| ping.token)
    }

    /// Takes the pings that a pong with `token` from `claimant` answers, if there are any.
    pub(super) fn take(
        &mut self,
        now: Instant,
        claimant: Claimant,
        token: Token,
    ) -> Option<Answered> {
        let is_own = self.own.get(&claimant).is_some_and(|ping| ping.token == token);
        let own = if is_own { self.own.remove(&claimant) } else { None };
        if is_own {
            self.due.cancel(&claimant);
        }
        let is_stranger =
            self.strangers.get(&claimant, now).is_some_and(|stranger| stranger.token == token);
        let stranger = if is_stranger { self.strangers.remove(&claimant) } else { None };
        let stranger = stranger.map(|stranger| stranger.node);
        (own.is_some() || stranger.is_some()).then_some(Answered { own, stranger })
    }

    /// Whether a pong with `token` from `ip` may be an answer: what is known before its signature
    /// is recovered. Each ping has only one try.
    ///
    /// # Security
    ///
    /// Such a pong passes the limits, and who was pinged could send many, signed with other keys.
    pub(super) fn expect_once(&mut self, now: Instant, ip: IpAddr, token: Token) -> bool {
        let is_stranger =
            self.tokens.get(&token, now).is_some() && self.tokens.remove(&token).is_some();
        let all = |byte| Claimant { ip, id: NodeId([byte; 32]) };
        let mut own = self.own.range_mut(all(0)..=all(0xff)).map(|(_, ping)| ping);
        let own = own.find(|ping| ping.token == token && ping.is_open);
        let is_own = own.is_some();
        if let Some(own) = own {
            own.is_open = false;
        }
        is_own || is_stranger
    }

    /// Takes a ping that has waited too long, with its node.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<(Claimant, PingUnderWay)> {
        while self.strangers.pop_expired(now).is_some() {}
        while self.tokens.pop_expired(now).is_some() {}
        let claimant = self.due.pop_due(now)?;
        self.own.remove_entry(&claimant)
    }

    /// The bytes held.
    pub(super) fn memory(&self) -> usize {
        Self::own_memory(self.own.len())
            + self.strangers.memory()
            + self.strangers.len() * Node::MAX_HEAP
            + self.tokens.memory()
    }

    /// The most bytes held, with so many pings of our own accord.
    pub(super) const fn memory_bound(own: usize) -> usize {
        Self::own_memory(own)
            + ExpiringMap::<Claimant, Stranger>::memory_bound(MAX_STRANGERS)
            + MAX_STRANGERS * Node::MAX_HEAP
            + ExpiringMap::<Token, ()>::memory_bound(MAX_STRANGERS)
    }

    /// What so many pings of our own accord take; more than a few things hardly ever wait for one.
    const fn own_memory(len: usize) -> usize {
        tree_memory::<Claimant, PingUnderWay>(len)
            + TimerTable::<Claimant>::memory_of(len)
            + len * list_bound::<PingPurpose>(4)
    }

    /// When a ping will have waited too long. Those to strangers have no consequence, so nobody has
    /// to wake up for them.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.due.next()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::testing::{public, secret};

    #[test]
    fn each_ping_has_one_try_past_the_limits_and_none_after_its_time() {
        let (start, until) = (Instant::START, Instant::START + Duration::from_millis(500));
        let ip = public(1).ip();
        let claimant = Claimant { ip, id: secret(1).public().id() };
        let mut pings = Pings::new();
        pings.add(start, until, claimant, [1; 32], PingPurpose::Check);
        pings.add_stranger(until, claimant, [2; 32], Node::new(*secret(1).public()));
        pings.add_stranger(
            until,
            Claimant { ip: public(2).ip(), ..claimant },
            [3; 32],
            Node::new(*secret(1).public()),
        );
        assert!(!pings.expect_once(start, ip, [9; 32]));
        assert!(!pings.expect_once(start, public(2).ip(), [1; 32]));
        for token in [[1; 32], [2; 32]] {
            assert!(pings.expect_once(start, ip, token));
            assert!(!pings.expect_once(start, ip, token));
        }
        assert!(!pings.expect_once(until, public(2).ip(), [3; 32]));
        // The tries decide nothing about the answers.
        assert!(pings.take(start, claimant, [1; 32]).is_some_and(|it| it.own.is_some()));
        assert!(pings.take(start, claimant, [2; 32]).is_some_and(|it| it.stranger.is_some()));
    }

    #[test]
    fn strangers_are_bounded_and_do_not_push_out_our_own() {
        let mut pings = Pings::new();
        let until = Instant::START + Duration::from_millis(500);
        let claimant = |n| Claimant { ip: public(n).ip(), id: secret(1).public().id() };
        pings.add(Instant::START, until, claimant(0), [1; 32], PingPurpose::Check);
        for n in 1..5000_u32 {
            let mut token = [0; 32];
            token[..4].copy_from_slice(&n.to_be_bytes());
            pings.add_stranger(until, claimant(n), token, Node::new(*secret(1).public()));
        }
        assert_eq!((pings.strangers.len(), pings.tokens.len()), (MAX_STRANGERS, MAX_STRANGERS));
        assert_eq!(pings.pop_due(until).map(|(claimant, _)| claimant), Some(claimant(0)));
        assert!(pings.strangers.is_empty() && pings.tokens.is_empty());
    }
}
