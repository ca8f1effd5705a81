//! The hooks that run outside a running container: `lxc.hook.clone` and `lxc.hook.destroy`.

use std::path::Path;
use std::process::{Command, Stdio};

use hull_config::Config;
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
        let version = self.config.number("lxc.hook.version", 0).map_err(crate::config::failed)?;
        let name = &self.container.name;
        let mut words = vec!["exec".to_owned(), hook.to_owned()];
        if version == 0 {
            words.extend([name.as_str(), "lxc", self.kind].map(quote));
        }
        words.extend(self.args.iter().map(|a| quote(a)));
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(words.join(" ")).stdin(Stdio::null());
        command
            .env("LXC_NAME", name)
            .env("LXC_CONFIG_FILE", self.container.config_path())
            .env("LXC_HOOK_VERSION", version.to_string())
            .env("LXC_LOG_LEVEL", "ERROR")
            .env("LXC_CGNS_AWARE", "1");
        if version > 0 {
            command.env("LXC_HOOK_TYPE", self.kind).env("LXC_HOOK_SECTION", "lxc");
        }
        if let Some(path) = self.config.rootfs_path() {
            command.env("LXC_ROOTFS_PATH", path.path());
        }
        if let Some(rootfs) = rootfs {
            command.env("LXC_ROOTFS_MOUNT", rootfs);
        }
        if let Some(source) = self.source {
            command.env("LXC_SRC_NAME", source);
        }
        let output = command.output().map_err(|e| {
            Error::new(ErrorKind::ToolFailed, format!("cannot run the {} hook {hook}", self.kind)).because(e)
        })?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let first = said.lines().next().unwrap_or("it said nothing").to_owned();
        let text = format!("the {} hook {hook} of {name} failed: {} ({first})", self.kind, output.status);
        Err(Error::new(ErrorKind::ToolFailed, text))
    }
}

/// `word` as one word of a shell: single quotes keep everything but themselves.
fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn words_stay_words() {
        assert_eq!(super::quote("a b"), "'a b'");
        assert_eq!(super::quote("it's; rm"), r"'it'\''s; rm'");
    }
}
