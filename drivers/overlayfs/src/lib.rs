//! Hull storage driver: overlayfs.
