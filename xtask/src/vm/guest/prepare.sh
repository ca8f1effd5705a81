#!/bin/sh
# Makes a guest of the Debian system in the folder $1, for which packages are installed; the files beside this
# script go into it. Run by mmdebstrap. Leaves /boot/vmlinuz and /boot/initrd.img.
set -eu
root=$1
here=$(dirname "$0")
version=$(cd "$root/lib/modules" && echo *)
echo "lane: kernel $version"

# uname(2) names the kernel of the machine we build on, so dkms must be told which one is meant.
chroot "$root" dkms autoinstall -k "$version"
modules=$root/lib/modules/$version
if [ -z "$(find "$modules" -name 'zfs.ko*')" ]; then
    tail -n 40 "$root"/var/lib/dkms/zfs/*/build/make.log || true
    echo "lane: zfs.ko was not built for $version" >&2
    exit 1
fi

# What only the build needed, and what no test reads, would be copied with every new image.
rm -rf "$root"/usr/src/* "$root"/usr/lib/gcc "$root"/var/lib/dkms
rm -f "$root"/usr/bin/*-gcc-* "$root"/usr/bin/*-cpp-* "$root"/lib/x86_64-linux-gnu/lib*.a
depmod=$(chroot "$root" sh -c 'command -v depmod')
chroot "$root" "$depmod" "$version"

install -m 755 "$here/lane-init" "$root/sbin/lane-init"
echo hull-vm > "$root/etc/hostname"
printf '127.0.0.1 localhost hull-vm\n' > "$root/etc/hosts"
# A pool's cache must not eat the guest's memory (in bytes).
echo 'options zfs zfs_arc_max=268435456' > "$root/etc/modprobe.d/lane.conf"
# By itself zfs halts only the thread that found its state broken, and who waits for it waits for ever.
echo 'options spl spl_panic_halt=1' >> "$root/etc/modprobe.d/lane.conf"
# For each event of each disk it starts a shell script that reads a file the guest has not: a fifth of all that a volume
# of LVM takes.
rm "$root/lib/udev/rules.d/69-vdev.rules"
# Scratch pools are many and small; a copy of their metadata after each change is of no use.
sed -i 's/^\(\s*\)#* *\(backup\|archive\) = 1/\1\2 = 0/' "$root/etc/lvm/lvm.conf"

initramfs=$root/tmp/initramfs
mkdir -p "$initramfs/bin" "$initramfs/modules"
cp "$root/bin/busybox" "$initramfs/bin/busybox"
install -m 755 "$here/initramfs-init" "$initramfs/init"
for module in virtio_pci virtio_blk; do
    # Lines are `insmod FILE OPTIONS`, or `builtin NAME`; what comes first is needed by what follows.
    chroot "$root" modprobe --set-version "$version" --show-depends "$module"
done | while read -r kind file _; do
    name=$(basename "$file")
    if [ "$kind" = insmod ] && [ ! -e "$initramfs/modules/$name" ]; then
        cp "$root/$file" "$initramfs/modules/$name"
        echo "$name" >> "$initramfs/modules/list"
    fi
done
chroot "$root" sh -c 'cd /tmp/initramfs && find . | cpio --quiet -o -H newc | gzip > /boot/initrd.img'
rm -rf "$initramfs"
mv "$root/boot/vmlinuz-$version" "$root/boot/vmlinuz"
