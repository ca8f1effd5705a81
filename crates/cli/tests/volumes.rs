//! Volumes without containers: what others need, or look at, is not taken away.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn hull(scratch: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hull"));
    // The state directory of root is the machine's; as a user's it lies in the scratch.
    command.arg("volume").args(words).env("XDG_STATE_HOME", scratch.join("state")).env("HOME", scratch);
    command.output().expect("hull runs")
}

fn done(scratch: &Path, words: &[&str]) {
    let output = hull(scratch, words);
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn refused(scratch: &Path, words: &[&str], why: &str) {
    let output = hull(scratch, words);
    let line = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && line.contains(why) && line.lines().count() == 1, "{words:?}: {line}");
}

#[test]
fn a_volume_that_clones_need_or_somebody_looks_at_stays() {
    if !rustix::process::geteuid().is_root() {
        return hull_testskip::skip(
            "a_volume_that_clones_need_or_somebody_looks_at_stays",
            "needs root to mount",
        );
    }
    let scratch = tempfile::tempdir().expect("a scratch directory");
    let dir = scratch.path();
    let text = dir.display().to_string();
    let (base, clone) = (format!("dir:{text}/base"), format!("overlay:{text}/base:{text}/clone/delta"));
    done(dir, &["create", &base]);
    fs::write(dir.join("base/file"), "precious").expect("written");
    done(dir, &["clone", &base, &format!("{text}/clone"), "--snapshot"]);
    refused(dir, &["rm", &base], "needs it");
    refused(dir, &["rename", &base, &format!("{text}/other")], "needs it");
    done(dir, &["rename", &clone, &format!("{text}/renamed")]);
    let clone = format!("overlay:{text}/base:{text}/renamed/delta");
    refused(dir, &["rm", &base], "renamed/delta needs it");
    fs::create_dir(dir.join("mnt")).expect("made");
    done(dir, &["mount", &clone, &format!("{text}/mnt")]);
    refused(dir, &["rm", &clone], "unmount it first");
    let seen = fs::read_to_string(dir.join("mnt/file"));
    done(dir, &["umount", &format!("{text}/mnt")]);
    assert_eq!(seen.expect("the clone shows its base"), "precious");
    done(dir, &["rm", &clone]);
    done(dir, &["rm", &base]);
    assert!(!dir.join("base").exists() && !dir.join("renamed").exists());
}
