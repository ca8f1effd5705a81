//! A short form of `hull-soak scale` with a fixed seed.

use hull_integration_tests::grounds::Ground;
use hull_integration_tests::scale::{self, Scale};

#[test]
fn snapshots_and_chains_go_in_any_order() {
    for (kind, store) in [("ext4", "dir"), ("ext4", "overlay"), ("btrfs", "btrfs"), ("xfs", "loop")] {
        let ground = match Ground::of_size(kind, 4 << 30) {
            Ok(ground) => ground,
            Err(reason) => return hull_testskip::skip("snapshots_and_chains_go_in_any_order", reason),
        };
        let scale = Scale { snapshots: 12, depth: 6, seed: 1 };
        let times = scale::run(&ground.lxcpath(), store, scale)
            .unwrap_or_else(|why| panic!("{store} on {kind}: {why}"));
        assert_eq!((times.create.len(), times.delete.len(), times.clone.len()), (12, 12, 6));
        // The container, its clones, and the directory below an overlay.
        assert!(times.destroy.len() >= 7, "{} were destroyed", times.destroy.len());
    }
}
