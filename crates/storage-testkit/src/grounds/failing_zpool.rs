//! A pool whose disk fails for a while when asked to, or where something is written on it.
//!
//! zfs suspends a pool that it cannot write to (`failmode=wait`, see zpoolprops(7)): who wants to write waits in the kernel
//! until the disk works and somebody says `zpool clear`, and then goes on. So the disk of this ground comes back by itself
//! while operations wait for it. One that never came back would keep them, and the guest, for ever.

use std::any::Any;
use std::io;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use crate::ground::{Ground, SkipReason, Troubles};
use crate::grounds::mapped::{Later, Mapped};
use crate::grounds::zpool::{TestPool, instance, possible, run};
use crate::grounds::{machine_maps_devices, output, told};

/// How large the disk is; sparse.
const SIZE: u64 = 2 << 30;

/// A round takes seconds in an emulated machine, and there are 45.
const STRIDE: usize = 11;

/// The ground on which zfs is asked by `backend`, called `BACKEND-on-a-failing-disk`.
pub fn ground(backend: &'static str) -> Ground {
    let make = move || {
        let (pool, disk) = TestPool::on_a_failing_disk(SIZE)?;
        let mine = Mine { pool: pool.name().to_owned(), disk };
        let spoiled = mine.clone();
        let troubles = Troubles {
            stalling: Some(Arc::new(move |delay, time| Ok(Box::new(Stalling::new(&mine, delay, time)?)))),
            unreadable: Some(Arc::new(move |content| spoiled.spoil(content))),
            ..Troubles::default()
        };
        Ok(instance(pool, backend)?.with_troubles(troubles))
    };
    let check = || possible().and_then(|()| machine_maps_devices());
    let name = format!("{backend}-on-a-failing-disk");
    Ground::new(name, make).with_check(check).with_only("troubles::a_").with_stride(STRIDE)
}

/// A pool and its disk.
#[derive(Clone, Debug)]
struct Mine {
    pool: String,
    disk: Arc<Mapped>,
}

impl Mine {
    /// Has the disk work, and whoever waits for it go on.
    fn bring_back(&self) -> Result<(), SkipReason> {
        self.disk.work()?;
        for _ in 0..20 {
            // It has nothing to do where the pool has not noticed anything.
            output(Command::new("timeout").args(["--kill-after=10", "60", "zpool", "clear", &self.pool]))?;
            if run("zpool", ["list", "-H", "-o", "health", &self.pool])?.trim() == "ONLINE" {
                return Ok(());
            }
            sleep(Duration::from_millis(250));
        }
        Err(SkipReason(format!("the pool {} does not come back", self.pool)))
    }

    /// Has what is written on the disk as `content` be unreadable until what it returns is dropped.
    fn spoil(&self, content: &[u8]) -> io::Result<Box<dyn Any>> {
        // What has been read stays in memory as long as the pool is there.
        run("zpool", ["export", &self.pool])?;
        self.disk.fail_where(content).map_err(told)?;
        let node = self.disk.path();
        let folder = node.parent().unwrap_or(Path::new("/"));
        run("zpool", ["import", "-o", "cachefile=none", "-d", &folder.to_string_lossy(), &self.pool])?;
        Ok(Box::new(Spoiled(self.clone())))
    }
}

/// A disk that fails in places, until this is dropped.
struct Spoiled(Mine);

impl Drop for Spoiled {
    fn drop(&mut self) {
        if let Err(why) = self.0.bring_back() {
            eprintln!("the disk of {} goes on failing: {why}", self.0.pool);
        }
    }
}

/// A disk that fails once some time has passed, and works again after some more, or when this is dropped.
struct Stalling {
    mine: Mine,
    failure: Later,
}

impl Stalling {
    fn new(mine: &Mine, delay: Duration, time: Duration) -> io::Result<Self> {
        run("zpool", ["sync", &mine.pool])?;
        let broken = mine.clone();
        let failure = Later::new(delay, move || {
            broken.disk.fail()?;
            // Not to be cut short: the operation waits for it in the kernel, and with it whoever could drop this.
            sleep(time);
            broken.bring_back()
        });
        Ok(Self { mine: mine.clone(), failure })
    }
}

impl Drop for Stalling {
    fn drop(&mut self) {
        if let Err(why) = self.failure.end() {
            // The case looks at what is there and fails; it must know why.
            eprintln!("the pool {} is not what it was: {why}", self.mine.pool);
        }
    }
}
