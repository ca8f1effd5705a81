//! The hooks that run outside a running container: `lxc.hook.clone` and `lxc.hook.destroy`.

use std::path::Path;

use hull_config::Config;
use hull_hooks::Hook;
use hull_mount::{DetachedMount, MountSource};
use hull_storage::{Activation, Error, ErrorKind, Result};

use crate::container::Container;

/// What a hook is told.
pub(crate) struct Occasion<'a> {
    pub container: &'a Container<'a>,
    pub config: &'a Config,
    /// `clone` or `destroy`.
    pub kind: &'static str,
    /// The name of the clone's source.
    pub source: Option<&'a str>,
    /// Further arguments from the command line.
    pub args: &'a [String],
}

impl Occasion<'_> {
    /// Whether there is any hook to run.
    pub(crate) fn is_awaited(&self) -> bool {
        self.config.hooks(self.kind).next().is_some()
    }

    /// Runs the hooks in turn, the root file system mounted for them alone. The first that fails ends it.
    pub(crate) fn run_mounted(&self, volume: &Activation) -> Result<()> {
        if let MountSource::Tree(path) = &volume.plan.source {
            return self.run(Some(path));
        }
        let mount = DetachedMount::build(&volume.plan, None)?;
        // LXC, too, mounts stores that are not directories there.
        let point = self.container.home().join("rootfs");
        if !hull_storage::files::is_dir(&point) {
            hull_storage::files::make_dir(&point, 0o755, None)?;
        }
        hull_sys::private::with_private_mounts(|| {
            let _guard = mount.attach(rustix::fs::CWD, &point)?;
            self.run(Some(&point))
        })?
    }

    /// Runs the hooks in turn. The first that fails ends it.
    pub(crate) fn run(&self, rootfs: Option<&Path>) -> Result<()> {
        self.config.hooks(self.kind).try_for_each(|hook| self.run_one(hook, rootfs))
    }

    fn run_one(&self, hook: &str, rootfs: Option<&Path>) -> Result<()> {
        let mut environment = vec![
            ("LXC_NAME", self.container.name.clone().into()),
            ("LXC_CONFIG_FILE", self.container.config_path().into()),
            ("LXC_LOG_LEVEL", "ERROR".into()),
            ("LXC_CGNS_AWARE", "1".into()),
        ];
        environment.extend(self.config.rootfs_path().map(|p| ("LXC_ROOTFS_PATH", p.path().into())));
        environment.extend(rootfs.map(|p| ("LXC_ROOTFS_MOUNT", p.into())));
        environment.extend(self.source.map(|s| ("LXC_SRC_NAME", s.into())));
        let hook = Hook {
            command: hook,
            moment: self.kind,
            container: &self.container.name,
            version: u32::from(self.config.flag("lxc.hook.version", false)),
            environment,
            arguments: self.args,
        };
        hook.run().map(drop).map_err(|why| Error::new(ErrorKind::ToolFailed, why))
    }
}
