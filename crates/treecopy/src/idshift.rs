//! Moving owners from one range of ids to another: in inodes, ACLs and file capabilities.

use std::fmt;

use crate::error::{Error, ErrorKind, Result};

/// Ids `from..from+count` become `to..to+count`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdRange {
    /// The first id in the source.
    pub from: u32,
    /// The first id in the destination.
    pub to: u32,
    /// How many ids.
    pub count: u32,
}

/// A map of user and group ids, applied to owners, ACL entries and file capabilities.
///
/// An id outside every range is an error that names the path and the id; nothing is guessed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdShift {
    uids: Vec<IdRange>,
    gids: Vec<IdRange>,
}

/// Ranges that do not make a map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidIdShift(String);

impl fmt::Display for InvalidIdShift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidIdShift {}

impl IdShift {
    /// Makes a map. Fails when a range is empty or runs past the last id (4294967294), or when two ranges overlap on
    /// either side.
    pub fn new(uids: Vec<IdRange>, gids: Vec<IdRange>) -> Result<Self, InvalidIdShift> {
        check("user", &uids)?;
        check("group", &gids)?;
        Ok(Self { uids, gids })
    }

    /// The destination's user id for `id`, if a range holds it.
    pub fn uid(&self, id: u32) -> Option<u32> {
        map(&self.uids, id)
    }

    /// The destination's group id for `id`, if a range holds it.
    pub fn gid(&self, id: u32) -> Option<u32> {
        map(&self.gids, id)
    }

    pub(crate) fn require_uid(&self, id: u32) -> Result<u32> {
        self.uid(id).ok_or_else(|| unmapped("user", id))
    }

    pub(crate) fn require_gid(&self, id: u32) -> Result<u32> {
        self.gid(id).ok_or_else(|| unmapped("group", id))
    }

    /// Rewrites the ids in a value of `system.posix_acl_access` or `system.posix_acl_default`
    /// (include/uapi/linux/posix_acl_xattr.h: a version, then entries of tag, permissions and id).
    pub(crate) fn shift_acl(&self, value: &mut [u8]) -> Result<()> {
        const VERSION: u32 = 2;
        const TAG_USER: u16 = 0x02;
        const TAG_GROUP: u16 = 0x08;
        let broken =
            || Error::found(ErrorKind::Unsupported, "an ACL of unknown format cannot be shifted", "");
        let (version, entries) = value.split_first_chunk_mut::<4>().ok_or_else(broken)?;
        if u32::from_le_bytes(*version) != VERSION || entries.len() % 8 != 0 {
            return Err(broken());
        }
        for entry in entries.chunks_exact_mut(8) {
            let id = u32::from_le_bytes([entry[4], entry[5], entry[6], entry[7]]);
            let shifted = match u16::from_le_bytes([entry[0], entry[1]]) {
                TAG_USER => self.require_uid(id)?,
                TAG_GROUP => self.require_gid(id)?,
                _ => continue,
            };
            entry[4..].copy_from_slice(&shifted.to_le_bytes());
        }
        Ok(())
    }

    /// Rewrites the root id in a value of `security.capability` (include/uapi/linux/capability.h).
    ///
    /// A version 2 value has no root id and means id 0 of the reader's namespace; it becomes version 3
    /// unless 0 stays 0, and a version 3 value shifted to 0 becomes version 2.
    pub(crate) fn shift_capability(&self, value: &[u8]) -> Result<Vec<u8>> {
        const REVISION_MASK: u32 = 0xff00_0000;
        const REVISION_2: u32 = 0x0200_0000;
        const REVISION_3: u32 = 0x0300_0000;
        const LENGTH_2: usize = 20;
        let broken = || {
            Error::found(ErrorKind::Unsupported, "a file capability of unknown format cannot be shifted", "")
        };
        let magic = value.first_chunk::<4>().map(|m| u32::from_le_bytes(*m)).ok_or_else(broken)?;
        let root = match (magic & REVISION_MASK, value.len()) {
            (REVISION_2, LENGTH_2) => 0,
            (REVISION_3, 24) => u32::from_le_bytes([value[20], value[21], value[22], value[23]]),
            _ => return Err(broken()),
        };
        let root = self.require_uid(root)?;
        let revision = if root == 0 { REVISION_2 } else { REVISION_3 };
        let mut shifted = (magic & !REVISION_MASK | revision).to_le_bytes().to_vec();
        shifted.extend_from_slice(&value[4..LENGTH_2]);
        if root != 0 {
            shifted.extend_from_slice(&root.to_le_bytes());
        }
        Ok(shifted)
    }
}

fn map(ranges: &[IdRange], id: u32) -> Option<u32> {
    let range = ranges.iter().find(|r| id >= r.from && id - r.from < r.count)?;
    Some(range.to + (id - range.from))
}

fn unmapped(what: &str, id: u32) -> Error {
    Error::found(
        ErrorKind::IdNotMapped,
        format!("{what} id {id} is outside every range of the id shift"),
        "add a range that holds it",
    )
}

fn check(what: &str, ranges: &[IdRange]) -> Result<(), InvalidIdShift> {
    for (i, range) in ranges.iter().enumerate() {
        let IdRange { from, to, count } = *range;
        if count == 0 {
            return Err(InvalidIdShift(format!("the {what} id range at {from} is empty")));
        }
        // 4294967295 is (uid_t) -1, which no inode can have.
        if from.checked_add(count).is_none() || to.checked_add(count).is_none() {
            return Err(InvalidIdShift(format!(
                "the {what} id range {from}:{to}:{count} runs past the last id"
            )));
        }
        let overlap = |a: u32, b: u32, other: u32| a < b + other && b < a + count;
        if let Some(other) =
            ranges[..i].iter().find(|o| overlap(from, o.from, o.count) || overlap(to, o.to, o.count))
        {
            return Err(InvalidIdShift(format!(
                "the {what} id ranges {from}:{to}:{count} and {}:{}:{} overlap",
                other.from, other.to, other.count
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shift() -> IdShift {
        let range = IdRange { from: 0, to: 100_000, count: 65_536 };
        IdShift::new(vec![range], vec![range]).unwrap()
    }

    fn acl(entries: &[(u16, u16, u32)]) -> Vec<u8> {
        let mut value = 2u32.to_le_bytes().to_vec();
        for (tag, perm, id) in entries {
            value.extend(tag.to_le_bytes());
            value.extend(perm.to_le_bytes());
            value.extend(id.to_le_bytes());
        }
        value
    }

    #[test]
    fn ids_are_shifted_inside_their_range_only() {
        assert_eq!(shift().uid(0), Some(100_000));
        assert_eq!(shift().gid(65_535), Some(165_535));
        assert_eq!(shift().uid(65_536), None);
        let error = shift().require_gid(70_000).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::IdNotMapped);
        assert!(error.to_string().contains("group id 70000"), "{error}");
    }

    #[test]
    fn ranges_that_overlap_or_run_over_are_refused() {
        let range = |from, to, count| IdRange { from, to, count };
        for ranges in [
            vec![range(0, 0, 0)],
            vec![range(u32::MAX, 0, 1)],
            vec![range(0, u32::MAX - 5, 10)],
            vec![range(0, 100, 10), range(9, 200, 10)],
            vec![range(0, 100, 10), range(50, 109, 10)],
        ] {
            assert!(IdShift::new(ranges.clone(), vec![]).is_err(), "{ranges:?}");
            assert!(IdShift::new(vec![], ranges.clone()).is_err(), "{ranges:?}");
        }
        assert!(IdShift::new(vec![range(0, 100, 10), range(10, 110, 10)], vec![]).is_ok());
    }

    #[test]
    fn acl_entries_with_an_id_are_shifted_and_others_kept() {
        let mut value = acl(&[(0x01, 7, u32::MAX), (0x02, 5, 1000), (0x08, 4, 50), (0x20, 0, u32::MAX)]);
        shift().shift_acl(&mut value).unwrap();
        assert_eq!(
            value,
            acl(&[(0x01, 7, u32::MAX), (0x02, 5, 101_000), (0x08, 4, 100_050), (0x20, 0, u32::MAX)])
        );
        assert!(shift().shift_acl(&mut acl(&[(0x02, 5, 70_000)])).is_err());
        for broken in [&mut [2, 0, 0][..], &mut [3, 0, 0, 0], &mut [2, 0, 0, 0, 1]] {
            assert!(shift().shift_acl(broken).is_err());
        }
    }

    #[test]
    fn capabilities_change_version_with_their_root_id() {
        let mut two = vec![1, 0, 0, 2];
        two.extend([7; 16]);
        let three = shift().shift_capability(&two).unwrap();
        assert_eq!(three[..4], [1, 0, 0, 3]);
        assert_eq!(three[20..], 100_000u32.to_le_bytes());
        let back = IdShift::new(vec![IdRange { from: 100_000, to: 0, count: 65_536 }], vec![]).unwrap();
        assert_eq!(back.shift_capability(&three).unwrap(), two);
        assert!(back.shift_capability(&two).is_err(), "root id 0 is outside the range");
        assert!(shift().shift_capability(&two[..12]).is_err());
    }
}
