//! The options of `lxc-create` that say what a volume shall be like: of which pool, how large, with which file system.

use hull_storage::{Settings, VolumeSpec};

use crate::errors::Failure;
use crate::sizes;

/// What an option sets.
#[derive(Debug, Clone, Copy)]
enum Sets {
    /// A key of `lxc.conf`, for this command.
    Setting(&'static str),
    /// The volume's name in its pool.
    Name,
    /// Its file system.
    FileSystem,
    /// Its size.
    Size,
}

/// The options, the kinds of store (LXC's words) each is for, and what it sets.
const OPTIONS: [(&str, &[&str], Sets); 9] = [
    ("lvname", &["lvm"], Sets::Name),
    ("vgname", &["lvm"], Sets::Setting("lxc.bdev.lvm.vg")),
    ("thinpool", &["lvm"], Sets::Setting("lxc.bdev.lvm.thin_pool")),
    ("zfsroot", &["zfs"], Sets::Setting("lxc.bdev.zfs.root")),
    ("rbdname", &["rbd"], Sets::Name),
    ("rbdpool", &["rbd"], Sets::Setting("lxc.bdev.rbd.rbdpool")),
    ("rbduser", &["rbd"], Sets::Setting("lxc.bdev.rbd.rbduser")),
    ("fstype", &["lvm", "loop", "rbd"], Sets::FileSystem),
    ("fssize", &["lvm", "loop", "rbd"], Sets::Size),
];

/// What the options ask for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    /// What stores are told on top of `lxc.conf`.
    pub(super) settings: Vec<(&'static str, String)>,
    /// The volume's name in its pool, if not the container's.
    pub(super) name: Option<String>,
    /// Size and file system.
    pub(super) spec: VolumeSpec,
}

impl Wanted {
    /// Reads the options, `value` having their values; `stores` is the word after `-B`.
    ///
    /// Fails for an option that none of the stores has a use for.
    pub(super) fn read(
        stores: Option<&str>,
        value: impl Fn(&str) -> Result<Option<String>, Failure>,
    ) -> Result<Self, Failure> {
        let mut wanted = Self::default();
        let words: Vec<&str> = stores.unwrap_or_default().split(',').map(str::trim).collect();
        for (option, kinds, sets) in OPTIONS {
            let Some(value) = value(option)? else { continue };
            if !words.iter().any(|word| *word == "best" || kinds.contains(word)) {
                let kinds = kinds.join(", -B ");
                return Err(Failure::new(format!("--{option} is only valid with -B {kinds}")));
            }
            if value.is_empty() {
                return Err(Failure::new(format!("--{option} is empty")));
            }
            match sets {
                Sets::Setting(key) => wanted.settings.push((key, value)),
                Sets::Name => wanted.name = Some(value),
                Sets::FileSystem => wanted.spec.fstype = Some(value),
                // LXC counts a number alone in MiB.
                Sets::Size => {
                    let size = sizes::parse(&value, 1 << 20);
                    wanted.spec.size = Some(size.map_err(|e| Failure::new(format!("--{option}: {e}")))?);
                }
            }
        }
        Ok(wanted)
    }

    /// `settings` with what the options ask for on top.
    pub(super) fn over(&self, settings: Settings) -> Settings {
        self.settings.iter().fold(settings, |all, (key, value)| all.with(*key, value.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hull_storage::Bytes;

    fn read(stores: Option<&str>, options: &[(&str, &str)]) -> Result<Wanted, Failure> {
        let find =
            |name: &str| options.iter().find(|(option, _)| *option == name).map(|(_, v)| (*v).to_owned());
        Wanted::read(stores, |name| Ok(find(name)))
    }

    #[test]
    fn each_option_reaches_its_store() {
        let lvm =
            [("vgname", "vg0"), ("lvname", "web"), ("thinpool", "tp"), ("fstype", "xfs"), ("fssize", "10G")];
        let wanted = read(Some("lvm"), &lvm).unwrap();
        let settings = wanted.over(Settings::default().with("lxc.bdev.lvm.vg", "lxc").with("other", "kept"));
        assert_eq!(settings.get("lxc.bdev.lvm.vg"), Some("vg0"));
        assert_eq!(settings.get("lxc.bdev.lvm.thin_pool"), Some("tp"));
        assert_eq!(settings.get("other"), Some("kept"));
        assert_eq!(wanted.name.as_deref(), Some("web"));
        let spec = VolumeSpec { size: Some(Bytes(10 << 30)), fstype: Some("xfs".into()), owner: None };
        assert_eq!(wanted.spec, spec);
        let zfs = read(Some("zfs"), &[("zfsroot", "tank/lxc")]).unwrap();
        assert_eq!(zfs.settings, [("lxc.bdev.zfs.root", "tank/lxc".to_owned())]);
        let size = |text| read(Some("loop"), &[("fssize", text)]).map(|wanted| wanted.spec.size);
        assert_eq!(size("512").unwrap(), Some(Bytes(512 << 20)), "MiB, as LXC has it");
        assert!(size("lots").is_err_and(|e| e.to_string().starts_with("--fssize: ")));
        assert_eq!(read(Some("dir"), &[]).unwrap(), Wanted::default());
    }

    #[test]
    fn an_option_without_its_store_is_refused() {
        for (stores, option) in [
            (None, "fssize"),
            (Some("dir"), "fstype"),
            (Some("zfs"), "fssize"),
            (Some("loop"), "vgname"),
            (Some("lvm"), "zfsroot"),
            (Some("lvm"), "rbdname"),
        ] {
            let refused = read(stores, &[(option, "1")]).expect_err(option);
            assert!(refused.to_string().contains("only valid with -B"), "{refused}");
        }
        for stores in ["best", "zfs,lvm", "dir, lvm"] {
            assert!(read(Some(stores), &[("vgname", "x")]).is_ok(), "{stores}");
        }
        assert!(read(Some("lvm"), &[("vgname", "")]).is_err());
    }
}
