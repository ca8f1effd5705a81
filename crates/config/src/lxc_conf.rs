//! The tools' own settings: `/etc/lxc/lxc.conf` or `~/.config/lxc/lxc.conf`.

use std::path::{Path, PathBuf};

use crate::error::{Error, Fault, Result};
use crate::include::{LARGEST_FILE, read_file};
use crate::keys::nearest;

/// The keys `lxc-config -l` lists, in its order.
pub const LISTED_KEYS: [&str; 7] = [
    "lxc.default_config",
    "lxc.lxcpath",
    "lxc.bdev.lvm.vg",
    "lxc.bdev.lvm.thin_pool",
    "lxc.bdev.zfs.root",
    "lxc.cgroup.use",
    "lxc.cgroup.pattern",
];

/// The keys LXC knows besides.
const UNLISTED_KEYS: [&str; 2] = ["lxc.bdev.rbd.rbdpool", "lxc.bdev.rbd.rbduser"];

/// Whose settings they are. The caller knows; nothing here asks the environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner {
    /// The superuser.
    Root,
    /// A user with this home directory.
    User {
        /// The home directory.
        home: PathBuf,
    },
}

/// The tools' own settings.
#[derive(Debug, Clone)]
pub struct LxcConf {
    owner: Owner,
    set: Vec<(&'static str, String)>,
}

impl Owner {
    /// Root for user id 0, otherwise the user with this home directory.
    pub fn new(uid: u32, home: &Path) -> Self {
        if uid == 0 { Self::Root } else { Self::User { home: home.to_owned() } }
    }

    /// The file the settings stand in.
    pub fn file(&self) -> PathBuf {
        match self {
            Self::Root => "/etc/lxc/lxc.conf".into(),
            Self::User { home } => home.join(".config/lxc/lxc.conf"),
        }
    }
}

impl LxcConf {
    /// The settings of someone who has no file.
    pub fn defaults(owner: Owner) -> Self {
        Self { owner, set: Vec::new() }
    }

    /// Reads the owner's file; where there is none, the defaults hold.
    pub fn load(owner: Owner) -> Result<Self> {
        let file = owner.file();
        match read_file(&file) {
            Ok(text) => Self::parse(&text, &file, owner),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::defaults(owner)),
            Err(error) => Err(Error::new(
                &file,
                Fault::new(
                    format!(
                        "cannot read it: {}",
                        error.to_string().split(" (os error").next().unwrap_or_default()
                    ),
                    "make it a readable file or remove it",
                ),
            )),
        }
    }

    /// Reads a text. The first line of a key counts, as in LXC; lines of unknown keys are passed over, for
    /// the file is shared with whatever version of LXC is installed. Quotes are part of a value.
    pub fn parse(text: &[u8], file: &Path, owner: Owner) -> Result<Self> {
        if text.len() as u64 > LARGEST_FILE {
            return Err(Error::new(file, Fault::new("the file is larger than 1 MiB", "shorten it")));
        }
        let mut set: Vec<(&'static str, String)> = Vec::new();
        for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
            let line = line.trim_ascii();
            if !line.starts_with(b"lxc.") {
                continue;
            }
            let at = |fault| Error::new(file, fault).at(index + 1);
            let Ok(line) = std::str::from_utf8(line) else {
                return Err(at(Fault::new("the line is not valid UTF-8", "write the file in UTF-8")));
            };
            let Some((key, value)) = line.split_once('=') else {
                return Err(at(Fault::new(
                    format!("{} has no \"=\"", crate::error::quoted(line)),
                    "write \"key = value\"",
                )));
            };
            let (key, value) = (key.trim(), value.trim());
            let Some(key) = Self::known(key) else { continue };
            if key == "lxc.lxcpath" && !value.starts_with('/') {
                return Err(at(Fault::new(
                    format!("{} is not an absolute path", crate::error::quoted(value)),
                    "write the path from / on",
                ))
                .key(key));
            }
            if !set.iter().any(|(known, _)| *known == key) {
                set.push((key, value.to_owned()));
            }
        }
        Ok(Self { owner, set })
    }

    /// The value of a key, or its default. `None` when it has neither.
    ///
    /// Fails when there is no such key.
    pub fn get(&self, key: &str) -> Result<Option<String>> {
        let Some(key) = Self::known(key) else {
            let all = LISTED_KEYS.into_iter().chain(UNLISTED_KEYS);
            let cut: String = key.chars().take(64).collect();
            let fault =
                Fault::new("no such key", format!("{} is the closest Hull knows", nearest(&cut, all)));
            return Err(Error::new(&self.owner.file(), fault).key(key));
        };
        let set = self.set.iter().find(|(known, _)| *known == key).map(|(_, value)| value.clone());
        Ok(set.or_else(|| self.default(key)))
    }

    /// Where containers are, without trailing slashes.
    pub fn lxcpath(&self) -> PathBuf {
        let path = self.known_value("lxc.lxcpath");
        let trimmed = path.trim_end_matches('/');
        if trimmed.is_empty() { "/".into() } else { trimmed.into() }
    }

    /// The configuration a new container starts from.
    pub fn default_config(&self) -> PathBuf {
        self.known_value("lxc.default_config").into()
    }

    fn known_value(&self, key: &'static str) -> String {
        let set = self.set.iter().find(|(known, _)| *known == key).map(|(_, value)| value.clone());
        set.or_else(|| self.default(key)).unwrap_or_default()
    }

    fn known(key: &str) -> Option<&'static str> {
        LISTED_KEYS.into_iter().chain(UNLISTED_KEYS).find(|known| *known == key)
    }

    fn default(&self, key: &str) -> Option<String> {
        let path = |root: &str, user: &str| match &self.owner {
            Owner::Root => root.to_owned(),
            Owner::User { home } => home.join(user).to_string_lossy().into_owned(),
        };
        match key {
            "lxc.default_config" => Some(path("/etc/lxc/default.conf", ".config/lxc/default.conf")),
            "lxc.lxcpath" => Some(path("/var/lib/lxc", ".local/share/lxc")),
            "lxc.bdev.lvm.vg" | "lxc.bdev.lvm.thin_pool" | "lxc.bdev.zfs.root" | "lxc.bdev.rbd.rbdpool" => {
                Some("lxc".to_owned())
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<LxcConf> {
        LxcConf::parse(text.as_bytes(), "/etc/lxc/lxc.conf".as_ref(), Owner::Root)
    }

    #[test]
    fn defaults_differ_for_users() {
        let root = LxcConf::defaults(Owner::new(0, "/root".as_ref()));
        assert_eq!(root.lxcpath(), Path::new("/var/lib/lxc"));
        let user = LxcConf::defaults(Owner::new(1000, "/home/u".as_ref()));
        assert_eq!(user.lxcpath(), Path::new("/home/u/.local/share/lxc"));
        assert_eq!(user.default_config(), Path::new("/home/u/.config/lxc/default.conf"));
        assert_eq!(user.get("lxc.cgroup.use"), Ok(None));
        assert_eq!(user.get("lxc.bdev.zfs.root").unwrap().as_deref(), Some("lxc"));
    }

    #[test]
    fn first_line_counts_and_quotes_stay() {
        let conf = parse(" lxc.lxcpath = /x y/ \nlxc.lxcpath=/z\n#lxc.bdev.lvm.vg=3\nlxc.bdev.zfs.root=\"q\"\nlxc.new=1\nfoo lxc.cgroup.use = 4\n").unwrap();
        assert_eq!(conf.lxcpath(), Path::new("/x y"));
        assert_eq!(conf.get("lxc.bdev.zfs.root").unwrap().as_deref(), Some("\"q\""));
        assert_eq!(conf.get("lxc.bdev.lvm.vg").unwrap().as_deref(), Some("lxc"));
        assert_eq!(conf.get("lxc.cgroup.use"), Ok(None));
    }

    #[test]
    fn faults_take_one_line() {
        for (text, part) in [("\nlxc.lxcpath\n", ":2: "), ("lxc.lxcpath = a\n", ":1: lxc.lxcpath: ")] {
            let message = parse(text).unwrap_err().to_string();
            assert!(message.contains(part) && !message.contains('\n'), "{message}");
        }
        let message = parse("").unwrap().get("lxc.lxcpat").unwrap_err().to_string();
        assert!(message.contains("lxc.lxcpath is the closest"), "{message}");
    }
}
