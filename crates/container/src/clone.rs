//! Making a container of another one: a clone where the store can, else a copy.

use std::path::{Path, PathBuf};

use hull_config::{Config, HardwareAddresses};
use hull_mount::Access;
use hull_storage::host::patch;
use hull_storage::lock::Kind;
use hull_storage::{
    CloneMode, DriverName, Error, ErrorKind, Locator, Method, Placement, Plan, Result, Still, Tie,
    Transaction, TxId, files,
};

use crate::config::{Rewrite, rewritten};
use crate::container::Container;
use crate::create::HOME_MODE;
use crate::dependents::{self, Dependent};
use crate::freeze::Live;
use crate::hooks::Occasion;
use crate::made::Made;
use crate::name;

/// How a clone shall be made.
#[derive(Clone, Debug)]
pub struct CloneRequest {
    /// The clone's name.
    pub name: String,
    /// The lxcpath it shall be in; the source's otherwise. Absolute.
    pub lxcpath: Option<PathBuf>,
    /// Whether it shall share with its source.
    pub mode: CloneMode,
    /// Its store; the source's, or the first that can, otherwise.
    pub store: Option<DriverName>,
    /// It keeps the source's host name.
    pub keep_name: bool,
    /// It keeps the source's hardware addresses.
    pub keep_mac: bool,
    /// The source may be running; it is frozen while its files are read.
    pub allow_running: bool,
    /// Further arguments for `lxc.hook.clone`.
    pub hook_args: Vec<String>,
    /// Only decide.
    pub dry_run: bool,
}

impl CloneRequest {
    /// A clone called `name`, in the same lxcpath, that shares nothing it need not.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            lxcpath: None,
            mode: CloneMode::Copy,
            store: None,
            keep_name: false,
            keep_mac: false,
            allow_running: false,
            hook_args: Vec::new(),
            dry_run: false,
        }
    }
}

/// A clone, decided.
pub(crate) struct Decided {
    pub plan: Plan,
    pub from: Option<Locator>,
    pub at: Option<Locator>,
    pub method: Option<Method>,
    pub config: Config,
}

/// Whether the source must be kept for the sake of a clone that is made so.
fn is_tied(method: Option<Method>) -> bool {
    matches!(method, Some(Method::Clone(offer)) if offer.tie == Tie::Unguarded)
}

impl Container<'_> {
    /// Makes the container `request.name` of this one: config, hooks and files beside it, and the root file
    /// system, all or nothing. The source is not altered.
    pub fn clone_to(&self, request: &CloneRequest) -> Result<Made> {
        name::check(&request.name)?;
        let lxcpath = request.lxcpath.as_deref().unwrap_or(&self.lxcpath);
        let new = Container::new(self.all, &lxcpath.components().collect::<PathBuf>(), &request.name);
        self.clone_into(&new, request, &[])
    }

    /// Makes `new` of this container, with `extra` small files beside its config.
    pub(crate) fn clone_into(
        &self,
        new: &Container<'_>,
        request: &CloneRequest,
        extra: &[(&str, Vec<u8>)],
    ) -> Result<Made> {
        let mut made = Made::new(&new.name);
        if !request.dry_run {
            self.all.settle(&mut made.warnings);
        }
        self.require_defined()?;
        // Looked at again under the lock; a copy onto itself could never get both locks.
        new.require_free()?;
        let _locks = self.lock_pair(new)?;
        if !request.dry_run {
            self.all.settle(&mut made.warnings);
        }
        self.require_defined()?;
        let live = if request.allow_running { Live::look(self)? } else { None };
        if !request.allow_running {
            self.require_stopped("copy").map_err(|e| match e.kind() {
                ErrorKind::InUse => {
                    Error::new(e.kind(), format!("{e}, or give --allow-running: then it is frozen meanwhile"))
                }
                _ => e,
            })?;
        }
        new.require_free()?;
        if request.dry_run {
            let decided = self.decide_clone(new, request, extra, TxId(0))?;
            if let Some(live) = live {
                live.foretell(&decided, &mut made);
            }
            (made.plan, made.at, made.method) = (decided.plan, decided.at, decided.method);
            return Ok(made);
        }
        // Whether the clone is tied to its sources is decided again inside; the lists are locked before.
        let sources = if self.would_be_tied(new, request)? { self.sources_of_a_clone()? } else { Vec::new() };
        let _lists = dependents::lock(self.all, &sources, &mut made.warnings)?;
        self.all.store().transact("copy", |tx| {
            let decided = self.decide_clone(new, request, extra, tx.id())?;
            made.plan = decided.plan.clone();
            (made.at, made.method) = (decided.at.clone(), decided.method);
            match (&live, &decided.from) {
                (Some(live), Some(from)) => {
                    let hold = || live.hold(from, decided.method);
                    tx.perform_still(decided.plan, &Still { volume: from, hold: &hold })?;
                    live.tell(decided.method, &mut made);
                }
                _ => tx.perform(decided.plan)?,
            }
            self.finish_clone(tx, new, made.at.as_ref(), &decided.config, request)
        })?;
        made.warnings.extend(self.all.leftovers());
        Ok(made)
    }

    /// The source shared, the clone exclusively, always in the same order.
    fn lock_pair(&self, new: &Container<'_>) -> Result<[hull_storage::lock::FileLock; 2]> {
        if new.home() < self.home() {
            let second = new.lock(Kind::Exclusive)?;
            return Ok([self.lock(Kind::Shared)?, second]);
        }
        let first = self.lock(Kind::Shared)?;
        Ok([first, new.lock(Kind::Exclusive)?])
    }

    /// Whether the clone will be tied to this container, as far as its store can tell; what else there is to say against
    /// it, [`Container::decide_clone`] says.
    fn would_be_tied(&self, new: &Container<'_>, request: &CloneRequest) -> Result<bool> {
        let Some(from) = self.rootfs_of(&self.config()?)? else { return Ok(false) };
        let to = Placement::in_home(new.home(), new.pool_name());
        let method = self.all.store().method(&from, request.store, &to, request.mode, Access::ReadWrite);
        Ok(is_tied(method.ok().map(|(_, method)| method)))
    }

    pub(crate) fn decide_clone(
        &self,
        new: &Container<'_>,
        request: &CloneRequest,
        extra: &[(&str, Vec<u8>)],
        tx: TxId,
    ) -> Result<Decided> {
        let mut plan = Plan::default();
        plan.make_home(&new.home(), HOME_MODE, None);
        let source = self.config()?;
        let mut volume = Plan::default();
        let (mut at, mut method) = (None, None);
        let from = self.rootfs_of(&source)?;
        if let Some(from) = &from {
            let to = Placement::in_home(new.home(), new.pool_name());
            let (mode, access) = (request.mode, Access::ReadWrite);
            let made = self.all.store().plan_clone(from, request.store, &to, mode, access, tx)?;
            (volume, at, method) = (made.plan, Some(made.at), made.method);
        }
        let addresses = if request.keep_mac { HardwareAddresses::Keep } else { HardwareAddresses::Renew };
        let change = Rewrite {
            old_home: &self.home(),
            new_home: &new.home(),
            rootfs: at.as_ref(),
            hostname: (!request.keep_name).then_some(request.name.as_str()),
            addresses,
        };
        let config = rewritten(source.clone(), &change)?;
        plan.add_file(&new.config_path(), config.to_text(), 0o640);
        self.copy_companions(&source, new, &mut plan)?;
        for (name, content) in extra {
            plan.add_file(&new.home().join(name), content.clone(), 0o640);
        }
        if is_tied(method) {
            dependents::record(&mut plan, new, &self.sources_of_a_clone()?)?;
        }
        plan.append(volume);
        Ok(Decided { plan, from, at, method, config })
    }

    /// Whom a clone of this container that is tied to it needs: it, and whomever it needs itself. A snapshot's
    /// parent directory is no lxcpath of running containers, but names it all the same, as LXC does.
    fn sources_of_a_clone(&self) -> Result<Vec<Dependent>> {
        let mut all = self.sources()?;
        let own = Dependent { lxcpath: self.lxcpath.clone(), name: self.name.clone() };
        if !all.contains(&own) {
            all.push(own);
        }
        Ok(all)
    }

    /// Plans copies of the files beside the config that it names: hooks, fstab.
    fn copy_companions(&self, config: &Config, new: &Container<'_>, plan: &mut Plan) -> Result<()> {
        let home = self.home();
        let named = config.settings().iter().filter(|s| {
            s.key.starts_with("lxc.hook.") || s.key == "lxc.mount.fstab" || s.key == "lxc.seccomp.profile"
        });
        for setting in named {
            let word = setting.value.split_whitespace().next().unwrap_or_default();
            let Ok(below) = Path::new(word).strip_prefix(&home) else { continue };
            let target = new.home().join(below);
            let planned = plan
                .steps
                .iter()
                .any(|s| matches!(s, hull_storage::Step::Write { file, .. } if *file == target));
            // A file in a directory of its own there would need that directory, too.
            if planned || below.components().count() != 1 {
                continue;
            }
            if let Some(content) = files::read(&home.join(below))? {
                let mode = rustix::fs::stat(home.join(below)).map_or(0o640, |s| s.st_mode & 0o7777);
                plan.add_file(&target, content, mode);
            }
        }
        Ok(())
    }

    /// What happens inside the clone before it counts as made.
    fn finish_clone(
        &self,
        tx: &mut Transaction<'_>,
        new: &Container<'_>,
        at: Option<&Locator>,
        config: &Config,
        request: &CloneRequest,
    ) -> Result<()> {
        let occasion = Occasion {
            container: new,
            config,
            kind: "clone",
            source: Some(&self.name),
            args: &request.hook_args,
        };
        let Some(at) = at else { return occasion.run(None) };
        if request.keep_name && !occasion.is_awaited() {
            return Ok(());
        }
        let name = format!("{}\n", request.name);
        // Mounting some volumes takes longer than making them.
        let written = !occasion.is_awaited()
            && self.all.store().overwrite_unmounted(at, "etc", "hostname", name.as_bytes())?;
        if written {
            return self.all.store().persist(at);
        }
        let volume = self.all.store().activate_to_fill(at)?;
        if !request.keep_name {
            patch::overwrite_and(&volume, "etc", "hostname", name.as_bytes(), || tx.seal())?;
        }
        if occasion.is_awaited() {
            occasion.run_mounted(&volume)?;
        }
        drop(volume);
        self.all.store().persist(at)
    }

    /// What the volume is called in a store with a pool: names there are shared by all containers, so a
    /// snapshot's carries its container's.
    pub(crate) fn pool_name(&self) -> String {
        let parent = self.lxcpath.file_name().and_then(|n| n.to_str());
        match (parent, self.lxcpath.parent().and_then(Path::file_name).and_then(|n| n.to_str())) {
            (Some("snaps"), Some(owner)) => format!("{owner}-{}", self.name),
            _ => self.name.clone(),
        }
    }
}
