//! What the commands take from their surroundings: the one place that reads environment variables, the
//! user's home, and LXC's global file `lxc.conf`.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use hull_storage::{Durability, Settings};

use crate::errors::{Failure, reason};

/// The keys of `lxc.conf`, in the order `lxc-config -l` prints them.
pub(crate) const GLOBAL_KEYS: [&str; 7] = [
    "lxc.default_config",
    "lxc.lxcpath",
    "lxc.bdev.lvm.vg",
    "lxc.bdev.lvm.thin_pool",
    "lxc.bdev.zfs.root",
    "lxc.cgroup.use",
    "lxc.cgroup.pattern",
];

/// What stores are told besides, from `lxc.conf`, too: LXC's keys that it does not list, and Hull's own.
const STORE_KEYS: [&str; 5] = [
    "lxc.bdev.rbd.rbdpool",
    "lxc.bdev.rbd.rbduser",
    "hull.volume.size",
    "hull.volume.fstype",
    "hull.zfs.backend",
];

/// More of `lxc.conf` is not read.
const LARGEST_FILE: u64 = 1 << 20;

/// Where this process runs, and for whom.
#[derive(Debug, Clone)]
pub(crate) struct Environment {
    privileged: bool,
    home: PathBuf,
    xdg_state: Option<PathBuf>,
    xdg_runtime: Option<PathBuf>,
    monitor: Option<PathBuf>,
    program: PathBuf,
    globals: Vec<(String, String)>,
}

impl Environment {
    /// Reads it all. Fails when `lxc.conf` is there but cannot be read.
    pub(crate) fn read() -> Result<Self, Failure> {
        let path = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let mut environment = Self {
            privileged: rustix::process::geteuid().is_root(),
            home: path("HOME").unwrap_or_else(|| PathBuf::from("/")),
            xdg_state: path("XDG_STATE_HOME").filter(|p| p.is_absolute()),
            xdg_runtime: path("XDG_RUNTIME_DIR").filter(|p| p.is_absolute()),
            monitor: path("HULL_MONITOR"),
            program: std::env::current_exe().and_then(|p| p.canonicalize()).unwrap_or_default(),
            globals: Vec::new(),
        };
        environment.globals = read_globals(&environment.config_dir().join("lxc.conf"))?;
        Ok(environment)
    }

    /// Whether the caller is root here.
    pub(crate) fn privileged(&self) -> bool {
        self.privileged
    }

    /// The value of a key of `lxc.conf`, or LXC's default. `None` for `lxc.cgroup.*` that is not set.
    pub(crate) fn global(&self, key: &str) -> Option<String> {
        // LXC takes the first line.
        if let Some((_, value)) = self.globals.iter().find(|(k, _)| k == key) {
            return Some(value.clone());
        }
        let path = |p: PathBuf| Some(p.to_string_lossy().into_owned());
        match key {
            "lxc.default_config" => path(self.config_dir().join("default.conf")),
            "lxc.lxcpath" if self.privileged => Some("/var/lib/lxc".into()),
            "lxc.lxcpath" => path(self.home.join(".local/share/lxc")),
            "lxc.bdev.lvm.vg" | "lxc.bdev.lvm.thin_pool" | "lxc.bdev.zfs.root" | "lxc.bdev.rbd.rbdpool" => {
                Some("lxc".into())
            }
            _ => None,
        }
    }

    /// Where containers are kept unless the command line says otherwise.
    pub(crate) fn lxcpath(&self) -> PathBuf {
        PathBuf::from(self.global("lxc.lxcpath").unwrap_or_default())
    }

    /// The configuration new containers begin with, if there is one.
    pub(crate) fn default_config(&self) -> Option<PathBuf> {
        self.global("lxc.default_config").map(PathBuf::from).filter(|p| p.exists())
    }

    /// What storage drivers may want to know.
    pub(crate) fn settings(&self) -> Settings {
        let keys = GLOBAL_KEYS.iter().copied().filter(|key| key.starts_with("lxc.bdev."));
        keys.chain(STORE_KEYS)
            .filter_map(|key| Some((key, self.global(key)?)))
            .fold(Settings::default(), |settings, (key, value)| settings.with(key, value))
    }

    /// The part of [`Environment::settings`] that `lxc.conf` itself has.
    pub(crate) fn store_settings(&self) -> Settings {
        let written = |key: &str| self.globals.iter().any(|(k, _)| k == key);
        let all = self.settings();
        all.pairs().filter(|(key, _)| written(key)).fold(Settings::default(), |s, (k, v)| s.with(k, v))
    }

    /// What operations survive: `hull.durability` is `crash` (the end of a process) unless it says `power`.
    pub(crate) fn durability(&self) -> Result<Durability, Failure> {
        match self.global("hull.durability").as_deref() {
            None | Some("crash") => Ok(Durability::Crash),
            Some("power") => Ok(Durability::Power),
            Some(other) => Err(Failure::new(format!(
                "lxc.conf: hull.durability is {other:?}; it can be crash (operations survive the end of any process) \
                 or power (they survive power cuts, and each step is synced)"
            ))),
        }
    }

    /// Where locks lie, by LXC's rule: `/run` for its owner or its owner's group, else the user's own.
    pub(crate) fn rundir(&self) -> PathBuf {
        let owned = std::fs::metadata("/run").is_ok_and(|run| {
            run.uid() == rustix::process::geteuid().as_raw()
                || run.gid() == rustix::process::getegid().as_raw()
        });
        match (owned, &self.xdg_runtime) {
            (true, _) => PathBuf::from("/run"),
            (false, Some(dir)) => dir.clone(),
            (false, None) => self.home.join(".cache/lxc/run"),
        }
    }

    /// Where the journal of volumes without containers lies.
    pub(crate) fn state_dir(&self) -> PathBuf {
        match &self.xdg_state {
            _ if self.privileged => PathBuf::from("/var/lib/hull"),
            Some(dir) => dir.join("hull"),
            None => self.home.join(".local/state/hull"),
        }
    }

    /// The program that supervises a container: `HULL_MONITOR`, else `../libexec/hull/hull-monitor` as seen
    /// from this program, else `hull-monitor` beside it.
    pub(crate) fn monitor(&self) -> Result<PathBuf, Failure> {
        if let Some(path) = &self.monitor {
            return match path.is_file() {
                true => Ok(path.clone()),
                false => Err(Failure::new(format!(
                    "HULL_MONITOR names {}, which is no file: unset it or correct it",
                    path.display()
                ))),
            };
        }
        let candidates = [self.beside("../libexec/hull/hull-monitor"), self.beside("hull-monitor")];
        candidates.iter().find(|p| p.is_file()).cloned().ok_or_else(|| {
            Failure::new(format!(
                "hull-monitor is neither {} nor {}: install Hull whole, or name it in HULL_MONITOR",
                candidates[0].display(),
                candidates[1].display()
            ))
        })
    }

    /// Where templates are sought, best first.
    pub(crate) fn template_dirs(&self) -> [PathBuf; 2] {
        [self.beside("../share/hull/templates"), PathBuf::from("/usr/share/lxc/templates")]
    }

    /// The template `wanted`: an absolute path, or what follows `lxc-` in the name of an installed one.
    pub(crate) fn template(&self, wanted: &str) -> Result<PathBuf, Failure> {
        let found = |p: &PathBuf| p.is_file();
        if wanted.contains('/') {
            let path = PathBuf::from(wanted);
            return match (path.is_absolute(), found(&path)) {
                (true, true) => Ok(path),
                (true, false) => Err(Failure::new(format!("there is no template at {wanted}"))),
                (false, _) => Err(Failure::new(format!(
                    "the template {wanted:?} is neither a name nor an absolute path"
                ))),
            };
        }
        let dirs = self.template_dirs();
        let leaf = format!("lxc-{wanted}");
        dirs.iter().map(|dir| dir.join(&leaf)).find(found).ok_or_else(|| {
            let [own, lxc] = dirs.map(|d| d.display().to_string());
            Failure::new(format!(
                "there is no template called {wanted:?}: {leaf} is neither in {own} nor in {lxc}"
            ))
        })
    }

    /// A path relative to the directory of this program, without its `..`.
    fn beside(&self, relative: &str) -> PathBuf {
        let mut path = self.program.parent().unwrap_or(Path::new("/")).to_path_buf();
        for part in Path::new(relative).components() {
            match part {
                std::path::Component::ParentDir => drop(path.pop()),
                other => path.push(other),
            }
        }
        path
    }

    fn config_dir(&self) -> PathBuf {
        match self.privileged {
            true => PathBuf::from("/etc/lxc"),
            false => self.home.join(".config/lxc"),
        }
    }
}

/// The assignments in `lxc.conf`; none when it does not exist.
fn read_globals(path: &Path) -> Result<Vec<(String, String)>, Failure> {
    use std::io::Read;
    let mut text = Vec::new();
    match std::fs::File::open(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(Failure::io("read", path, &e)),
        Ok(file) => file
            .take(LARGEST_FILE)
            .read_to_end(&mut text)
            .map_err(|e| Failure::new(format!("cannot read {}: {}", path.display(), reason(&e))))?,
    };
    Ok(parse_globals(&String::from_utf8_lossy(&text)))
}

fn parse_globals(text: &str) -> Vec<(String, String)> {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()))
        .filter(|(_, value)| !value.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(privileged: bool, conf: &str) -> Environment {
        Environment {
            privileged,
            home: "/home/u".into(),
            xdg_state: None,
            xdg_runtime: None,
            monitor: None,
            program: "/opt/hull/bin/hull".into(),
            globals: parse_globals(conf),
        }
    }

    #[test]
    fn lxcs_defaults_and_its_global_file() {
        let root = environment(true, "");
        assert_eq!(root.lxcpath(), Path::new("/var/lib/lxc"));
        assert_eq!(root.global("lxc.default_config").as_deref(), Some("/etc/lxc/default.conf"));
        assert_eq!(root.state_dir(), Path::new("/var/lib/hull"));
        assert_eq!(root.global("lxc.cgroup.use"), None);
        let user = environment(false, "");
        assert_eq!(user.lxcpath(), Path::new("/home/u/.local/share/lxc"));
        assert_eq!(user.state_dir(), Path::new("/home/u/.local/state/hull"));
        let set = environment(
            true,
            "# lxc.lxcpath = /no\n lxc.lxcpath=/srv/c \nlxc.lxcpath = /later\nlxc.cgroup.use =\n",
        );
        assert_eq!(set.lxcpath(), Path::new("/srv/c"));
        assert_eq!(set.global("lxc.cgroup.use"), None);
        assert_eq!(set.settings().get("lxc.bdev.zfs.root"), Some("lxc"));
        assert_eq!(set.settings().get("lxc.lxcpath"), None, "stores need not know");
        let sized = environment(true, "lxc.bdev.lvm.vg = vg0\nhull.volume.size = 10G\n").settings();
        assert_eq!((sized.get("lxc.bdev.lvm.vg"), sized.get("hull.volume.size")), (Some("vg0"), Some("10G")));
        assert_eq!(sized.get("hull.volume.fstype"), None);
        for (text, durability) in [
            ("", Durability::Crash),
            ("hull.durability = crash\n", Durability::Crash),
            ("hull.durability = power\n", Durability::Power),
        ] {
            assert_eq!(environment(true, text).durability().expect("it is one of them"), durability);
        }
        let wrong = environment(true, "hull.durability = sync\n").durability().unwrap_err();
        assert!(wrong.to_string().contains("hull.durability is \"sync\""), "{wrong}");
    }

    #[test]
    fn templates_are_names_or_absolute_paths() {
        let root = environment(true, "");
        assert_eq!(root.template_dirs()[0], Path::new("/opt/hull/share/hull/templates"));
        for wrong in ["no-such-template", "rel/path", "/no/such/template", "", "../x"] {
            assert!(root.template(wrong).is_err(), "{wrong}");
        }
    }
}
