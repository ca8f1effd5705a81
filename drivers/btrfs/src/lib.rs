//! Hull storage driver: btrfs.
