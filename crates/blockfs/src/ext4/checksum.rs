//! The checksum of ext4's metadata: CRC-32C without the inversions that are usual at both of its ends.

/// That of nothing.
pub(super) const START: u32 = !0;

/// Goes on from `so_far` with `bytes`.
pub(super) fn add(so_far: u32, bytes: &[u8]) -> u32 {
    !crc32c::crc32c_append(!so_far, bytes)
}
