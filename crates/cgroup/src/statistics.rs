//! What a container uses, for `lxc-info` and `lxc-ls`.

use std::time::Duration;

use crate::{Cgroups, Version};

/// What a container has used or uses; absent where no controller counts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Processor time.
    pub cpu: Option<Duration>,
    /// Bytes read from and written to block devices.
    pub block_io: Option<u64>,
    /// Bytes of memory now.
    pub memory: Option<u64>,
    /// Bytes of kernel memory now.
    pub kernel_memory: Option<u64>,
    /// Bytes of swap now.
    pub swap: Option<u64>,
    /// Tasks now.
    pub tasks: Option<u64>,
}

impl Cgroups {
    /// What the container uses. Counters that cannot be read are absent.
    pub fn statistics(&self) -> Statistics {
        let first = |controller: &str, file: &str| {
            let is_it =
                |m: &&crate::cgroups::Member| m.version == Version::One && m.has_controller(controller);
            self.members.iter().find(is_it).and_then(|m| m.limit.read(file).ok())
        };
        let second = |file: &str| self.member(Version::Two).and_then(|m| m.limit.read(file).ok());
        let number = |text: String| text.parse::<u64>().ok();
        let both = first("memory", "memory.memsw.usage_in_bytes").and_then(number);
        let memory = first("memory", "memory.usage_in_bytes").and_then(number);
        Statistics {
            cpu: first("cpuacct", "cpuacct.usage").and_then(number).map(Duration::from_nanos).or_else(|| {
                second("cpu.stat").and_then(|t| field(&t, "usage_usec")).map(Duration::from_micros)
            }),
            block_io: first("blkio", "blkio.throttle.io_service_bytes")
                .and_then(|t| field(&t, "Total"))
                .or_else(|| second("io.stat").map(|t| io_bytes(&t))),
            memory: memory.or_else(|| second("memory.current").and_then(number)),
            kernel_memory: first("memory", "memory.kmem.usage_in_bytes")
                .and_then(number)
                .or_else(|| second("memory.stat").and_then(|t| field(&t, "kernel"))),
            swap: both
                .zip(memory)
                .map(|(both, memory)| both.saturating_sub(memory))
                .or_else(|| second("memory.swap.current").and_then(number)),
            tasks: first("pids", "pids.current")
                .and_then(number)
                .or_else(|| second("pids.current").and_then(number)),
        }
    }
}

/// The number after `name` at the beginning of a line.
fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

/// `8:0 rbytes=1 wbytes=2 rios=…` summed over devices.
fn io_bytes(text: &str) -> u64 {
    let bytes = |w: &str| {
        w.strip_prefix("rbytes=").or_else(|| w.strip_prefix("wbytes=")).and_then(|n| n.parse::<u64>().ok())
    };
    text.split_whitespace().filter_map(bytes).fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_found_in_their_files() {
        assert_eq!(field("usage_usec 42\nuser_usec 1", "usage_usec"), Some(42));
        assert_eq!(field("8:0 Read 5\nTotal 9", "Total"), Some(9));
        assert_eq!(field("usage_usecs 42", "usage_usec"), None);
        assert_eq!(io_bytes("8:0 rbytes=5 wbytes=7 rios=1\n8:16 rbytes=1 wbytes=x"), 13);
    }
}
