//! Makes the sites: scratch file systems, directories of the run's own, the parent volume in each.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hull_storage::lock::{VolumeLocks, Wait};
use hull_storage::{
    Availability, Bytes, Error, ErrorKind, FileJournal, Observer, RealHost, Result, Store, VolumeSpec,
};
use tempfile::TempDir;

use crate::cache;
use crate::request::{Listener, Place, Request, StoreSpec};
use crate::results::{Rootfs, StoreFacts};
use crate::scratch::ScratchFs;
use crate::site::{Ground, Plot, Site};

/// A scratch file system is as large as this at least; it takes space only when written to.
const SCRATCH: u64 = 2 << 30;

/// The sites of a run.
pub(super) struct Opened {
    pub(super) sites: Vec<Site>,
    pub(super) rootfs: Rootfs,
    // The last to go.
    _work: TempDir,
}

/// Makes all sites. If one cannot be made, none stays.
pub(super) fn all(request: &Request, listener: &dyn Listener) -> Result<Opened> {
    let need = request.need()?;
    require_room(request, need)?;
    let work = tempfile::Builder::new().prefix("hull-bench-").tempdir_in(&request.work).map_err(|e| {
        let text = format!("cannot make a directory in {}: name another with --work", request.work.display());
        Error::new(ErrorKind::Os, text).because(e)
    })?;
    listener.step(0, 0, "the root file system");
    let archive = request.rootfs.archive(work.path())?;
    let mut opened = Opened { sites: Vec::new(), rootfs: request.rootfs.facts(), _work: work };
    for (number, spec) in request.stores.iter().enumerate() {
        listener.step(0, 0, &format!("making {}", spec.name));
        let made = go_on(&request.cancel)
            .and_then(|()| plot(request, spec, number, opened._work.path(), &archive))
            .map(Site::new)
            .and_then(|site| furnished(site, need));
        match made {
            Ok((site, (entries, bytes))) => {
                (opened.rootfs.entries, opened.rootfs.bytes) = (entries, bytes.0);
                opened.sites.push(site);
            }
            Err(e) => {
                let left = opened.sites.into_iter().flat_map(Site::close);
                return Err(left.fold(e.with("store", &spec.name), |e, left| e.with("left behind", left)));
            }
        }
    }
    Ok(opened)
}

fn go_on(cancel: &AtomicBool) -> Result<()> {
    match cancel.load(Ordering::Relaxed) {
        true => Err(Error::new(ErrorKind::Cancelled, "interrupted before anything was measured")),
        false => Ok(()),
    }
}

/// The site with its parent in it, and what the root file system holds.
fn furnished(mut site: Site, need: u64) -> Result<(Site, (u64, Bytes))> {
    let furnish = |site: &mut Site| {
        let held = site.furnish()?;
        site.facts.clones_by = site.clones_by()?;
        if site.facts.mount_options.is_empty() {
            site.facts.mount_options = site.mounted_by()?;
        }
        // A pool can be asked only now; what is there counts already.
        match site.available()? {
            Some(left) if left < need / 2 => Err(lacks_room(&site.facts.name, left, need / 2)),
            _ => Ok(held),
        }
    };
    match furnish(&mut site) {
        Ok(held) => Ok((site, held)),
        Err(e) => Err(site.close().into_iter().fold(e, |e, left| e.with("left behind", left))),
    }
}

/// Makes the place of a site.
fn plot(request: &Request, spec: &StoreSpec, number: usize, work: &Path, archive: &Path) -> Result<Plot> {
    let registration = request.registry.resolve(spec.driver.as_str())?;
    let probed = match (registration.probe)(&spec.settings) {
        Availability::Ready { notes } => notes,
        Availability::Missing { why, remedy } => {
            return Err(Error::new(ErrorKind::Unsupported, format!("{why}: {remedy}")));
        }
    };
    let make = |path: PathBuf| match fs::create_dir(&path) {
        Ok(()) => Ok(path),
        Err(e) => {
            let text = format!("cannot make {}: name a directory that can be written to", path.display());
            Err(Error::new(ErrorKind::Os, text).because(e))
        }
    };
    let state = make(work.join(format!("state{number}")))?;
    let mount_point = make(work.join(format!("mount{number}")))?;
    // Two stores of a run may share a directory or pool, and one of them the directory of the run itself.
    let mut own = work.file_name().unwrap_or_default().to_owned();
    own.push(format!("-{number}"));
    let mut scratch = None;
    let (ground, settled) = match &spec.place {
        Place::Directory(path) => (Ground::Directory(make(path.join(own))?), vec![path.clone()]),
        Place::Pool(path) => {
            own.push("-");
            (Ground::Pool(path.join(own)), Vec::new())
        }
        Place::Scratch(kind) => {
            let dir = work.join(format!("scratch{number}"));
            let made = ScratchFs::new(*kind, scratch_size(request)?, &dir)?;
            let settled = vec![made.path().to_path_buf(), work.to_path_buf()];
            let ground = Ground::Directory(make(made.path().join("volumes"))?);
            scratch = Some(made);
            (ground, settled)
        }
    };
    let mut facts = StoreFacts {
        name: spec.name.clone(),
        driver: spec.driver.to_string(),
        scratch: scratch.is_some(),
        filesystem: String::new(),
        mount_options: String::new(),
        clones_by: String::new(),
        notes: probed,
    };
    if let Ground::Directory(dir) = &ground {
        (facts.filesystem, facts.mount_options) = filesystem_of(dir);
    }
    let drivers = request.registry.drivers().iter().map(|r| (r.open)(&spec.settings)).collect();
    let stop = Stop(Arc::clone(&request.cancel));
    let store = Store::new(
        drivers,
        Box::new(FileJournal::new(state.join("journal"), request.durability)),
        Box::new(RealHost::new(Box::new(stop), request.durability)),
        VolumeLocks::new(state.join("lock"), Wait::UpTo(Duration::from_secs(30))),
    );
    let has_size = store.driver(spec.driver)?.capabilities().block_backed;
    let size = has_size.then(|| request.volume_size().map(Bytes)).transpose()?;
    // The file system is what the settings say, or the driver's usual one. A size that they say is not for directories.
    let mut volume = VolumeSpec { size, ..VolumeSpec::default() }.or_as_set(&spec.settings)?;
    volume.size = volume.size.filter(|_| has_size);
    Ok(Plot {
        facts,
        sizes: request.options.sizes.clone(),
        store,
        driver: spec.driver,
        base: request.base,
        ground,
        settled,
        archive: archive.to_path_buf(),
        mount_point,
        spec: volume,
        scratch,
    })
}

/// Refuses before anything is made where there is obviously not enough room.
fn require_room(request: &Request, need: u64) -> Result<()> {
    for spec in &request.stores {
        if let Place::Directory(path) = &spec.place {
            let left = cache::room(path).map_err(|e| e.with("store", &spec.name))?.available;
            if left < need {
                return Err(lacks_room(&spec.name, left, need));
            }
        }
    }
    let scratch = request.stores.iter().filter(|spec| matches!(spec.place, Place::Scratch(_))).count() as u64;
    let for_work = need * scratch + request.rootfs.estimate()? * 2;
    let left = cache::room(&request.work)?.available;
    match left < for_work {
        true => Err(lacks_room(&format!("the directory {}", request.work.display()), left, for_work)),
        false => Ok(()),
    }
}

fn lacks_room(what: &str, left: u64, need: u64) -> Error {
    let text = format!(
        "{what} has {} left, and the run needs about {}: make room, name another place, or take a smaller --rootfs or --quick",
        Bytes(left),
        Bytes(need)
    );
    Error::new(ErrorKind::NoSpace, text)
}

/// The fan-out of a store that copies gets half of what is left.
fn scratch_size(request: &Request) -> Result<u64> {
    Ok((request.need()? * 4).max(SCRATCH).next_multiple_of(1 << 20))
}

/// The type and the mount options of the file system that `dir` is on.
fn filesystem_of(dir: &Path) -> (String, String) {
    let path = dir.canonicalize().unwrap_or_else(|_| dir.to_path_buf());
    let table = hull_mount::table::read().unwrap_or_default();
    match hull_mount::table::holding(&table, &path) {
        Some(entry) => {
            // Both lists begin with ro or rw.
            let own: Vec<&str> = entry.options.split(',').collect();
            let all = own.iter().copied().chain(entry.super_options.split(',').filter(|o| !own.contains(o)));
            (entry.fstype.clone(), all.collect::<Vec<_>>().join(","))
        }
        None => (String::new(), String::new()),
    }
}

/// Ends a copy that is under way when the run is interrupted.
struct Stop(Arc<AtomicBool>);

impl Observer for Stop {
    fn progress(&self, _: u64, _: u64) -> ControlFlow<()> {
        if self.0.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}
