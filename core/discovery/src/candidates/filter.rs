//! Which nodes are of use, as far as their records say.

use std::{fmt, sync::Arc};

use peerage_node::Record;

/// Why a node is of no use: a few words, such as "another network".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("{0}")]
pub struct Unfit(pub &'static str);

/// A function that says of a node record whether the node is of use. Cheap to clone.
///
/// It is a pure function: of one record it always says the same, and it asks nothing but the
/// record. What it says of another network tomorrow is the business of another filter, which takes
/// its place. A simulation could not be repeated otherwise.
#[derive(Clone)]
pub struct Filter(Arc<Judge>);

type Judge = dyn Fn(&Record) -> Result<(), Unfit> + Send + Sync;

impl Filter {
    /// The filter that asks `judge`.
    pub fn new(judge: impl Fn(&Record) -> Result<(), Unfit> + Send + Sync + 'static) -> Self {
        Self(Arc::new(judge))
    }

    /// Whether the node that signed `record` is of use.
    pub fn check(&self, record: &Record) -> Result<(), Unfit> {
        (self.0)(record)
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Filter")
    }
}
