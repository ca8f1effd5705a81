//! Making a container.

use std::path::{Path, PathBuf};

use hull_config::Config;
use hull_mount::{Access, DetachedMount, MountSource};
use hull_storage::lock::Kind;
use hull_storage::{
    CloneMode, Content as Source, DriverName, Error, ErrorKind, Locator, Method, Placement, Plan, Result,
    TxId, VolumeSpec, files,
};

use crate::config::{failed, set_rootfs};
use crate::container::Container;
use crate::made::Made;
use crate::partial;
use crate::template::Template;

/// What fills the root file system.
#[derive(Clone, Debug, Default)]
pub enum Content {
    /// There is no root file system: the container shares the host's, or its config names one.
    #[default]
    None,
    /// It stays empty.
    Empty,
    /// An archive that GNU tar can read.
    Archive(PathBuf),
    /// A template.
    Template(Template),
}

/// How a container shall be made.
#[derive(Clone, Debug, Default)]
pub struct CreateRequest {
    /// The config to start from; must exist.
    pub config: Option<PathBuf>,
    /// The config to start from otherwise, if it exists (`lxc.default_config`).
    pub default_config: Option<PathBuf>,
    /// The stores to try, in order; the default store if none is named.
    pub stores: Vec<DriverName>,
    /// Exactly where the root file system shall be, outside the container's directory; absolute.
    pub exactly: Option<PathBuf>,
    /// What the volume is called in a store whose volumes lie in a pool; as the container otherwise.
    pub volume_name: Option<String>,
    /// What the volume shall be like.
    pub spec: VolumeSpec,
    /// What fills it.
    pub content: Content,
    /// Only decide.
    pub dry_run: bool,
}

/// The mode of a container's directory, as LXC makes it: others must not reach its setuid files.
pub(crate) const HOME_MODE: u32 = 0o770;

impl Container<'_> {
    /// Makes the container: directory, config, root file system, all or nothing.
    ///
    /// Fails with [`ErrorKind::AlreadyExists`] when the name is taken.
    pub fn create(&self, request: &CreateRequest) -> Result<Made> {
        let mut made = Made::new(&self.name);
        let _lock = self.lock(Kind::Exclusive)?;
        if !request.dry_run {
            self.all.settle(&mut made.warnings);
            if partial::is_leftover(self)? {
                partial::remove_locked(self)?;
                made.warnings.push(format!("removed what an interrupted creation of {} had left", self.name));
            }
        }
        self.require_free()?;
        let config = self.starting_config(request)?;
        if let Content::Archive(archive) = &request.content
            && !archive.is_file()
        {
            let text = format!("there is no archive {}", archive.display());
            return Err(Error::new(ErrorKind::NotFound, text));
        }
        if request.dry_run {
            let (plan, at) = self.plan_base(request, &config, TxId(0))?;
            made.plan = plan;
            made.at = at;
            return Ok(made);
        }
        make_lxcpath(&self.lxcpath)?;
        let base = self.all.store().transact("create", |tx| {
            let (plan, base) = self.plan_base(request, &config, tx.id())?;
            made.plan = plan.clone();
            tx.perform(plan)?;
            if let Some(base) = &base {
                self.fill(request, base)?;
                self.all.store().persist(base)?;
            }
            // A store that only records changes gets them on top of what was filled.
            let over = self.plan_over(request, base.as_ref(), tx.id())?;
            if let Some((plan, at)) = over {
                made.plan.steps.extend(plan.steps.clone());
                tx.perform(plan)?;
                return Ok(Some(at));
            }
            Ok(base)
        })?;
        made.warnings.extend(self.all.leftovers());
        made.at = base;
        Ok(made)
    }

    fn starting_config(&self, request: &CreateRequest) -> Result<Config> {
        let default = request.default_config.as_ref().filter(|p| p.exists());
        let mut config = match request.config.as_ref().or(default) {
            Some(path) => Config::load(path).map_err(failed)?,
            None => Config::empty(),
        };
        config.set_origin(&self.config_path());
        config.randomise_hwaddr(hull_config::HardwareAddresses::Keep).map_err(failed)?;
        if config.value("lxc.uts.name").is_none_or(str::is_empty) {
            config.set("lxc.uts.name", &self.name).map_err(failed)?;
        }
        Ok(config)
    }

    /// Plans the directory, a volume that can be filled, and the config. Returns where the volume will be.
    fn plan_base(
        &self,
        request: &CreateRequest,
        config: &Config,
        tx: TxId,
    ) -> Result<(Plan, Option<Locator>)> {
        let home = self.home();
        let mut plan = Plan::default();
        plan.make_home(&home, HOME_MODE, None);
        if matches!(request.content, Content::None) {
            plan.add_file(&self.config_path(), config.to_text(), 0o640);
            return Ok((plan, self.rootfs_of(config)?));
        }
        let to = self.placement(request)?;
        let mut refused = None;
        for &store in self.stores(request) {
            let driver = self.all.store().driver(store)?;
            let store = if driver.capabilities().standalone { store } else { self.all.default_store() };
            let mut attempt = plan.clone();
            match attempt.make(self.all.store().driver(store)?, &to, Source::Empty(&request.spec), tx) {
                Ok(at) => {
                    let mut config = config.clone();
                    set_rootfs(&mut config, &at)?;
                    if self.all.store().driver(store)?.capabilities().idmapped_mounts {
                        map_owners(&mut config)?;
                    }
                    attempt.add_file(&self.config_path(), config.to_text(), 0o640);
                    return Ok((attempt, Some(at)));
                }
                Err(e) => refused = Some(e),
            }
        }
        Err(refused.unwrap_or_else(|| Error::new(ErrorKind::InvalidInput, "no store was named")))
    }

    /// Plans the volume on top of `base` where the store asked for needs one.
    fn plan_over(
        &self,
        request: &CreateRequest,
        base: Option<&Locator>,
        tx: TxId,
    ) -> Result<Option<(Plan, Locator)>> {
        let (Some(base), [store, ..]) = (base, self.stores(request)) else { return Ok(None) };
        let driver = self.all.store().driver(*store)?;
        if driver.capabilities().standalone {
            return Ok(None);
        }
        let to = self.usual_placement(request);
        let (mode, access) = (CloneMode::Snapshot, Access::ReadWrite);
        let (driver, method) = self.all.store().method(base, Some(*store), &to, mode, access)?;
        let mut plan = Plan::default();
        let at = plan.make(
            driver,
            &to,
            Source::Of {
                from: hull_storage::Source { driver: self.all.store().driver(base.driver())?, at: base },
                method,
                access,
            },
            tx,
        )?;
        // The template may have written to it.
        let mut config = self.config()?;
        let old = files::read(&self.config_path())?;
        set_rootfs(&mut config, &at)?;
        plan.write(&self.config_path(), old, Some(config.to_text()));
        debug_assert!(matches!(method, Method::Clone(_)));
        Ok(Some((plan, at)))
    }

    fn stores<'r>(&'r self, request: &'r CreateRequest) -> &'r [DriverName] {
        match &request.stores[..] {
            [] => std::slice::from_ref(self.all.default_store_ref()),
            named => named,
        }
    }

    fn usual_placement(&self, request: &CreateRequest) -> Placement {
        let name = request.volume_name.as_ref().unwrap_or(&self.name);
        Placement::in_home(self.home(), name)
    }

    fn placement(&self, request: &CreateRequest) -> Result<Placement> {
        let Some(path) = &request.exactly else { return Ok(self.usual_placement(request)) };
        let refuse = |why: &str| Error::new(ErrorKind::InvalidInput, format!("{} {why}", path.display()));
        if !path.is_absolute() {
            return Err(refuse("is not an absolute path"));
        }
        Placement::exactly(path).ok_or_else(|| refuse("has no last component to be made"))
    }

    fn fill(&self, request: &CreateRequest, base: &Locator) -> Result<()> {
        let template = match &request.content {
            Content::None | Content::Empty => return Ok(()),
            Content::Archive(archive) => {
                return self.mounted(base, |rootfs| crate::archive::unpack(archive, rootfs));
            }
            Content::Template(template) => template,
        };
        self.mounted(base, |rootfs| template.run(&self.home(), &self.name, rootfs))?;
        // What it wrote must be a configuration, or nothing could be done with the container.
        self.config().map(drop)
    }

    /// Runs `work` with the path at which the volume can be seen, by it alone where it must be mounted.
    fn mounted<T: Send>(&self, at: &Locator, work: impl FnOnce(&Path) -> Result<T> + Send) -> Result<T> {
        let volume = self.all.store().activate_to_fill(at)?;
        if let MountSource::Tree(path) = &volume.plan.source {
            return work(path);
        }
        let mount = DetachedMount::build(&volume.plan, None)?;
        let point = self.home().join("rootfs");
        if !files::is_dir(&point) {
            files::make_dir(&point, 0o755, None)?;
        }
        hull_sys::private::with_private_mounts(|| {
            let _guard = mount.attach(rustix::fs::CWD, &point)?;
            work(&point)
        })?
    }
}

/// A container with its own users gets its root file system mapped to them, as what fills it belongs to the host's:
/// nothing is to be given away file by file.
fn map_owners(config: &mut Config) -> Result<()> {
    const KEY: &str = "lxc.rootfs.options";
    let options = config.value(KEY).unwrap_or_default().to_owned();
    if config.id_maps().map_err(failed)?.is_empty()
        || options.split(',').any(|o| o.trim().starts_with("idmap="))
    {
        return Ok(());
    }
    let comma = if options.is_empty() { "" } else { "," };
    config.set(KEY, &format!("{options}{comma}idmap=container")).map_err(failed)
}

/// Makes the lxcpath if it is missing; others may pass through it to what they are shown.
fn make_lxcpath(lxcpath: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o755).create(lxcpath).map_err(|e| {
        let errno = rustix::io::Errno::from_io_error(&e).unwrap_or(rustix::io::Errno::IO);
        Error::os(format!("cannot make the lxcpath {}", lxcpath.display()), errno)
    })
}
