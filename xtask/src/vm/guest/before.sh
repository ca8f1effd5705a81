#!/bin/sh
# Readies the Debian system in the folder $1 before the guest's packages are installed. Run by mmdebstrap.
set -eu
root=$1
# Kernel packages have an initramfs made, three times over, which takes a minute; the guest gets its own.
chroot "$root" dpkg-divert --quiet --local --rename --add /usr/sbin/update-initramfs
ln -s /bin/true "$root/usr/sbin/update-initramfs"
