//! Whom an Ethereum node is connected to: admission, slots and dial scheduling, with no I/O.
