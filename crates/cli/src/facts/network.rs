//! A container's interfaces and addresses, read from `/proc/PID/net`: no namespace need be entered.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;

use hull_ipc::Client;

/// What went through one of the container's links, as seen from the host.
#[derive(Debug)]
pub(crate) struct Link {
    /// Its name on the host.
    pub(crate) name: String,
    /// Bytes the container sent.
    pub(crate) sent: u64,
    /// Bytes the container received.
    pub(crate) received: u64,
}

/// The names of the interfaces that process `pid` sees.
pub(crate) fn interfaces(pid: i32) -> Vec<String> {
    let text = read(pid, "dev");
    text.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name.trim().to_owned()).collect()
}

/// The IPv4 addresses that process `pid` sees.
pub(crate) fn ipv4(pid: i32) -> Vec<String> {
    local_ipv4(&read(pid, "fib_trie")).iter().map(Ipv4Addr::to_string).collect()
}

/// The global IPv6 addresses that process `pid` sees.
pub(crate) fn ipv6(pid: i32) -> Vec<String> {
    global_ipv6(&read(pid, "if_inet6")).iter().map(Ipv6Addr::to_string).collect()
}

/// The host's ends of a running container's links.
pub(crate) fn links(client: &Client) -> Vec<Link> {
    let mut links = Vec::new();
    for index in 0..32 {
        let item = |key: &str| client.config_item(&format!("lxc.net.{index}.{key}")).ok().flatten();
        let Some(kind) = item("type") else { break };
        let name = match kind.trim() {
            "veth" => item("veth.pair"),
            "empty" | "none" => None,
            _ => item("link"),
        };
        let Some(name) = name.map(|n| n.trim().to_owned()).filter(|n| !n.is_empty() && !n.contains('/'))
        else {
            continue;
        };
        let count = |what: &str| -> Option<u64> {
            let path = Path::new("/sys/class/net").join(&name).join("statistics").join(what);
            std::fs::read_to_string(path).ok()?.trim().parse().ok()
        };
        // What the host's end receives, the container sent.
        if let (Some(sent), Some(received)) = (count("rx_bytes"), count("tx_bytes")) {
            links.push(Link { name, sent, received });
        }
    }
    links
}

/// Empty when the process has gone: then there is nothing to show.
fn read(pid: i32, file: &str) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/net/{file}")).unwrap_or_default()
}

/// The addresses the routing table of an IPv4 stack calls its own: `/32 host LOCAL` leaves.
fn local_ipv4(fib_trie: &str) -> BTreeSet<Ipv4Addr> {
    let mut last = None;
    let mut found = BTreeSet::new();
    for line in fib_trie.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            last = address.parse().ok();
        } else if line == "/32 host LOCAL" {
            found.extend(last.filter(|a: &Ipv4Addr| !a.is_loopback()));
        }
    }
    found
}

fn global_ipv6(if_inet6: &str) -> Vec<Ipv6Addr> {
    let address = |line: &str| {
        let mut fields = line.split_ascii_whitespace();
        let bits = u128::from_str_radix(fields.next()?, 16).ok()?;
        // Interface index, prefix length, scope: 00 is global.
        (fields.nth(2)? == "00").then(|| Ipv6Addr::from_bits(bits))
    };
    if_inet6.lines().filter_map(address).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_from_the_kernels_tables() {
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 10.0.3.0\n        /24 link UNICAST\n     |-- 10.0.3.7\n        /32 host LOCAL\n     |-- 127.0.0.1\n        /32 host LOCAL\nLocal:\n     |-- 10.0.3.7\n        /32 host LOCAL\n     |-- 10.0.3.255\n        /32 link BROADCAST\n";
        assert_eq!(local_ipv4(trie).into_iter().collect::<Vec<_>>(), [Ipv4Addr::new(10, 0, 3, 7)]);
        let inet6 = "00000000000000000000000000000001 01 80 10 80       lo\nfd420000000000000000000000000007 02 40 00 80     eth0\nfe800000000000000000000000000007 02 40 20 80     eth0\n";
        assert_eq!(global_ipv6(inet6), ["fd42::7".parse::<Ipv6Addr>().unwrap()]);
        assert!(local_ipv4("|-- x\n/32 host LOCAL\n").is_empty());
        assert!(global_ipv6("junk\n\u{0}").is_empty());
    }

    #[test]
    fn this_process_has_a_loopback_interface() {
        let pid = i32::try_from(std::process::id()).unwrap();
        assert!(interfaces(pid).iter().any(|name| name == "lo"), "{:?}", interfaces(pid));
    }
}
