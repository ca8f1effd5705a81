//! A volume group whose disk fails when asked to, and is brought back as an administrator would.

use std::any::Any;
use std::fs::File;
use std::io;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use hull_storage::Durability;

use crate::ground::{Ground, SkipReason, Troubles};
use crate::grounds::mapped::{Later, Mapped};
use crate::grounds::volume_group::{VolumeGroup, machine};
use crate::grounds::{output, told};

/// How large the disk is; sparse.
const SIZE: u64 = 4 << 30;

/// A round takes seconds in an emulated machine, and there are 45.
const STRIDE: usize = 11;

/// A ground whose volumes are thin, of `size` bytes, with the file system `fstype`.
pub fn thin(name: &str, fstype: &'static str, size: u64) -> Ground {
    ground(name, fstype, size, &["--type", "thin-pool", "--size", "3g", "--name", "pool"])
}

/// A ground whose volumes are thick.
pub fn thick(name: &str, fstype: &'static str, size: u64) -> Ground {
    ground(name, fstype, size, &[])
}

/// A ground with the volume that lvcreate(8) makes of `pool`, if anything.
fn ground(name: &str, fstype: &'static str, size: u64, pool: &'static [&str]) -> Ground {
    let make = move || {
        let (group, disk) = VolumeGroup::on_a_failing_disk(SIZE)?;
        if !pool.is_empty() {
            group.run("lvcreate", pool, &[])?;
        }
        let mine = Mine { group: group.name().to_owned(), disk };
        let spoiled = mine.clone();
        let troubles = Troubles {
            failing: Some(Arc::new(move |delay| Ok(Box::new(Failing::new(&mine, delay)?)))),
            unreadable: Some(Arc::new(move |content| spoiled.spoil(content))),
            ..Troubles::default()
        };
        let instance = group.into_ground(fstype, size)?;
        Ok(instance.with_troubles(troubles).with_durability(Durability::Power))
    };
    Ground::new(name, make).with_check(machine).with_only("troubles::a_").with_stride(STRIDE)
}

/// A group and its disk.
#[derive(Clone, Debug)]
struct Mine {
    group: String,
    disk: Arc<Mapped>,
}

impl Mine {
    /// Writes out what was done before, the thin pool's metadata, too.
    fn write_out(&self) -> io::Result<()> {
        rustix::fs::sync();
        for volume in VolumeGroup::volumes(&self.group)? {
            let node = Path::new("/dev").join(&self.group).join(volume);
            // What is not active has nothing to be written out.
            if node.exists() {
                File::open(node)?.sync_all()?;
            }
        }
        Ok(())
    }

    /// Has the disk work, and what the kernel made of its failure be forgotten: a thin pool fails for good once it could
    /// not write its metadata. When it is activated, LVM has it checked (thin_check(8)), and clears the flag that asks for
    /// that.
    fn bring_back(&self) -> Result<(), SkipReason> {
        self.disk.work()?;
        for activate in ["n", "y"] {
            // Nothing here takes long, unless something waits for a device for ever.
            let change = ["--kill-after=10", "60", "vgchange", "--quiet", "--activate", activate];
            output(Command::new("timeout").args(change).arg(&self.group))?;
        }
        Ok(())
    }

    /// Has what is written on the disk as `content` be unreadable until what it returns is dropped.
    fn spoil(&self, content: &[u8]) -> io::Result<Box<dyn Any>> {
        self.write_out()?;
        // What has been read stays in memory; proc_sys_vm(5). Others read theirs again, that is all.
        std::fs::write("/proc/sys/vm/drop_caches", "1")?;
        self.disk.fail_where(content).map_err(told)?;
        Ok(Box::new(Spoiled(self.clone())))
    }
}

/// A disk that fails in places, until this is dropped.
struct Spoiled(Mine);

impl Drop for Spoiled {
    fn drop(&mut self) {
        if let Err(why) = self.0.disk.work() {
            eprintln!("the disk of {} goes on failing: {why}", self.0.group);
        }
    }
}

/// A disk that fails once some time has passed, until this is dropped. Then it works again, and so does its group.
struct Failing {
    mine: Mine,
    failure: Later,
}

impl Failing {
    fn new(mine: &Mine, delay: Duration) -> io::Result<Self> {
        mine.write_out()?;
        let failure = mine.disk.fail_after(delay).map_err(told)?;
        Ok(Self { mine: mine.clone(), failure })
    }

    fn end(&mut self) -> Result<(), SkipReason> {
        self.failure.end()?;
        // If the time was not over yet: what was not written out by now is to be lost.
        self.mine.disk.fail()?;
        self.mine.bring_back()
    }
}

impl Drop for Failing {
    fn drop(&mut self) {
        if let Err(why) = self.end() {
            // The case looks at what is there and fails; it must know why.
            eprintln!("the volume group {} is not what it was: {why}", self.mine.group);
        }
    }
}
