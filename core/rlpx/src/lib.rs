//! One RLPx connection from first byte to last, with no I/O.
