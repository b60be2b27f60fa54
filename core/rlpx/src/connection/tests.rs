//! Connections in pairs.
