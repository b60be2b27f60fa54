//! Whether this process may open as many files as a full mesh has sockets.
//!
//! Not here: raising the limit, which the standard library cannot; `ulimit -n` can.

use std::fs;

/// What a process has open beside its sockets: standard streams, the runtime's own.
const BASE: u64 = 32;

/// How many files `nodes` servers in one process have open at most: each connection has both of its
/// ends here, two nodes may dial each other at once, and each listens twice, for connections and
/// for datagrams; the boot node has a socket too.
pub(super) const fn needed(nodes: u64) -> u64 {
    BASE + 1 + 2 * nodes + 2 * nodes * (nodes - 1)
}

/// How many files this process may have open; `None` where the system does not tell.
pub(super) fn limit() -> Option<u64> {
    parse(&fs::read_to_string("/proc/self/limits").ok()?)
}

/// Finds the soft limit in the table of `/proc/self/limits` (proc(5)).
fn parse(limits: &str) -> Option<u64> {
    let row = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    row.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_is_found_and_unlimited_is_none() {
        let table = "Limit                     Soft Limit           Hard Limit           Units\n\
                     Max processes             63206                63206                processes\n\
                     Max open files            1024                 524288               files\n";
        assert_eq!(parse(table), Some(1024));
        assert_eq!(parse("Max open files            unlimited            unlimited  files"), None);
        assert_eq!(parse(""), None);
    }
}
