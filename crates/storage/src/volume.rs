//! A volume: what is asked for, what is known of it, and one that is ready to be mounted.

use std::ffi::OsString;
use std::fmt;

use hull_mount::{Access, MountPlan};
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::registry::Settings;

/// A number of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Bytes(pub u64);

impl Bytes {
    /// Reads a number of bytes, or a number and one of `K`, `M`, `G`, `T` for powers of 1024; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let (digits, shift) = match text.trim().as_bytes() {
            [digits @ .., b'K' | b'k'] => (digits, 10),
            [digits @ .., b'M' | b'm'] => (digits, 20),
            [digits @ .., b'G' | b'g'] => (digits, 30),
            [digits @ .., b'T' | b't'] => (digits, 40),
            digits => (digits, 0),
        };
        let number: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
        number.checked_mul(1 << shift).map(Self)
    }
}

/// In IEC units with one decimal: `1.5 GiB`; exact below 1 KiB.
impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
        if self.0 < 1024 {
            return write!(f, "{} B", self.0);
        }
        let mut value = self.0 as f64 / 1024.0;
        let mut unit = 0;
        while value >= 1024.0 && unit + 1 < UNITS.len() {
            value /= 1024.0;
            unit += 1;
        }
        write!(f, "{value:.1} {}", UNITS[unit])
    }
}

/// What an empty volume shall be like.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeSpec {
    /// Its size, where the store has sizes; the store's default otherwise.
    pub size: Option<Bytes>,
    /// Its file system, where the store makes one; the store's default otherwise.
    pub fstype: Option<String>,
    /// Owner and group of its root directory; the caller's otherwise.
    pub owner: Option<(u32, u32)>,
}

impl VolumeSpec {
    /// The wishes, completed by what the settings `hull.volume.size` (bytes, or with a unit: `2G`) and
    /// `hull.volume.fstype` say of all new volumes. Fails with [`ErrorKind::InvalidInput`] for a size that is none.
    pub fn or_as_set(&self, settings: &Settings) -> Result<Self> {
        const SIZE: &str = "hull.volume.size";
        let mut spec = self.clone();
        if let (None, Some(text)) = (spec.size, settings.get(SIZE)) {
            let size = Bytes::parse(text).ok_or_else(|| {
                let text = format!("{SIZE} is {text:?}: write bytes, or a number with K, M, G or T");
                Error::new(ErrorKind::InvalidInput, text)
            })?;
            spec.size = Some(size);
        }
        if spec.fstype.is_none() {
            spec.fstype = settings.get("hull.volume.fstype").map(str::to_owned);
        }
        Ok(spec)
    }
}

/// What is known of a volume without mounting it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct VolumeInfo {
    /// Whether the store lets it be written to.
    pub access: Access,
    /// What it needs (overlay's lower layers), or was cloned from where the store keeps that: paths, or names
    /// in a pool. Which store has a volume there, its driver cannot know.
    pub origins: Vec<OsString>,
    /// Its size or limit, where it has one.
    pub size: Option<Bytes>,
    /// Whether Hull made it.
    pub ours: bool,
}

impl VolumeInfo {
    /// A writable volume of no stated size that needs no other.
    pub fn new(ours: bool) -> Self {
        Self { access: Access::ReadWrite, origins: Vec::new(), size: None, ours }
    }
}

/// What a volume occupies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Freed if this volume alone were removed; `None` where finding out would need privileges or quotas
    /// that are not there.
    pub exclusive: Option<Bytes>,
    /// Occupied by this volume, shared blocks counted in full.
    pub total: Bytes,
    /// What can still be written to it: the least of what its file system, its limit and its pool have left.
    /// `None` where that cannot be told.
    pub available: Option<Bytes>,
    /// Files, directories and other entries; its root counts as one.
    pub entries: u64,
}

/// A volume readied for mounting. Dropping it releases the device; mounts keep what the kernel pins.
#[derive(Debug)]
#[must_use = "the device is released when the activation is dropped"]
pub struct Activation {
    /// How to mount it.
    pub plan: MountPlan,
    /// What must be kept until it is mounted (a loop device, an active logical volume).
    pub held: Option<Box<dyn Held>>,
}

impl Activation {
    /// A volume that needs no device.
    pub fn of(plan: MountPlan) -> Self {
        Self { plan, held: None }
    }
}

/// A device kept usable until released; dropping it releases it silently.
pub trait Held: fmt::Debug + Send {
    /// Releases the device and reports what dropping could not.
    fn release(self: Box<Self>) -> Result<()>;
}

#[cfg(test)]
mod tests {
    use super::{Bytes, VolumeSpec};
    use crate::registry::Settings;

    #[test]
    fn bytes_read_well() {
        for (bytes, text) in
            [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (1 << 30, "1.0 GiB"), (u64::MAX, "16.0 EiB")]
        {
            assert_eq!(Bytes(bytes).to_string(), text);
        }
    }

    #[test]
    fn sizes_are_read() {
        for (text, bytes) in
            [("7", Some(7)), ("3K", Some(3072)), (" 2g ", Some(2 << 30)), ("1T", Some(1 << 40))]
        {
            assert_eq!(Bytes::parse(text).map(|b| b.0), bytes, "{text:?}");
        }
        for wrong in ["", "G", "-1", "1.5G", "1 G", "é", "99999999999T", "99999999999999999999"] {
            assert_eq!(Bytes::parse(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn what_is_asked_for_wins_over_what_is_set() {
        let set = Settings::default().with("hull.volume.size", "64M").with("hull.volume.fstype", "xfs");
        let spec = VolumeSpec::default().or_as_set(&set).unwrap();
        assert_eq!((spec.size, spec.fstype.as_deref()), (Some(Bytes(64 << 20)), Some("xfs")));
        let asked = VolumeSpec { size: Some(Bytes(1)), fstype: Some("ext4".into()), owner: None };
        assert_eq!(asked.or_as_set(&set).unwrap(), asked);
        let wrong = Settings::default().with("hull.volume.size", "much");
        assert!(VolumeSpec::default().or_as_set(&wrong).is_err());
    }
}
