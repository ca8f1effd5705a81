//! Sizes and limits of volumes.

use std::error::Error;
use std::fs::File;
use std::io::Write;

use hull_storage::{Access, Bytes, CloneMode, ErrorKind, Locator, Store};
use rustix::io::Errno;
use rustix::thread::CapabilitySet;

use super::Bench;
use super::bench::{Open, SAMPLE};
use super::case::{Case, CaseResult, Need, Verdict, refused, require};
use super::restore::snapshot_that_stands;

pub(super) const CASES: &[Case] = &[
    Case { name: "capacity::grows_and_says_so", needs: &[Need::Capacity], run: grows },
    Case { name: "capacity::nothing_is_written_beyond_it", needs: &[Need::Capacity], run: holds },
    Case { name: "capacity::less_than_is_used_is_refused", needs: &[Need::Capacity], run: used },
    Case { name: "capacity::a_limit_can_be_lifted", needs: &[Need::Capacity], run: lifted },
    Case { name: "capacity::survives_a_restore_and_a_rename", needs: &[Need::Capacity], run: renamed },
    Case { name: "capacity::of_nothing_is_refused", needs: &[Need::Capacity], run: of_nothing },
];

type Checked<T> = Result<T, Box<dyn Error>>;

const MIB: u64 = 1 << 20;

/// A volume and a size larger than what it has, which it is given; or why it cannot be.
fn sized(bench: &Bench, store: &Store, more: u64) -> Checked<Result<(Locator, Bytes), Verdict>> {
    let at = bench.make(store, "volume")?;
    let size = Bytes(store.inspect(&at)?.size.map_or(0, |size| size.0) + more);
    match store.resize(&at, Some(size)) {
        Ok(_) => Ok(Ok((at, size))),
        Err(e) if e.kind() == ErrorKind::Unsupported => {
            require(e.to_string().lines().count() == 1, "one line")?;
            Ok(Err(Verdict::DoesNotApply(format!("not here: {e}"))))
        }
        Err(e) => Err(e.into()),
    }
}

/// Requires that the volume has `size`, or a little more: devices come in pieces.
fn require_size(store: &Store, at: &Locator, size: Bytes) -> Checked<()> {
    let shown = store.inspect(at)?.size;
    let fits = shown.is_some_and(|shown| (size.0..size.0 + 16 * MIB).contains(&shown.0));
    require(fits, format!("given {size}, it has {shown:?}"))
}

fn sync(store: &Store, at: &Locator) -> Checked<()> {
    let open = Open::new(store, at, Access::ReadOnly)?;
    Ok(rustix::fs::syncfs(File::open(open.path())?)?)
}

fn grows(bench: &Bench) -> CaseResult {
    let store = bench.store();
    let (at, size) = match sized(bench, &store, 48 * MIB)? {
        Ok(sized) => sized,
        Err(verdict) => return Ok(verdict),
    };
    require_size(&store, &at, size)?;
    let available = store.usage(&at)?.available;
    require(available.is_none_or(|left| left <= size), format!("of {size}, {available:?} are left"))?;
    store.resize(&at, Some(size))?;
    let more = Bytes(size.0 + 32 * MIB);
    store.resize(&at, Some(more))?;
    require_size(&store, &at, more)?;
    let now = store.usage(&at)?.available;
    require(now >= available, format!("after it has grown, {now:?} are left instead of {available:?}"))?;
    require(bench.read(&store, &at, SAMPLE)?.as_deref() == Some("volume"), "its content has changed")?;
    bench.require_clean()?;
    Ok(Verdict::Held)
}

fn holds(bench: &Bench) -> CaseResult {
    let store = bench.store();
    if bench.driver().capabilities().block_backed {
        return Ok(Verdict::DoesNotApply("nobody writes beyond a device".into()));
    }
    let (at, size) = match sized(bench, &store, 24 * MIB)? {
        Ok(sized) => sized,
        Err(verdict) => return Ok(verdict),
    };
    let open = Open::new(&store, &at, Access::ReadWrite)?;
    let mut file = File::create(open.path().join("large"))?;
    let piece: Vec<u8> = (0..MIB).map(|i| ((i * i) >> 3) as u8).collect();
    let mut fill =
        || (0..4 * size.0 / MIB).find_map(|_| file.write_all(&piece).and_then(|()| file.sync_data()).err());
    let refused = without_privilege(&mut fill)?;
    let errno = refused.as_ref().and_then(Errno::from_io_error);
    let fits = matches!(errno, Some(Errno::DQUOT | Errno::NOSPC));
    require(fits, format!("{} went into {size}; refused: {refused:?}", Bytes(file.metadata()?.len())))?;
    drop((file, open));
    // What was copied has no limit unless it is given one.
    let copy = bench.place("copy");
    let copy =
        store.clone_volume(&at, Some(bench.driver().name()), &copy, CloneMode::Copy, Access::ReadWrite)?.at;
    require(store.inspect(&copy)?.size.is_none(), "a copy has a limit that nobody gave it")?;
    bench.write(&store, &copy, "more", &"0123456789abcdef".repeat(4 * MIB as usize / 16))?;
    Ok(Verdict::Held)
}

/// Runs `work` on a thread without `CAP_SYS_RESOURCE`, like a container's: who has it goes beyond quotas of ext4.
fn without_privilege<T: Send>(work: &mut (dyn FnMut() -> T + Send)) -> Checked<T> {
    std::thread::scope(|scope| {
        let limited = scope.spawn(|| -> rustix::io::Result<T> {
            let mut sets = rustix::thread::capabilities(None)?;
            sets.effective.remove(CapabilitySet::SYS_RESOURCE);
            rustix::thread::set_capabilities(None, sets)?;
            Ok(work())
        });
        let ended = limited.join().map_err(|_| "the thread that writes has panicked")?;
        Ok(ended?)
    })
}

fn used(bench: &Bench) -> CaseResult {
    let store = bench.store();
    let (at, size) = match sized(bench, &store, 48 * MIB)? {
        Ok(sized) => sized,
        Err(verdict) => return Ok(verdict),
    };
    let content = "0123456789abcdef".repeat(8 * MIB as usize / 16);
    bench.write(&store, &at, "large", &content)?;
    sync(&store, &at)?;
    refused(store.resize(&at, Some(Bytes(MIB))), ErrorKind::CannotShrink, "less than is used")?;
    require_size(&store, &at, size)?;
    require(bench.read(&store, &at, "large")?.as_deref() == Some(&content), "its content has changed")?;
    Ok(Verdict::Held)
}

fn lifted(bench: &Bench) -> CaseResult {
    let store = bench.store();
    let (at, size) = match sized(bench, &store, 48 * MIB)? {
        Ok(sized) => sized,
        Err(verdict) => return Ok(verdict),
    };
    match store.resize(&at, None) {
        Ok(_) => require(store.inspect(&at)?.size.is_none(), "without a limit it still shows one")?,
        Err(e) => {
            require(bench.driver().capabilities().block_backed, format!("its limit cannot be lifted: {e}"))?;
            require_size(&store, &at, size)?;
        }
    }
    Ok(Verdict::Held)
}

fn renamed(bench: &Bench) -> CaseResult {
    let store = bench.store();
    let (at, size) = match sized(bench, &store, 48 * MIB)? {
        Ok(sized) => sized,
        Err(verdict) => return Ok(verdict),
    };
    let snapshot = snapshot_that_stands(bench, &store, &at, "snapshot")?;
    let at = store.restore(&snapshot, &at)?.at;
    require_size(&store, &at, size)?;
    let renamed = store.rename(&at, &bench.place("renamed"))?;
    require_size(&store, &renamed, size)?;
    bench.require_clean()?;
    Ok(Verdict::Held)
}

fn of_nothing(bench: &Bench) -> CaseResult {
    let store = bench.store();
    let at = bench.make(&store, "volume")?;
    store.destroy(&at)?;
    refused(store.resize(&at, Some(Bytes(64 * MIB))), ErrorKind::NotFound, "resizing what is not there")?;
    Ok(Verdict::Held)
}
