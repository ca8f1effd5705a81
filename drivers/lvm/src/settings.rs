//! What new volumes are like unless somebody says otherwise.

use hull_storage::{Bytes, Error, ErrorKind, Result, Settings};

/// What new volumes are like unless somebody says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Defaults {
    /// The volume group.
    pub(crate) vg: String,
    /// The thin pool in it, if it has one of that name.
    pub(crate) pool: String,
    /// The file system.
    pub(crate) fstype: String,
    /// The size, as it was written.
    size: String,
}

impl Defaults {
    /// LXC's defaults, and what `settings` say.
    pub(crate) fn of(settings: &Settings) -> Self {
        let get = |key: &str, default: &str| settings.get(key).unwrap_or(default).to_owned();
        Self {
            vg: get("lxc.bdev.lvm.vg", "lxc"),
            pool: get("lxc.bdev.lvm.thin_pool", "lxc"),
            fstype: get("hull.volume.fstype", "ext4"),
            size: get("hull.volume.size", "1G"),
        }
    }

    /// The size. Fails with [`ErrorKind::InvalidInput`] for a setting that is none.
    pub(crate) fn size(&self) -> Result<Bytes> {
        read_size(&self.size).ok_or_else(|| {
            let text = format!("hull.volume.size = {} is no size: write bytes, or a number with K, M, G or T", self.size);
            Error::new(ErrorKind::InvalidInput, text)
        })
    }
}

/// `512M` and the like, in powers of 1024.
fn read_size(text: &str) -> Option<Bytes> {
    let text = text.trim().trim_end_matches(['b', 'B']);
    let text = text.strip_suffix('i').unwrap_or(text);
    let (number, shift) = match text.char_indices().next_back()? {
        (end, 'k' | 'K') => (&text[..end], 10),
        (end, 'm' | 'M') => (&text[..end], 20),
        (end, 'g' | 'G') => (&text[..end], 30),
        (end, 't' | 'T') => (&text[..end], 40),
        _ => (text, 0),
    };
    number.trim_end().parse::<u64>().ok()?.checked_mul(1 << shift).map(Bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, expected) in [
            ("1048576", Some(1 << 20)),
            ("32M", Some(32 << 20)),
            ("1 GiB", Some(1 << 30)),
            ("2TB", Some(2 << 40)),
            ("", None),
            ("M", None),
            ("1.5G", None),
            ("-1", None),
            ("99999999999T", None),
        ] {
            assert_eq!(read_size(text).map(|b| b.0), expected, "{text:?}");
        }
    }

    #[test]
    fn settings_are_read_and_a_wrong_one_is_named() {
        let defaults = Defaults::of(&Settings::default());
        assert_eq!((&*defaults.vg, &*defaults.pool, &*defaults.fstype), ("lxc", "lxc", "ext4"));
        assert_eq!(defaults.size().unwrap(), Bytes(1 << 30));
        let wrong = Defaults::of(&Settings::default().with("hull.volume.size", "big")).size().unwrap_err();
        assert_eq!(wrong.kind(), ErrorKind::InvalidInput);
        assert!(wrong.to_string().contains("hull.volume.size = big"), "{wrong}");
    }
}
