//! The operations, as command lines that both sides understand, what each is to cost, and the bare floor below it.

/// One operation on one file system.
pub(crate) struct Operation {
    /// For people.
    pub(crate) name: &'static str,
    /// The file system it happens on.
    pub(crate) ground: &'static str,
    /// What Hull is to take, as a part of what stock LXC takes.
    pub(crate) target: f64,
    /// Measured once more at rest: a tenth of a second before it nothing happens, as before somebody types a command. The
    /// kernel has then forgotten the RCU grace period that moving a process to a cgroup waits for.
    pub(crate) also_at_rest: bool,
    /// Not timed, by Hull.
    pub(crate) before: &'static [&'static str],
    /// Timed, by either.
    pub(crate) timed: &'static [&'static str],
    /// Timed, by Hull only: what it would else do in the background.
    pub(crate) also: &'static [&'static str],
    /// Not timed, by Hull: puts things back.
    pub(crate) after: &'static [&'static str],
    /// The exit code of the timed commands.
    pub(crate) code: i32,
    /// What the machine's own programs do in the same place, and what puts that back.
    pub(crate) floor: Option<(&'static str, &'static str)>,
}

const PLAIN: Operation = Operation {
    name: "",
    ground: "ext4",
    target: 1.0,
    also_at_rest: false,
    before: &[],
    timed: &[],
    also: &[],
    after: &["lxc-destroy -P {} -n new", "hull --lxcpath {} recover --reclaim"],
    code: 0,
    floor: None,
};

/// What stock LXC made in a pool says nowhere whose it is.
const FOREIGN: &[&str] = &["hull --lxcpath {} destroy --foreign new", "hull --lxcpath {} recover --reclaim"];
/// Stock LXC's clone of a dataset needs a snapshot called as the clone, which stays.
const FOREIGN_DATASET: &[&str] = &[
    "hull --lxcpath {} destroy --foreign new",
    "hull --lxcpath {} recover --reclaim",
    "sh -c zfs${IFS}destroy${IFS}lxc/base@new||true",
];

const LOWER: &str =
    "mkdir {}/floor {}/floor/rootfs {}/floor/overlay {}/floor/overlay/delta {}/floor/overlay/work";
const CLEAR: &str = "rm -rf {}/floor";

/// All of them.
pub(crate) const OPERATIONS: &[Operation] = &[
    Operation {
        name: "overlay clone of a dir container",
        target: 0.40,
        timed: &["lxc-copy -P {} -n base -N new -s -B overlay"],
        floor: Some((LOWER, CLEAR)),
        ..PLAIN
    },
    Operation {
        name: "the same with 200 MB of unrelated dirty data",
        target: 0.02,
        before: &["dd if=/dev/zero of={point}/dirty bs=1M count=200 conv=notrunc"],
        timed: &["lxc-copy -P {} -n base -N new -s -B overlay"],
        ..PLAIN
    },
    Operation {
        name: "btrfs clone",
        ground: "btrfs",
        target: 0.75,
        timed: &["lxc-copy -P {} -n sub -N new -s"],
        floor: Some(("btrfs subvolume snapshot {}/sub/rootfs {}/floor", "btrfs subvolume delete {}/floor")),
        ..PLAIN
    },
    Operation {
        name: "clone of a thin logical volume",
        ground: "lvm",
        target: 0.6,
        timed: &["lxc-copy -P {} -n base -N new -s"],
        after: FOREIGN,
        floor: Some(("lvcreate --quiet -kn -s -n floor lxc/base", "lvremove --quiet -y lxc/floor")),
        ..PLAIN
    },
    Operation {
        name: "rename of a thin logical volume",
        ground: "lvm",
        target: 0.02,
        before: &["lxc-copy -P {} -n base -N old"],
        timed: &["lxc-copy -P {} -n old -N new -R"],
        after: FOREIGN,
        floor: Some(("lvrename --quiet lxc/base floor", "lvrename --quiet lxc/floor base")),
        ..PLAIN
    },
    Operation {
        name: "clone of a zfs dataset",
        ground: "zfs",
        target: 0.6,
        timed: &["lxc-copy -P {} -n base -N new -s"],
        after: FOREIGN_DATASET,
        floor: Some((
            "sh -c zfs${IFS}snapshot${IFS}lxc/base@floor&&zfs${IFS}clone${IFS}lxc/base@floor${IFS}lxc/floor",
            "zfs destroy -R lxc/base@floor",
        )),
        ..PLAIN
    },
    Operation {
        name: "rename of a zfs dataset",
        ground: "zfs",
        target: 0.02,
        before: &["lxc-copy -P {} -n base -N old"],
        timed: &["lxc-copy -P {} -n old -N new -R"],
        after: FOREIGN_DATASET,
        floor: Some(("zfs rename lxc/base lxc/floor", "zfs rename lxc/floor lxc/base")),
        ..PLAIN
    },
    Operation {
        name: "copy of a dir container",
        target: 0.30,
        timed: &["lxc-copy -P {} -n base -N new"],
        floor: Some(("cp -a {}/base/rootfs {}/floor", CLEAR)),
        ..PLAIN
    },
    Operation {
        name: "copy of a dir container",
        ground: "xfs",
        target: 0.20,
        timed: &["lxc-copy -P {} -n base -N new"],
        floor: Some(("cp -a --reflink=always {}/base/rootfs {}/floor", CLEAR)),
        ..PLAIN
    },
    Operation {
        name: "copy of a dir container",
        ground: "btrfs",
        target: 0.20,
        timed: &["lxc-copy -P {} -n base -N new"],
        floor: Some(("cp -a --reflink=always {}/base/rootfs {}/floor", CLEAR)),
        ..PLAIN
    },
    Operation {
        name: "copy of an image",
        target: 0.05,
        timed: &["lxc-copy -P {} -n image -N new"],
        floor: Some(("cp --sparse=always {}/image/rootdev {}/floor", CLEAR)),
        ..PLAIN
    },
    Operation {
        name: "copy of an image",
        ground: "xfs",
        target: 0.003,
        timed: &["lxc-copy -P {} -n image -N new"],
        floor: Some(("cp --reflink=always {}/image/rootdev {}/floor", CLEAR)),
        ..PLAIN
    },
    Operation {
        name: "copy of a dir container, beside rsync",
        target: 0.30,
        timed: &["lxc-copy -P {} -n base -N new"],
        floor: Some(("rsync -aHAX --numeric-ids {}/base/rootfs/ {}/floor", CLEAR)),
        ..PLAIN
    },
    Operation {
        name: "copy of a dir container, beside two cp",
        target: 0.30,
        timed: &["lxc-copy -P {} -n base -N new"],
        floor: Some(("sh {point}/two-cp {}/base/rootfs {}/floor", CLEAR)),
        ..PLAIN
    },
    Operation {
        name: "create by the busybox template",
        timed: &["lxc-create -P {} -n new -f {point}/../config -t busybox"],
        ..PLAIN
    },
    Operation {
        name: "start in the background, until it runs",
        also_at_rest: true,
        timed: &["lxc-start -P {} -n base -d -- /bin/sleep 1000000"],
        after: &["lxc-stop -k -P {} -n base"],
        ..PLAIN
    },
    Operation {
        name: "start in the background and stop",
        also_at_rest: true,
        timed: &["lxc-start -P {} -n base -d -- /bin/sleep 1000000", "lxc-stop -k -P {} -n base"],
        after: &[],
        ..PLAIN
    },
    Operation {
        name: "snapshot of an overlay container",
        target: 0.15,
        timed: &["lxc-snapshot -P {} -n over"],
        after: &["lxc-snapshot -P {} -n over -d snap1"],
        ..PLAIN
    },
    Operation {
        name: "restore of an overlay container in place",
        target: 0.15,
        // Each its own: stock LXC refuses to restore what Hull has made a snapshot of.
        timed: &["lxc-snapshot -P {} -n over-{side} -r snap0"],
        after: &["hull --lxcpath {} recover --reclaim"],
        ..PLAIN
    },
    Operation {
        name: "restore of a btrfs container in place",
        ground: "btrfs",
        target: 0.4,
        timed: &["lxc-snapshot -P {} -n sub -r snap0"],
        after: &["hull --lxcpath {} recover --reclaim"],
        ..PLAIN
    },
    Operation {
        name: "restore of an image in place",
        ground: "xfs",
        target: 0.4,
        timed: &["lxc-snapshot -P {} -n image-{side} -r snap0"],
        after: &["hull --lxcpath {} recover --reclaim"],
        ..PLAIN
    },
    Operation {
        name: "rename of an image",
        target: 0.02,
        timed: &["lxc-copy -P {} -n moved -N new -R"],
        after: &["lxc-copy -P {} -n new -N moved -R"],
        floor: Some(("mv {}/moved {}/floor", "mv {}/floor {}/moved")),
        ..PLAIN
    },
    Operation {
        name: "rename of a dir container",
        target: 0.02,
        timed: &["lxc-copy -P {} -n other -N new -R"],
        after: &["lxc-copy -P {} -n new -N other -R"],
        floor: Some(("mv {}/other {}/floor", "mv {}/floor {}/other")),
        ..PLAIN
    },
    Operation {
        name: "destroy of a dir container returns",
        target: 0.05,
        before: &["lxc-copy -P {} -n base -N new"],
        timed: &["lxc-destroy -P {} -n new"],
        after: &["hull --lxcpath {} recover --reclaim"],
        ..PLAIN
    },
    Operation {
        name: "destroy of a dir container, to its end",
        target: 0.8,
        before: &["lxc-copy -P {} -n base -N new"],
        timed: &["lxc-destroy -P {} -n new"],
        also: &["hull --lxcpath {} recover --reclaim"],
        after: &[],
        ..PLAIN
    },
    Operation {
        name: "ls -f, 1,000 stopped containers",
        target: 0.3,
        timed: &["lxc-ls -P {point}/many -f"],
        after: &[],
        floor: Some(("grep -r -c lxc.uts.name {point}/many", "true")),
        ..PLAIN
    },
    Operation {
        name: "execute /bin/true",
        also_at_rest: true,
        target: 0.35,
        timed: &["lxc-execute -P {} -n base -- /bin/true"],
        after: &[],
        floor: Some(("unshare -fmpiunC --mount-proc -R {}/base/rootfs /bin/true", "true")),
        ..PLAIN
    },
    Operation {
        name: "overlay clone, execute /bin/true, destroy",
        also_at_rest: true,
        target: 0.35,
        timed: &[
            "lxc-copy -P {} -n base -N new -s -B overlay",
            "lxc-execute -P {} -n new -- /bin/true",
            "lxc-destroy -P {} -n new",
        ],
        after: &[],
        ..PLAIN
    },
    Operation {
        name: "attach /bin/true",
        also_at_rest: true,
        target: 0.30,
        timed: &["lxc-attach -P {} -n runs -- /bin/true"],
        after: &[],
        floor: Some(("nsenter --all --target {pid} /bin/true", "true")),
        ..PLAIN
    },
    Operation {
        name: "copy of no such container",
        target: 0.5,
        timed: &["lxc-copy -P {} -n none -N new"],
        after: &[],
        code: 1,
        floor: Some(("busybox true", "true")),
        ..PLAIN
    },
];
