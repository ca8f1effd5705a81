//! The value of `lxc.rootfs.path`, taken apart.

/// `lxc.rootfs.path`: the kind of store, if it says one, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RootfsPath<'a> {
    whole: &'a str,
    kind: Option<&'a str>,
}

impl<'a> RootfsPath<'a> {
    /// Takes `dir:/path`, `zfs:pool/name`, `overlay:/lower:/upper` or a bare path apart.
    ///
    /// What stands before the first `:` is the kind unless it holds a `/`. LXC cuts at the first `:`
    /// whatever stands before it and so loses the head of a bare path with a colon.
    pub fn new(value: &'a str) -> Self {
        let kind = value
            .split_once(':')
            .map(|(kind, _)| kind)
            .filter(|kind| !kind.is_empty() && !kind.contains('/'));
        Self { whole: value, kind }
    }

    /// The value with its prefix.
    pub fn whole(self) -> &'a str {
        self.whole
    }

    /// The prefix, such as `dir`, `btrfs` or `overlay`.
    pub fn kind(self) -> Option<&'a str> {
        self.kind
    }

    /// The value without its prefix.
    pub fn path(self) -> &'a str {
        self.kind.map_or(self.whole, |kind| &self.whole[kind.len() + 1..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_and_paths() {
        let table = [
            ("/a/b", None, "/a/b"),
            ("dir:/a:b", Some("dir"), "/a:b"),
            ("overlay:/l:/u", Some("overlay"), "/l:/u"),
            ("zfs:p/n", Some("zfs"), "p/n"),
            ("/a:b", None, "/a:b"),
            ("", None, ""),
            (":", None, ":"),
        ];
        for (value, kind, path) in table {
            let rootfs = RootfsPath::new(value);
            assert_eq!((rootfs.kind(), rootfs.path()), (kind, path), "{value}");
        }
    }
}
