# Makes the guest ready for tests: mounts, kernel modules, udev. Sourced by the lane's scripts.
mount -t tmpfs -o mode=755 run /run
mount -t tmpfs -o mode=1777 tmp /tmp
mkdir -p /dev/pts /dev/shm /run/lock
# The large modules side by side: under emulation each takes a second or two. A kernel of one's own may have them
# built in, or not at all; tests then say what they lack.
for modules in "loop dm_mod dm_thin_pool dm_snapshot dm_flakey overlay" zfs btrfs xfs; do
    # shellcheck disable=SC2086 # these are words
    modprobe -qa $modules &
done
mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs -o mode=1777 shm /dev/shm
mount -t securityfs securityfs /sys/kernel/security
mount -t cgroup2 cgroup2 /sys/fs/cgroup
sed 's/[^ ]*/+&/g' /sys/fs/cgroup/cgroup.controllers > /sys/fs/cgroup/cgroup.subtree_control
hostname "$(cat /etc/hostname)"
ip link set lo up
wait

# Without udev the device nodes of logical volumes never appear.
/lib/systemd/systemd-udevd --daemon
# Only disks: the rest of the machine would have half a hundred drivers loaded that no test needs.
udevadm trigger --action=add --subsystem-match=block
udevadm settle

export HOME=/root HULL_VM=1 RUST_BACKTRACE=0 TERM=dumb LC_ALL=C.UTF-8
