//! All containers of one lxcpath.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hull_storage::lock::{FileLock, Kind, VolumeLocks, Wait};
use hull_storage::{
    DriverName, Durability, Error, ErrorKind, FileJournal, RealHost, Reclaim, Recovered, Registry, Result,
    Settings, Store,
};
use hull_treecopy::Observer;

use crate::container::Container;
use crate::freeze::{Freezer, Nobody};
use crate::{name, partial};

/// What the owner of the process decides.
pub struct Options {
    /// Where the containers are; absolute.
    pub lxcpath: PathBuf,
    /// Where LXC keeps locks and sockets: `/run`, or a user's runtime directory.
    pub rundir: PathBuf,
    /// The drivers of this build.
    pub registry: Registry,
    /// Values for the drivers.
    pub settings: Settings,
    /// The store of containers made without naming one.
    pub default_store: DriverName,
    /// Who hears how far copies have come, and may cancel them.
    pub observer: Box<dyn Observer + Send>,
    /// What an operation survives.
    pub durability: Durability,
    /// Who deletes what an operation dooms.
    pub reclaim: Reclaim,
    /// How long to wait for another command that uses the same container.
    pub wait: Wait,
    /// Who freezes a container that runs while it is copied.
    pub freezer: Box<dyn Freezer>,
}

/// All containers of one lxcpath.
pub struct Containers {
    lxcpath: PathBuf,
    rundir: PathBuf,
    registry: Registry,
    default_store: DriverName,
    wait: Wait,
    store: Store,
    freezer: Box<dyn Freezer>,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("lxcpath", &self.lxcpath).finish_non_exhaustive()
    }
}

impl fmt::Debug for Containers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Containers").field("lxcpath", &self.lxcpath).finish_non_exhaustive()
    }
}

/// How long a monitor may take to answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

impl Containers {
    /// The containers in `options.lxcpath`. Looks at nothing yet.
    ///
    /// Fails when lxcpath is not absolute: sockets, locks and configs would not name the same thing to others.
    pub fn open(options: Options) -> Result<Self> {
        let journal = FileJournal::new(options.lxcpath.join(".hull/journal"), options.durability);
        let host = RealHost::new(options.observer, options.durability);
        let drivers = options.registry.drivers().iter().map(|r| (r.open)(&options.settings)).collect();
        let locks = VolumeLocks::new(options.rundir.join("hull/lock"), options.wait);
        let store =
            Store::new(drivers, Box::new(journal), Box::new(host), locks).with_reclaim(options.reclaim);
        let settings = (options.registry, options.default_store, options.wait);
        let all = Self::with_store(&options.lxcpath, options.rundir, settings, store)?;
        Ok(Self { freezer: options.freezer, ..all })
    }

    /// The containers in `lxcpath`, on a store of the caller's making (another journal or host), and none of them ever
    /// frozen.
    pub fn with_store(
        lxcpath: &Path,
        rundir: PathBuf,
        (registry, default_store, wait): (Registry, DriverName, Wait),
        store: Store,
    ) -> Result<Self> {
        if !lxcpath.is_absolute() || lxcpath.to_str().is_none_or(|p| p.contains(['\n', '\0'])) {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                format!("lxcpath {lxcpath:?} must be an absolute path of UTF-8 text without line breaks"),
            ));
        }
        // A trailing slash would give sockets and locks another name than LXC gives them.
        let lxcpath: PathBuf = lxcpath.components().collect();
        Ok(Self { lxcpath, rundir, registry, default_store, wait, store, freezer: Box::new(Nobody) })
    }

    /// The same containers, with another answer to who deletes what an operation dooms.
    #[must_use]
    pub fn with_reclaim(self, reclaim: Reclaim) -> Self {
        Self { store: self.store.with_reclaim(reclaim), ..self }
    }

    /// Where the containers are.
    pub fn lxcpath(&self) -> &Path {
        &self.lxcpath
    }

    /// The drivers of this build.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The store that holds the root file systems.
    pub fn store(&self) -> &Store {
        &self.store
    }

    pub(crate) fn rundir(&self) -> &Path {
        &self.rundir
    }

    pub(crate) fn freezer(&self) -> &dyn Freezer {
        &*self.freezer
    }

    pub(crate) fn default_store(&self) -> DriverName {
        self.default_store
    }

    pub(crate) fn default_store_ref(&self) -> &DriverName {
        &self.default_store
    }

    /// The container called `name`, which need not exist.
    pub fn get(&self, name: &str) -> Result<Container<'_>> {
        name::check(name)?;
        Ok(Container::new(self, &self.lxcpath, name))
    }

    /// The container called `name`; fails with [`ErrorKind::NotFound`] if it is not defined.
    pub fn existing(&self, name: &str) -> Result<Container<'_>> {
        let container = self.get(name)?;
        if container.is_defined() {
            return Ok(container);
        }
        container.require_readable()?;
        let text = format!(
            "there is no container {name} in {}: `hull ls` shows what is there",
            self.lxcpath.display()
        );
        Err(Error::new(ErrorKind::NotFound, text))
    }

    /// The names of all defined containers, sorted.
    pub fn list(&self) -> Result<Vec<String>> {
        let entries = match std::fs::read_dir(&self.lxcpath) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => {
                let errno = rustix::io::Errno::from_io_error(&e).unwrap_or(rustix::io::Errno::IO);
                return Err(Error::os(format!("cannot list {}", self.lxcpath.display()), errno));
            }
        };
        let mut names: Vec<String> = entries
            .filter_map(|e| e.ok()?.file_name().into_string().ok())
            .filter(|n| name::check(n).is_ok() && self.lxcpath.join(n).join("config").is_file())
            .collect();
        names.sort_unstable();
        Ok(names)
    }

    /// The names of all running containers, defined or not.
    pub fn running(&self) -> Result<BTreeSet<String>> {
        hull_ipc::discover::running(&self.lxcpath, PATIENCE).map_err(|e| {
            let errno = rustix::io::Errno::from_io_error(&e).unwrap_or(rustix::io::Errno::IO);
            Error::os("cannot read the kernel's list of sockets", errno)
        })
    }

    /// Finishes or undoes what dead commands left, Hull's and (its marker `partial`) LXC's.
    pub fn recover(&self) -> Result<Recovered> {
        let mut recovered = self.store.recover()?;
        for name in partial::leftovers(&self.lxcpath)? {
            match self.get(&name).and_then(|c| partial::remove(&c)) {
                Ok(true) => recovered.settled.push(format!("creation of {name}")),
                Ok(false) => {}
                Err(e) => recovered.failed.push(e.during("recover").with("of", &name)),
            }
        }
        Ok(recovered)
    }

    /// Settles what dead commands left before a new operation begins; what cannot be settled is a warning.
    ///
    /// To be called with the containers locked that the operation works on: a command that has one of them locked
    /// may die until then, and its half-done work is undone by whoever settles next, under the operation's feet.
    /// Called before as well, it frees names that dead commands have taken.
    pub(crate) fn settle(&self, warnings: &mut Vec<String>) {
        let failed = match self.store.recover() {
            Ok(recovered) => recovered.failed.iter().map(ToString::to_string).collect(),
            Err(e) => vec![e.to_string()],
        };
        for warning in failed {
            if !warnings.contains(&warning) {
                warnings.push(warning);
            }
        }
    }

    /// What could not be deleted after an operation that succeeded, as warnings.
    pub(crate) fn leftovers(&self) -> impl Iterator<Item = String> {
        let all = self.store.leftovers().into_iter();
        all.map(|e| format!("{e}; `hull recover` tries again"))
    }

    /// Takes LXC's own lock of a container (`<rundir>/lxc/lock/<lxcpath>/.<name>`).
    pub(crate) fn lock(&self, lxcpath: &Path, name: &str, kind: Kind) -> Result<FileLock> {
        lock_container(&self.rundir, lxcpath, name, kind, self.wait)
    }

    /// Locks the list of those who need the container in `home`.
    pub(crate) fn lock_list(&self, home: &Path) -> Result<FileLock> {
        let mut path = self.rundir.join("hull/lock/dependents");
        path.extend(home.parent().into_iter().flat_map(Path::components).skip(1));
        // Not the name itself: the locks of the container's snapshots are in a directory of that name.
        path.push(format!(".{}", home.file_name().unwrap_or_default().display()));
        let what = format!("the list of clones of {}", home.display());
        FileLock::acquire(&path, Kind::Exclusive, self.wait, &what)
    }
}

/// Takes LXC's own lock of a container (`<rundir>/lxc/lock/<lxcpath>/.<name>`), shared with whoever only reads it.
///
/// A container that is being started is locked until its monitor answers, so that it cannot be destroyed or
/// renamed between the look at its state and its start.
pub fn lock_container(rundir: &Path, lxcpath: &Path, name: &str, kind: Kind, wait: Wait) -> Result<FileLock> {
    let mut path = rundir.join("lxc/lock");
    path.extend(lxcpath.components().skip(1));
    path.push(format!(".{name}"));
    FileLock::acquire(&path, kind, wait, &format_args!("container {name}"))
}
