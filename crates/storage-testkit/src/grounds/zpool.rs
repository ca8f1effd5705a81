//! A pool on a sparse file, with one dataset to make volumes in.
use std::fs::File;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::ground::{Fill, Troubles};
use crate::grounds::mapped::Mapped;
use crate::{Ground, GroundInstance, Pool, SkipReason};

/// A pool that is destroyed when dropped.
#[derive(Debug)]
pub struct TestPool {
    name: String,
    /// What it lies on, which goes after it.
    _disk: Option<Arc<Mapped>>,
    dir: tempfile::TempDir,
}

impl TestPool {
    /// Makes one, or says why there can be none.
    pub fn new() -> Result<Self, SkipReason> {
        possible()?;
        let dir = tempfile::tempdir()?;
        let image = dir.path().join("pool.img");
        File::create(&image)?.set_len(2 << 30)?;
        Self::on(&image, None, dir)
    }

    /// Makes one on a disk of `size` bytes that fails when it is asked to.
    pub(super) fn on_a_failing_disk(size: u64) -> Result<(Self, Arc<Mapped>), SkipReason> {
        possible()?;
        let dir = tempfile::Builder::new().prefix("hull-failing-").tempdir_in("/var/tmp")?;
        let disk = Arc::new(Mapped::new(dir.path(), size)?);
        Ok((Self::on(&disk.path(), Some(Arc::clone(&disk)), dir)?, disk))
    }

    fn on(path: &Path, disk: Option<Arc<Mapped>>, dir: tempfile::TempDir) -> Result<Self, SkipReason> {
        static POOLS: AtomicUsize = AtomicUsize::new(0);
        let number = POOLS.fetch_add(1, Ordering::Relaxed);
        // A block shares no piece of a disk that fails in pieces: `zpool import` tries for ever to write to a free sector
        // beside a lost file's.
        let sectors = if disk.is_some() { " -o ashift=12" } else { "" };
        let pool = Self { name: format!("hull{}t{number}", std::process::id()), _disk: disk, dir };
        // Without compression, so that sizes can be foretold; in no cache file, so that nothing imports it again.
        let arguments = format!("create -o cachefile=none{sectors} -O compression=off -O mountpoint=none");
        let arguments = arguments.split(' ').chain([pool.name.as_str()]).map(Into::into);
        run("zpool", arguments.chain([path.as_os_str().to_owned()]))?;
        run("zfs", ["create", &pool.root()])?;
        Ok(pool)
    }

    /// What it is called.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The dataset that volumes are made in.
    pub fn root(&self) -> String {
        format!("{}/lxc", self.name)
    }

    /// A scratch directory.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }
}

impl Drop for TestPool {
    fn drop(&mut self) {
        // A process that was killed may take a moment to let its mounts go.
        for _ in 0..20 {
            if run("zpool", ["destroy", "-f", &self.name]).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        eprintln!("the pool {} is left behind", self.name);
    }
}

/// Why there can be no pool here, found out without making one.
pub fn possible() -> Result<(), SkipReason> {
    if !Path::new("/dev/zfs").exists() {
        return Err(SkipReason("no zfs in this kernel".into()));
    }
    if !rustix::process::geteuid().is_root() {
        return Err(SkipReason("pools need root".into()));
    }
    run("zfs", ["version"]).map(drop).map_err(|e| SkipReason(format!("no zfs programs: {e}")))
}

/// The ground on which zfs is asked by `backend`.
///
/// Where there is zfs for tests there is mostly an emulated machine, in which each act waits for the pool: only some are
/// interrupted, and of those of programs fewer.
pub fn ground(backend: &'static str) -> Ground {
    let stride = if backend == "library" { 4 } else { 9 };
    Ground::new(backend, move || {
        let pool = TestPool::new()?;
        let filled = pool.name.clone();
        let full: Arc<Fill> = Arc::new(move |left| Ok(Box::new(Reserved::new(&filled, left)?)));
        let troubles = Troubles { full: Some(full), ..Troubles::default() };
        Ok(instance(pool, backend)?.with_troubles(troubles))
    })
    .with_check(possible)
    .with_stride(stride)
}

/// What a ground in `pool` is made of.
pub(super) fn instance(pool: TestPool, backend: &str) -> Result<GroundInstance, SkipReason> {
    // Not in /tmp, which may be a tmpfs without extended attributes: trees that have some are copied from there.
    let scratch = tempfile::tempdir_in("/var/tmp")?;
    let (dir, root) = (scratch.path().to_path_buf(), pool.root());
    let (listed, cleared, measured) = (root.clone(), root.clone(), pool.name.clone());
    let volumes = Pool::new(&root, move || list(&listed), move |prefix| clear(&cleared, prefix));
    let volumes = volumes.with_free(move || available(&measured));
    Ok(GroundInstance::new(dir, (scratch, pool))
        .with_setting("lxc.bdev.zfs.root", root)
        .with_setting("hull.zfs.backend", backend)
        .with_pool(volumes))
}

/// How many bytes are left for the dataset, when all that was written has taken its place.
fn available(dataset: &str) -> io::Result<u64> {
    run("zpool", ["sync", dataset.split('/').next().unwrap_or(dataset)])?;
    let said = run("zfs", ["get", "-Hp", "-o", "value", "available", dataset])?;
    said.trim().parse().map_err(io::Error::other)
}

/// Space that nobody else gets, until it is dropped.
struct Reserved(String);

impl Reserved {
    fn new(pool: &str, left: u64) -> io::Result<Self> {
        let reserved = Self(format!("{pool}/reserved"));
        // It takes some itself, so it is made first.
        run("zfs", ["create", &reserved.0])?;
        let reservation = format!("refreservation={}", available(&reserved.0)?.saturating_sub(left));
        run("zfs", ["set", &reservation, &reserved.0])?;
        Ok(reserved)
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if let Err(e) = run("zfs", ["destroy", &self.0]) {
            eprintln!("{} keeps its space: {e}", self.0);
        }
    }
}

/// What a program prints.
pub fn run<I: IntoIterator<Item = S>, S: AsRef<std::ffi::OsStr>>(
    program: &str,
    arguments: I,
) -> io::Result<String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output()?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; "))),
    }
}

fn list(root: &str) -> io::Result<Vec<String>> {
    let said = run("zfs", ["list", "-H", "-r", "-d", "1", "-o", "name", root])?;
    let begin = format!("{root}/");
    Ok(said.lines().filter_map(|line| line.strip_prefix(&begin)).map(str::to_owned).collect())
}

/// Removes the volumes, the clones among them in any order.
fn clear(root: &str, prefix: &str) {
    for _ in 0..5 {
        let left: Vec<String> =
            list(root).unwrap_or_default().into_iter().filter(|name| name.starts_with(prefix)).collect();
        if left.is_empty() {
            return;
        }
        for name in left {
            let _ = run("zfs", ["destroy", "-R", &format!("{root}/{name}")]);
        }
    }
}
