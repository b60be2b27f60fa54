//! Measures of a researcher's own, over time.

use std::fmt;

use crate::world::World;

/// A measure over time: a value for each sample of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series {
    /// What was measured.
    pub label: String,
    /// How much it was, at each sample.
    pub values: Vec<u64>,
}

/// A series that is still being made.
pub(super) struct Gauge {
    series: Series,
    of: Box<dyn FnMut(&World) -> u64>,
}

impl Gauge {
    pub(super) fn new(label: &str, of: impl FnMut(&World) -> u64 + 'static) -> Self {
        Self { series: Series { label: label.into(), values: Vec::new() }, of: Box::new(of) }
    }

    pub(super) fn sample(&mut self, world: &World) {
        self.series.values.push((self.of)(world));
    }

    pub(super) fn finish(self) -> Series {
        self.series
    }
}

impl fmt::Debug for Gauge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.series.fmt(f)
    }
}
