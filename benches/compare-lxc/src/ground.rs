//! Scratch file systems and pools of our own, with an lxcpath each, and the containers that the operations work on.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::command::{self, Side};
use crate::pool::Pool;

/// How large a file system is; its image is sparse.
const SIZE: u64 = 16 << 30;

/// The file systems.
pub(crate) const KINDS: [&str; 3] = ["ext4", "xfs", "btrfs"];

/// The pools, whose lxcpaths lie in the scratch directory.
pub(crate) const POOLS: [&str; 2] = ["lvm", "zfs"];

/// Copies the tree `$1` to `$2` by two processes, which have about half of it each.
const TWO_CP: &str = "\
mkdir $2 $2/usr
cp -a $1/usr/lib $2/usr/ &
find $1/usr -mindepth 1 -maxdepth 1 ! -name lib -exec cp -a -t $2/usr {} +
find $1 -mindepth 1 -maxdepth 1 ! -name usr -exec cp -a -t $2 {} +
wait
";

/// How many stopped containers there are to be listed.
const MANY: usize = 1000;

/// A file system on a loop device. Dropping it unmounts it; its image goes with the scratch directory.
pub(crate) struct Ground {
    pub(crate) kind: &'static str,
    /// Where it is mounted.
    pub(crate) point: PathBuf,
    pool: Option<Pool>,
}

impl Ground {
    /// One of each kind, in `scratch`, with containers that have the files of the archive `rootfs`.
    pub(crate) fn all(
        kinds: &[&'static str],
        scratch: &Path,
        hull: &Path,
        rootfs: &Path,
    ) -> Result<Vec<Self>, String> {
        let grounds = kinds.iter().map(|kind| Self::new(kind, scratch)).collect::<Result<Vec<_>, _>>()?;
        let config = scratch.join("config");
        fs::write(&config, "lxc.net.0.type = empty\n").map_err(|e| format!("{}: {e}", config.display()))?;
        for ground in &grounds {
            ground.fill(hull, rootfs, &config)?;
        }
        Ok(grounds)
    }

    fn new(kind: &'static str, scratch: &Path) -> Result<Self, String> {
        let (image, point) = (scratch.join(format!("{kind}.img")), scratch.join(kind));
        let cannot = |e: std::io::Error| format!("cannot make {}: {e}", image.display());
        File::create(&image).and_then(|file| file.set_len(SIZE)).map_err(cannot)?;
        fs::create_dir(&point).map_err(cannot)?;
        if POOLS.contains(&kind) {
            fs::create_dir(point.join("lxc")).map_err(cannot)?;
            fs::create_dir(point.join("lvm")).map_err(cannot)?;
            // Hull's programs see no environment and read the machine's: what the others read must take as long.
            let machine = fs::read_to_string("/etc/lvm/lvm.conf").unwrap_or_default();
            let text = format!("{machine}\nactivation {{\n\tauto_set_activation_skip = 0\n}}\n");
            fs::write(point.join("lvm/lvm.conf"), text).map_err(cannot)?;
            return Ok(Self { kind, point, pool: Some(Pool::new(kind, &image)?) });
        }
        let options = match kind {
            "xfs" => "-q -m reflink=1",
            "btrfs" => "-q",
            _ => "-q -F -E lazy_itable_init=0,lazy_journal_init=0",
        };
        command::plain(&format!("mkfs.{kind} {options} {}", image.display()))?;
        command::plain(&format!("mount -o loop {} {}", image.display(), point.display()))?;
        let ground = Self { kind, point, pool: None };
        fs::create_dir(ground.point.join("lxc")).map_err(cannot)?;
        Ok(ground)
    }

    /// The configuration for LVM's programs, where it is not the machine's: with that, stock LXC's clones of thin volumes
    /// fail, for they are not activated.
    pub(crate) fn lvm_configuration(&self) -> Option<PathBuf> {
        (self.kind == "lvm").then(|| self.point.join("lvm"))
    }

    fn fill(&self, hull: &Path, rootfs: &Path, config: &Path) -> Result<(), String> {
        let run = |line: &str| command::timed(line, self, Side::Hull(hull), 0).map(drop);
        let create = |name: &str, store: &str| {
            run(&format!(
                "hull --lxcpath {{}} create {name} --store {store} --config {} --archive {}",
                config.display(),
                rootfs.display()
            ))
        };
        if self.pool.is_some() {
            return create("base", self.kind);
        }
        create("base", "dir")?;
        create("other", "dir")?;
        create("image", "loop --size 2G")?;
        run("lxc-copy -P {} -n base -N over -s -B overlay")?;
        run("lxc-snapshot -P {} -n over")?;
        run("lxc-snapshot -P {} -n image")?;
        let sides = [Side::Hull(hull), Side::Stock];
        match self.kind {
            "btrfs" => {
                create("sub", "btrfs")?;
                run("lxc-snapshot -P {} -n sub")
            }
            "ext4" => {
                create("moved", "loop --size 2G")?;
                let script = self.point.join("two-cp");
                fs::write(&script, TWO_CP).map_err(|e| format!("cannot write {}: {e}", script.display()))?;
                for side in sides {
                    command::timed("lxc-copy -P {} -n base -N over-{side} -s -B overlay", self, side, 0)?;
                    command::timed("lxc-snapshot -P {} -n over-{side}", self, side, 0)?;
                }
                run("lxc-copy -P {} -n base -N runs -s -B overlay")?;
                run("lxc-start -P {} -n runs -p {point}/pid -- /bin/sleep 1000000")?;
                self.make_many()
            }
            "xfs" => {
                for (side, name) in sides.into_iter().zip(["image-hull", "image-stock"]) {
                    create(name, "loop --size 2G")?;
                    command::timed("lxc-snapshot -P {} -n image-{side}", self, side, 0)?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The number of the first process of the container that runs.
    pub(crate) fn running(&self) -> Result<String, String> {
        let file = self.point.join("pid");
        fs::read_to_string(&file).map_err(|e| format!("cannot read {}: {e}", file.display()))
    }

    /// Containers that are only listed.
    fn make_many(&self) -> Result<(), String> {
        for number in 0..MANY {
            let home = self.point.join(format!("many/c{number:04}"));
            let text = format!(
                "lxc.net.0.type = empty\nlxc.rootfs.path = dir:{0}/rootfs\nlxc.uts.name = c{number:04}\n",
                home.display()
            );
            let made =
                fs::create_dir_all(home.join("rootfs")).and_then(|()| fs::write(home.join("config"), text));
            made.map_err(|e| format!("cannot make {}: {e}", home.display()))?;
        }
        Ok(())
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        if self.pool.is_some() {
            return;
        }
        // Nobody may be left in what is unmounted.
        let _ = command::plain(&format!("lxc-stop -k -P {}/lxc -n runs", self.point.display()));
        if let Err(why) = command::plain(&format!("umount -R {}", self.point.display())) {
            eprintln!("{} stays mounted: {why}", self.point.display());
        }
    }
}
