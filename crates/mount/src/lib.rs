//! Mounts as data, as detached file descriptors and as guards.
