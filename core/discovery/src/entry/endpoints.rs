//! Where a node takes datagrams: the endpoint that is used, and room for one more.

use std::net::SocketAddr;

/// The endpoints of a node, at most [`MAX`](Self::MAX), the one in use first.
///
/// The table uses one: it alone is checked, told to others, and counted in its subnet. As long as
/// there is no other, the list takes no more room than that address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints(List);

#[derive(Clone, Debug, PartialEq, Eq)]
enum List {
    One(SocketAddr),
    Two(Box<[SocketAddr; Endpoints::MAX]>),
}

impl Endpoints {
    /// One of each address family: a node that states more of one family wants us to contact
    /// others.
    pub const MAX: usize = 2;

    /// The most bytes held besides the list itself.
    pub(crate) const MAX_HEAP: usize = size_of::<[SocketAddr; Self::MAX]>();

    /// One endpoint, which is used.
    pub const fn new(used: SocketAddr) -> Self {
        Self(List::One(used))
    }

    /// Adds an endpoint behind the one in use. Whether there was room, and it was not there.
    pub fn add(&mut self, endpoint: SocketAddr) -> bool {
        match self.0 {
            List::One(used) if used != endpoint => {
                self.0 = List::Two(Box::new([used, endpoint]));
                true
            }
            List::One(_) | List::Two(_) => false,
        }
    }

    /// The endpoint in use.
    pub const fn used(&self) -> SocketAddr {
        self.all()[0]
    }

    /// All of them, the one in use first; never empty.
    pub const fn all(&self) -> &[SocketAddr] {
        match &self.0 {
            List::One(used) => std::slice::from_ref(used),
            List::Two(both) => &**both,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::public;

    #[test]
    fn a_node_has_two_endpoints_at_most_and_the_first_is_used() {
        let mut endpoints = Endpoints::new(public(1));
        assert_eq!(endpoints.all(), [public(1)]);
        assert!(!endpoints.add(public(1)));
        assert!(endpoints.add(public(2)));
        assert!(!endpoints.add(public(2)) && !endpoints.add(public(3)));
        assert_eq!((endpoints.used(), endpoints.all()), (public(1), &[public(1), public(2)][..]));
    }

    #[test]
    fn one_endpoint_takes_no_more_room_than_its_address() {
        assert_eq!(size_of::<Endpoints>(), size_of::<SocketAddr>());
    }
}
