//! The published library.
