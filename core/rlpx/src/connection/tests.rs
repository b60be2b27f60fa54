//! Connections against each other, and against peers that do wrong.

mod deadlines;
mod goodbyes;
mod halves;
mod hostile;
mod life;
mod memory;
mod pair;
mod raw;
mod stand_in;
mod steps;
