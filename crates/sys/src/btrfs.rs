//! Btrfs subvolumes through ioctls.
