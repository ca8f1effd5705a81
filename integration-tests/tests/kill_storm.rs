//! The short form of `cargo xtask soak kills`: one seed, deaths only at the journal's moments.

use std::path::Path;

use hull_integration_tests::grounds::Ground;
use hull_integration_tests::storm::{self, Deaths, Storm};

fn short(test: &str, kind: &str, store: &str) {
    let ground = match Ground::new(kind) {
        Ok(ground) => ground,
        Err(why) => return hull_testskip::skip(test, why),
    };
    let storm = Storm { seed: 0x4855_4c4c, workers: 3, operations: 30, deaths: Deaths::InTheJournal };
    match storm::run(&ground, store, Path::new(env!("CARGO_BIN_EXE_hull-crasher")), storm) {
        Ok(tally) => {
            println!("{tally:?}");
            assert!(tally.done > 5 && tally.killed > 5, "hardly anything happened: {tally:?}");
        }
        Err(wrong) => panic!("{store} on {kind}, {storm:?}:\n{}", wrong.join("\n")),
    }
}

#[test]
fn dir_on_ext4() {
    short("kill_storm::dir_on_ext4", "ext4", "dir");
}

#[test]
fn btrfs() {
    short("kill_storm::btrfs", "btrfs", "btrfs");
}
