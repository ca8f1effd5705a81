//! What generic code must know of a store, as data.

/// Facts about a store on this host that are not operations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// A volume can stand alone: be made empty and filled. False for stores that only record changes to
    /// another volume.
    pub standalone: bool,
    /// A volume can lie in any directory, whatever the file system.
    pub anywhere: bool,
    /// A volume is a block device with a file system on it.
    pub block_backed: bool,
    /// Its mounts can be id-mapped: mount_setattr(2).
    pub idmapped_mounts: bool,
    /// It works for a user without privileges, in a user namespace.
    pub unprivileged: bool,
    /// Creation tags its maker, so [`crate::Driver::made_by`] can answer without a name.
    pub tags_owner: bool,
    /// The same of clones and snapshots alone. What is made beside one has a name that tells, as beside a staged clone.
    pub tags_clones: bool,
}

impl Capabilities {
    /// Nothing is known to hold.
    pub const NONE: Self = Self {
        standalone: false,
        anywhere: false,
        block_backed: false,
        idmapped_mounts: false,
        unprivileged: false,
        tags_owner: false,
        tags_clones: false,
    };

    /// The facts with [`Self::standalone`] set to `value`.
    #[must_use]
    pub const fn standalone(mut self, value: bool) -> Self {
        self.standalone = value;
        self
    }

    /// The facts with [`Self::anywhere`] set to `value`.
    #[must_use]
    pub const fn anywhere(mut self, value: bool) -> Self {
        self.anywhere = value;
        self
    }

    /// The facts with [`Self::block_backed`] set to `value`.
    #[must_use]
    pub const fn block_backed(mut self, value: bool) -> Self {
        self.block_backed = value;
        self
    }

    /// The facts with [`Self::idmapped_mounts`] set to `value`.
    #[must_use]
    pub const fn idmapped_mounts(mut self, value: bool) -> Self {
        self.idmapped_mounts = value;
        self
    }

    /// The facts with [`Self::unprivileged`] set to `value`.
    #[must_use]
    pub const fn unprivileged(mut self, value: bool) -> Self {
        self.unprivileged = value;
        self
    }

    /// The facts with [`Self::tags_owner`] set to `value`.
    #[must_use]
    pub const fn tags_owner(mut self, value: bool) -> Self {
        self.tags_owner = value;
        self
    }

    /// The facts with [`Self::tags_clones`] set to `value`.
    #[must_use]
    pub const fn tags_clones(mut self, value: bool) -> Self {
        self.tags_clones = value;
        self
    }
}

/// What a store asks for a clone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    /// What the work is proportional to.
    pub cost: Cost,
    /// What ties the clone to its source afterwards.
    pub tie: Tie,
    /// Whether the clone goes on reading the source's own files, so that whoever writes to them there changes the
    /// clone, or breaks it. Only a source that nobody writes to any more serves for such a clone.
    pub lies_over: bool,
}

/// What a copy is proportional to, cheapest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cost {
    /// Nothing: the same for every source.
    Constant,
    /// What the source changed since it was cloned itself.
    PerChange,
    /// The number of files; their blocks are shared.
    PerFile,
    /// The amount of data.
    PerByte,
}

impl Cost {
    /// For people: `constant`, `per change`, `per file`, `per byte`.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Constant => "constant",
            Self::PerChange => "per change",
            Self::PerFile => "per file",
            Self::PerByte => "per byte",
        }
    }
}

/// What ties a clone to its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tie {
    /// Either may go first.
    None,
    /// The clone needs what it shares with the source, and the store itself sees to it that it stays: it refuses to
    /// remove the source first, or hands over to the clone what they share.
    Enforced,
    /// Removing or changing the source ruins the clone and the store would let it happen, so whoever owns
    /// the source must record the tie (LXC's `lxc_snapshots` and `lxc_rdepends` files).
    Unguarded,
}
