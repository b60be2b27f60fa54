//! The machine from outside: rounds as data, and simultaneous dials.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed, helpers included")]

mod dialing;
mod policy;
mod serving;
mod simultaneous;
mod support;
