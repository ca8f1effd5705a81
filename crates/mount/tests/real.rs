//! Plans built on the real kernel. Needs root.

use hull_mount::{Access, DetachedMount, MountPlan, MountSource, Union, UpperDir};
use rustix::fd::AsFd;
use rustix::fs::{Mode, OFlags};
use std::fs;
use std::path::Path;

fn root(test: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        println!("skipped: {test}: needs root");
    }
    root
}

/// Reads a file through the detached mount: nothing is attached anywhere.
fn read(mount: &DetachedMount, path: &str) -> String {
    let fd = rustix::fs::openat(mount.as_fd(), path, OFlags::RDONLY, Mode::empty()).expect(path);
    std::io::read_to_string(fs::File::from(fd)).expect("readable")
}

#[test]
fn a_tree_appears_and_goes() {
    if !root("a_tree_appears_and_goes") {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let (from, to) = (scratch.path().join("from"), scratch.path().join("to"));
    fs::create_dir(&from).unwrap();
    fs::create_dir(&to).unwrap();
    fs::write(from.join("f"), "hello").unwrap();
    let plan = MountPlan::new(MountSource::Tree(from), Access::ReadOnly);
    let mount = DetachedMount::build(&plan, None).unwrap();
    assert_eq!(read(&mount, "f"), "hello");
    let guard = mount.attach(rustix::fs::CWD, &to).unwrap();
    assert!(hull_mount::table::is_mount_point(&to).unwrap());
    assert_eq!(fs::write(to.join("g"), "x").unwrap_err().kind(), std::io::ErrorKind::ReadOnlyFilesystem);
    guard.unmount().unwrap();
    assert!(!hull_mount::table::is_mount_point(&to).unwrap());
}

#[test]
fn overlay_layers_may_have_any_name_and_number() {
    if !root("overlay_layers_may_have_any_name_and_number") {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let odd = scratch.path().join("a:b,c\\d e\u{e9}".repeat(8));
    fs::create_dir(&odd).unwrap();
    let mut lower = Vec::new();
    for n in 0..120 {
        let layer = odd.join(format!("l:{n}"));
        fs::create_dir(&layer).unwrap();
        fs::write(layer.join(format!("f{n}")), n.to_string()).unwrap();
        fs::write(layer.join("top"), n.to_string()).unwrap();
        lower.push(layer);
    }
    let upper = UpperDir { upper: odd.join("up,per"), work: Some(odd.join("work")) };
    fs::create_dir(&upper.upper).unwrap();
    fs::create_dir(odd.join("work")).unwrap();
    let source = MountSource::Union { flavour: Union::Overlay, lower, upper: Some(upper.clone()) };
    let mount = DetachedMount::build(&MountPlan::new(source, Access::ReadWrite), None).unwrap();
    assert_eq!(read(&mount, "top"), "0", "the first lower layer is the uppermost");
    assert_eq!(read(&mount, "f119"), "119");
    let new = rustix::fs::openat(&mount, "new", OFlags::CREATE | OFlags::WRONLY, Mode::RUSR).unwrap();
    drop((new, mount));
    assert!(upper.upper.join("new").exists(), "writes go to the upper layer");
}

#[test]
fn failures_print_the_call() {
    if !root("failures_print_the_call") {
        return;
    }
    let plan = MountPlan::new(MountSource::Tree("/nonexistent/x".into()), Access::ReadOnly);
    let error = DetachedMount::build(&plan, None).unwrap_err().to_string();
    assert_eq!(error, "open(/nonexistent/x): No such file or directory");
    let source = MountSource::Filesystem { fstype: "nosuchfs".into(), source: Path::new("none").into() };
    let error =
        DetachedMount::build(&MountPlan::new(source, Access::ReadOnly), None).unwrap_err().to_string();
    assert_eq!(error, "fsopen(\"nosuchfs\"): No such device");
}
