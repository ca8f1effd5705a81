//! Where volumes are: `loop:/PATH`, one image; in an owner's directory it is called `rootdev`, as LXC does.

use std::path::PathBuf;

use hull_storage::{Layout, Placement, paths};

use crate::NAME;

/// What a volume is called in its owner's directory.
const USUAL: &str = "rootdev";

/// The layout of the volume whose place is `to`.
pub(crate) fn layout_at(to: &Placement) -> Layout {
    layout(to.path(USUAL))
}

/// The layout of the volume at `path`.
pub(crate) fn layout(path: PathBuf) -> Layout {
    paths::layout(NAME, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hull_storage::TxId;
    use std::path::Path;

    #[test]
    fn homes_and_exact_places_before_and_after_the_move() {
        let home = Placement::in_home("/lxc/c1", "c1");
        let exact = Placement::exactly(Path::new("/srv/x")).unwrap();
        for (to, expected) in [
            (home.clone(), "loop:/lxc/c1/rootdev"),
            (home.staged(TxId(7)), "loop:/lxc/c1/.new-0000000000000007.rootdev"),
            (home.doomed(TxId(7)), "loop:/lxc/c1/.old-0000000000000007.rootdev"),
            (exact.clone(), "loop:/srv/x"),
            (exact.staged(TxId(7)), "loop:/srv/.new-0000000000000007.x"),
        ] {
            let layout = layout_at(&to);
            assert_eq!(layout.at.to_string(), expected);
            assert_eq!(layout.parts.len(), 1);
            assert_eq!(layout.parts[0].path(), layout.at.path());
        }
    }
}
