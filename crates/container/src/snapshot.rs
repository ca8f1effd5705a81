//! Snapshots of a container: whole container directories under `<lxcpath>/<name>/snaps`, as LXC keeps them.

use std::path::PathBuf;

use hull_storage::lock::Kind;
use hull_storage::{CloneMode, Error, ErrorKind, Result, files};

use crate::clone::CloneRequest;
use crate::container::Container;
use crate::made::Made;

/// How a snapshot shall be made.
#[derive(Clone, Debug, Default)]
pub struct SnapshotRequest {
    /// A text to keep with it.
    pub comment: Option<Vec<u8>>,
    /// The container may be running; it is frozen while its files are read.
    pub allow_running: bool,
    /// Only decide.
    pub dry_run: bool,
}

/// One snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// `snap0`, `snap1`, …
    pub name: String,
    /// When it was made, local time: `2026:11:23 11:09:50`.
    pub time: Option<String>,
    /// The text kept with it.
    pub comment: Option<Vec<u8>>,
    /// The directory it is in.
    pub dir: PathBuf,
}

const TIME: &str = "ts";
const COMMENT: &str = "comment";

impl Container<'_> {
    /// Keeps the container as it is now: a clone where its store can, else a copy. Returns its name.
    pub fn snapshot(&self, request: &SnapshotRequest) -> Result<Made> {
        self.require_defined()?;
        let dir = self.snapshot_dir();
        if !request.dry_run && !files::is_dir(&dir) {
            // Empty, it changes nothing for anybody, so it needs no transaction.
            // Not its parents: a container that is destroyed this moment must not get a directory again.
            match std::fs::create_dir(&dir) {
                Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => {
                    let errno = rustix::io::Errno::from_io_error(&e).unwrap_or(rustix::io::Errno::IO);
                    return Err(Error::os(format!("cannot make {}", dir.display()), errno));
                }
                _ => {}
            }
        }
        let mut extra = vec![(TIME, now().into_bytes())];
        extra.extend(request.comment.clone().map(|c| (COMMENT, c)));
        // Another command may take the name first; then the next one is tried.
        for _ in 0..100 {
            let name = self.free_snapshot_name()?;
            let new = Container::new(self.all, &dir, &name);
            let clone = CloneRequest {
                mode: CloneMode::SnapshotElseCopy,
                keep_name: true,
                keep_mac: true,
                allow_running: request.allow_running,
                dry_run: request.dry_run,
                ..CloneRequest::new(name)
            };
            match self.clone_into(&new, &clone, &extra) {
                Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
                other => return other.map_err(|e| e.during("snapshot")),
            }
        }
        Err(Error::new(
            ErrorKind::InUse,
            format!("other commands keep taking snapshot names of {}", self.name),
        ))
    }

    /// All snapshots, in order of their numbers.
    pub fn snapshots(&self) -> Result<Vec<Snapshot>> {
        let dir = self.snapshot_dir();
        let entries = match std::fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => {
                let errno = rustix::io::Errno::from_io_error(&e).unwrap_or(rustix::io::Errno::IO);
                return Err(Error::os(format!("cannot list {}", dir.display()), errno));
            }
        };
        let mut all = Vec::new();
        for name in entries.filter_map(|e| e.ok()?.file_name().into_string().ok()) {
            let home = dir.join(&name);
            if crate::name::check(&name).is_err() || !home.join("config").is_file() {
                continue;
            }
            let time = files::read(&home.join(TIME))?;
            all.push(Snapshot {
                time: time.map(|t| String::from_utf8_lossy(&t).trim_end().to_owned()),
                comment: files::read(&home.join(COMMENT))?,
                dir: dir.clone(),
                name,
            });
        }
        all.sort_by(|a, b| number(&a.name).cmp(&number(&b.name)).then_with(|| a.name.cmp(&b.name)));
        Ok(all)
    }

    /// All snapshots, as the containers they are.
    pub(crate) fn snapshot_containers(&self) -> Result<Vec<Self>> {
        let all = self.snapshots()?.into_iter();
        Ok(all.map(|s| Container::new(self.all, &s.dir, &s.name)).collect())
    }

    /// The snapshot called exactly `snapshot`, as the container it is.
    pub(crate) fn existing_snapshot(&self, snapshot: &str) -> Result<Self> {
        crate::name::check(snapshot)?;
        let found = Container::new(self.all, &self.snapshot_dir(), snapshot);
        if found.is_defined() {
            return Ok(found);
        }
        let known: Vec<String> = self.snapshots()?.into_iter().map(|s| s.name).collect();
        let known =
            if known.is_empty() { "it has none".into() } else { format!("it has {}", known.join(", ")) };
        let text = format!("container {} has no snapshot {snapshot}: {known}", self.name);
        Err(Error::new(ErrorKind::NotFound, text))
    }

    /// Deletes one snapshot.
    pub fn delete_snapshot(&self, snapshot: &str, dry_run: bool) -> Result<Made> {
        self.require_defined()?;
        let _lock = self.lock(Kind::Exclusive)?;
        let found = self.existing_snapshot(snapshot)?;
        let request = crate::DestroyRequest { dry_run, ..crate::DestroyRequest::default() };
        found.destroy(&request).map_err(|e| e.during("delete snapshot"))
    }

    /// Where the snapshots are. Before LXC 1.1 they were beside lxcpath; a directory there still counts.
    pub(crate) fn snapshot_dir(&self) -> PathBuf {
        let mut beside = self.lxcpath.clone().into_os_string();
        beside.push("snaps");
        let beside = PathBuf::from(beside);
        if files::is_dir(&beside) { beside.join(&self.name) } else { self.home().join("snaps") }
    }

    /// `snap` and the first number that is free.
    fn free_snapshot_name(&self) -> Result<String> {
        let dir = self.snapshot_dir();
        for n in 0_u32.. {
            let name = format!("snap{n}");
            if !files::exists(&dir.join(&name))? {
                return Ok(name);
            }
        }
        Err(Error::new(ErrorKind::NoSpace, format!("container {} has too many snapshots", self.name)))
    }
}

fn number(name: &str) -> u64 {
    name.strip_prefix("snap").and_then(|n| n.parse().ok()).unwrap_or(u64::MAX)
}

/// The local time as LXC writes it.
fn now() -> String {
    let t = hull_sys::clock::local_now();
    format!("{:04}:{:02}:{:02} {:02}:{:02}:{:02}", t.year, t.month, t.day, t.hour, t.minute, t.second)
}
