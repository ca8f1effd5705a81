//! What a volume's directory is called: LXC's `delta0` in its owner's directory, without anything beside it.

use std::path::PathBuf;

use hull_storage::{Layout, Placement, Resource};
use hull_unionfs::Chain;

use crate::NAME;

/// What the upper directory of a volume is called in its owner's directory.
const USUAL: &str = "delta0";

/// The layout of a volume over `lower` whose place is `to`: its one part is the upper directory.
pub(crate) fn layout_at(to: &Placement, lower: Vec<PathBuf>) -> Layout {
    let upper = to.path(USUAL);
    Layout {
        at: Chain { lower, upper: upper.clone() }.locator(NAME),
        parts: vec![Resource::new(NAME, upper)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hull_storage::TxId;
    use std::path::Path;

    #[test]
    fn a_volume_is_its_upper_directory() {
        let home = Placement::in_home("/lxc/c1", "c1");
        for (to, upper) in [
            (home.clone(), "/lxc/c1/delta0"),
            (home.staged(TxId(7)), "/lxc/c1/.new-0000000000000007.delta0"),
            (home.doomed(TxId(7)), "/lxc/c1/.old-0000000000000007.delta0"),
            (Placement::exactly(Path::new("/srv/x")).unwrap(), "/srv/x"),
        ] {
            let layout = layout_at(&to, vec!["/l".into()]);
            assert_eq!(layout.at.to_string(), format!("aufs:/l:{upper}"));
            assert_eq!(layout.parts, [Resource::new(NAME, upper)]);
        }
    }
}
