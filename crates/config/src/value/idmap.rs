//! The id maps of a user namespace (`user_namespaces`(7)).

use std::fmt;

use crate::error::{Fault, quoted};
use crate::value::scalar::parse_unsigned;

/// Which ids a map translates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IdKind {
    /// User ids.
    User,
    /// Group ids.
    Group,
    /// Both.
    Both,
}

/// A range of ids inside the container and the range outside that stands for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct IdMap {
    /// Which ids.
    pub kind: IdKind,
    /// The first id inside the container.
    pub inside: u32,
    /// The first id outside.
    pub outside: u32,
    /// How many ids.
    pub count: u32,
}

impl IdMap {
    /// Reads `u 0 100000 65536`; `b` maps users and groups alike.
    ///
    /// Fails when a range is empty or leaves the ids that exist, which the kernel would refuse only when
    /// the container starts.
    pub fn parse(value: &str) -> Result<Self, Fault> {
        let fault = || {
            Fault::new(
                format!("{} is not an id map", quoted(value)),
                "write \"u|g|b FIRST-INSIDE FIRST-OUTSIDE COUNT\", such as \"u 0 100000 65536\"",
            )
        };
        let words: Vec<&str> = value.split_whitespace().collect();
        let [kind, inside, outside, count] = words[..] else { return Err(fault()) };
        let kind = match kind {
            "u" => IdKind::User,
            "g" => IdKind::Group,
            "b" => IdKind::Both,
            _ => return Err(fault()),
        };
        let number = |text| parse_unsigned(text).map_err(|_| fault());
        let (inside, outside, count) = (number(inside)?, number(outside)?, number(count)?);
        if count == 0 {
            return Err(Fault::new(format!("{} maps no ids", quoted(value)), "use a count of at least 1"));
        }
        // 4294967295 is no id to the kernel, so a range must end below it.
        if inside.checked_add(count).is_none() || outside.checked_add(count).is_none() {
            return Err(Fault::new(
                format!("{} runs past the last id 4294967294", quoted(value)),
                "use a smaller count",
            ));
        }
        Ok(Self { kind, inside, outside, count })
    }

    /// Whether the map translates user ids.
    pub fn maps_users(self) -> bool {
        self.kind != IdKind::Group
    }

    /// Whether the map translates group ids.
    pub fn maps_groups(self) -> bool {
        self.kind != IdKind::User
    }

    fn overlaps(self, other: Self) -> bool {
        let same_ids = self.maps_users() && other.maps_users() || self.maps_groups() && other.maps_groups();
        let meet = |a: u32, b: u32| {
            u64::from(a) < u64::from(b) + u64::from(other.count)
                && u64::from(b) < u64::from(a) + u64::from(self.count)
        };
        same_ids && (meet(self.inside, other.inside) || meet(self.outside, other.outside))
    }
}

impl fmt::Display for IdMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            IdKind::User => 'u',
            IdKind::Group => 'g',
            IdKind::Both => 'b',
        };
        write!(f, "{kind} {} {} {}", self.inside, self.outside, self.count)
    }
}

/// Checks that no two maps of one kind share an id on either side, and that there are no more than the
/// kernel takes (340 of each kind since Linux 4.15).
pub fn check_id_maps(maps: &[IdMap]) -> Result<(), Fault> {
    const MOST: usize = 340;
    for (kind, count) in [
        ("user", maps.iter().filter(|map| map.maps_users()).count()),
        ("group", maps.iter().filter(|map| map.maps_groups()).count()),
    ] {
        if count > MOST {
            return Err(Fault::new(
                format!("{count} maps of {kind} ids"),
                format!("the kernel takes at most {MOST}: join neighbouring ranges"),
            ));
        }
    }
    for (index, map) in maps.iter().enumerate() {
        if let Some(other) = maps[..index].iter().find(|other| map.overlaps(**other)) {
            return Err(Fault::new(
                format!("the id maps \"{other}\" and \"{map}\" overlap"),
                "give each id inside and outside to one map only",
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_prints() {
        assert_eq!(IdMap::parse("u  0 100000\t65536").unwrap().to_string(), "u 0 100000 65536");
        for text in [
            "",
            "x 0 1 2",
            "u 0 1",
            "u 0 1 2 3",
            "u 0 1 0",
            "u -1 0 1",
            "u 0 4294967295 1",
            "u 1 1 4294967295",
        ] {
            assert!(IdMap::parse(text).is_err(), "{text}");
        }
        assert!(IdMap::parse("u 0 0 4294967295").is_ok(), "the host's own map");
    }

    #[test]
    fn overlap_is_per_kind_and_side() {
        let check = |lines: &[&str]| {
            check_id_maps(&lines.iter().map(|line| IdMap::parse(line).unwrap()).collect::<Vec<_>>()).is_ok()
        };
        assert!(check(&["u 0 100000 10", "g 0 100000 10"]));
        assert!(check(&["u 0 100000 10", "u 10 100010 10"]));
        assert!(!check(&["u 0 100000 10", "u 9 200000 10"]));
        assert!(!check(&["u 0 100000 10", "u 50 100009 1"]));
        assert!(!check(&["b 0 100000 10", "g 0 200000 1"]));
    }
}
