//! Mount options as fstab(5) writes them, sorted into what the kernel takes where.

use rustix::mount::MountAttrFlags;

/// What happens to mounts made below a mount elsewhere: mount_namespaces(7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// Events go both ways.
    Shared,
    /// Events come in only.
    Slave,
    /// No events.
    Private,
    /// No events, and it cannot be bound elsewhere.
    Unbindable,
}

impl Propagation {
    /// The `MS_*` bit of mount(2) and mount_setattr(2).
    pub fn bits(self) -> u64 {
        match self {
            Self::Shared => 1 << 20,
            Self::Slave => 1 << 19,
            Self::Private => 1 << 18,
            Self::Unbindable => 1 << 17,
        }
    }
}

/// Options sorted: per-mount attributes, propagation, bind, and what is left for the file system itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountOptions {
    /// Attributes to set on the mount.
    pub set: MountAttrFlags,
    /// Attributes to clear on the mount.
    pub clear: MountAttrFlags,
    /// Propagation, and whether it is meant for the mounts below, too.
    pub propagation: Option<(Propagation, bool)>,
    /// A bind mount is asked for; `true`: with the mounts below it.
    pub bind: Option<bool>,
    /// The attributes are to be set on the mounts below, too (`rro` and its kin are not fstab's words;
    /// this follows from `rbind`).
    pub remount: bool,
    /// What is left: options of the file system (`size=1m`, `userxattr`).
    pub data: Vec<String>,
}

impl Default for MountOptions {
    fn default() -> Self {
        Self {
            set: MountAttrFlags::empty(),
            clear: MountAttrFlags::empty(),
            propagation: None,
            bind: None,
            remount: false,
            data: Vec::new(),
        }
    }
}

impl MountOptions {
    /// Sorts `options`; later words win over earlier ones, as in mount(8).
    pub fn parse<'a>(options: impl IntoIterator<Item = &'a str>) -> Self {
        let mut sorted = Self::default();
        for word in options.into_iter().flat_map(|o| o.split(',')).map(str::trim).filter(|w| !w.is_empty()) {
            sorted.word(word);
        }
        sorted
    }

    fn word(&mut self, word: &str) {
        use MountAttrFlags as A;
        match word {
            "defaults" => {}
            "ro" => self.attribute(A::MOUNT_ATTR_RDONLY, true),
            "rw" => self.attribute(A::MOUNT_ATTR_RDONLY, false),
            "nosuid" => self.attribute(A::MOUNT_ATTR_NOSUID, true),
            "suid" => self.attribute(A::MOUNT_ATTR_NOSUID, false),
            "nodev" => self.attribute(A::MOUNT_ATTR_NODEV, true),
            "dev" => self.attribute(A::MOUNT_ATTR_NODEV, false),
            "noexec" => self.attribute(A::MOUNT_ATTR_NOEXEC, true),
            "exec" => self.attribute(A::MOUNT_ATTR_NOEXEC, false),
            "nodiratime" => self.attribute(A::MOUNT_ATTR_NODIRATIME, true),
            "diratime" => self.attribute(A::MOUNT_ATTR_NODIRATIME, false),
            "nosymfollow" => self.attribute(A::MOUNT_ATTR_NOSYMFOLLOW, true),
            "noatime" => self.access_time(A::MOUNT_ATTR_NOATIME),
            "strictatime" => self.access_time(A::MOUNT_ATTR_STRICTATIME),
            "relatime" | "atime" | "norelatime" | "nostrictatime" => self.access_time(A::MOUNT_ATTR_RELATIME),
            "bind" => self.bind = Some(false),
            "rbind" => self.bind = Some(true),
            "remount" => self.remount = true,
            "shared" | "rshared" => self.spread(Propagation::Shared, word),
            "slave" | "rslave" => self.spread(Propagation::Slave, word),
            "private" | "rprivate" => self.spread(Propagation::Private, word),
            "unbindable" | "runbindable" => self.spread(Propagation::Unbindable, word),
            other => self.data.push(other.to_owned()),
        }
    }

    fn attribute(&mut self, attribute: MountAttrFlags, on: bool) {
        self.set.set(attribute, on);
        self.clear.set(attribute, !on);
    }

    /// Access-time attributes are one field of three values: setting one means clearing the field first.
    fn access_time(&mut self, value: MountAttrFlags) {
        let field = MountAttrFlags::MOUNT_ATTR__ATIME;
        self.set = (self.set - field) | value;
        self.clear |= field;
    }

    fn spread(&mut self, propagation: Propagation, word: &str) {
        self.propagation = Some((propagation, word.starts_with('r')));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_words_win_and_the_rest_is_data() {
        let o = MountOptions::parse(["ro,nosuid,size=1m", "rw", "rslave,mode=755"]);
        assert_eq!(o.set, MountAttrFlags::MOUNT_ATTR_NOSUID);
        assert_eq!(o.clear, MountAttrFlags::MOUNT_ATTR_RDONLY);
        assert_eq!(o.propagation, Some((Propagation::Slave, true)));
        assert_eq!(o.data, ["size=1m", "mode=755"]);
    }

    #[test]
    fn access_time_is_one_field() {
        let o = MountOptions::parse(["noatime", "strictatime"]);
        assert_eq!(o.set, MountAttrFlags::MOUNT_ATTR_STRICTATIME);
    }
}
