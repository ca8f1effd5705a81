//! What a running container uses, read from its cgroups of either version.

use std::path::{Path, PathBuf};

use hull_ipc::Client;
use hull_ipc::server::Group;
use serde::Serialize;

/// What a running container uses; `None` where the kernel does not count.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Usage {
    /// Processor time, in nanoseconds.
    pub(crate) cpu_nanoseconds: Option<u64>,
    /// Bytes read from and written to block devices.
    pub(crate) block_io_bytes: Option<u64>,
    /// Memory, page cache included.
    pub(crate) memory_bytes: Option<u64>,
    /// Kernel memory; counted by itself in version 1 only.
    pub(crate) kernel_memory_bytes: Option<u64>,
    /// Swap.
    pub(crate) swap_bytes: Option<u64>,
}

/// Asks the container's monitor for its cgroups and reads them.
pub(crate) fn usage(client: &Client) -> Usage {
    let table = hull_mount::table::read().unwrap_or_default();
    let dir = |controller: &str| Directory::find(&table, client, controller);
    let (cpu, memory, blkio) = (dir("cpuacct"), dir("memory"), dir("blkio"));
    let number = |dir: &Option<Directory>, v1: &str, v2: &str| {
        let dir = dir.as_ref()?;
        dir.read(if dir.unified { v2 } else { v1 })?.trim().parse().ok()
    };
    Usage {
        cpu_nanoseconds: match &cpu {
            Some(dir) if dir.unified => dir
                .read("cpu.stat")
                .and_then(|text| field(&text, "usage_usec"))
                .map(|us: u64| us.saturating_mul(1000)),
            _ => number(&cpu, "cpuacct.usage", "cpu.stat"),
        },
        block_io_bytes: blkio.as_ref().and_then(|dir| match dir.unified {
            true => Some(io_stat(&dir.read("io.stat")?)),
            false => field(&dir.read("blkio.throttle.io_service_bytes")?, "Total"),
        }),
        memory_bytes: number(&memory, "memory.usage_in_bytes", "memory.current"),
        kernel_memory_bytes: memory
            .as_ref()
            .filter(|dir| !dir.unified)
            .and_then(|dir| dir.read("memory.kmem.usage_in_bytes")?.trim().parse().ok()),
        swap_bytes: memory.as_ref().and_then(|dir| match dir.unified {
            true => dir.read("memory.swap.current")?.trim().parse().ok(),
            false => field(&dir.read("memory.stat")?, "swap"),
        }),
    }
}

/// The container's directory in the hierarchy of one controller.
struct Directory {
    path: PathBuf,
    unified: bool,
}

impl Directory {
    fn find(table: &[hull_mount::table::Entry], client: &Client, controller: &str) -> Option<Self> {
        let version1 = table
            .iter()
            .find(|e| e.fstype == "cgroup" && e.super_options.split(',').any(|option| option == controller));
        let hierarchy = version1.or_else(|| table.iter().find(|e| e.fstype == "cgroup2"))?;
        let unified = version1.is_none();
        let group = client.cgroup(Group::Limit, (!unified).then_some(controller)).ok()?;
        // Another user's monitor answers what it likes.
        let inside = group.trim_matches('/');
        if inside.split('/').any(|part| part == "..") {
            return None;
        }
        Some(Self { path: hierarchy.point.join(Path::new(inside)), unified })
    }

    fn read(&self, file: &str) -> Option<String> {
        std::fs::read_to_string(self.path.join(file)).ok()
    }
}

/// The number after `name` in lines of `name number`.
fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

/// The sum of all `rbytes` and `wbytes`.
fn io_stat(text: &str) -> u64 {
    let words = text.split_ascii_whitespace();
    words
        .filter_map(|word| word.strip_prefix("rbytes=").or_else(|| word.strip_prefix("wbytes=")))
        .filter_map(|number| number.parse::<u64>().ok())
        .fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_counters() {
        assert_eq!(field("cache 5\nswap 4096\nswapcached 7\n", "swap"), Some(4096));
        assert_eq!(field("8:0 Read 1\n8:0 Write 2\nTotal 3\n", "Total"), Some(3));
        assert_eq!(field("nothing\n", "swap"), None);
        assert_eq!(io_stat("8:0 rbytes=10 wbytes=5 rios=1\n7:0 rbytes=1 wbytes=0 dbytes=9\n"), 16);
    }
}
