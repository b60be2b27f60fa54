//! The machine from outside: rounds as data, simultaneous dials, and a model of operations.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed, helpers included")]

mod dialing;
mod model;
mod serving;
mod simultaneous;
mod support;
