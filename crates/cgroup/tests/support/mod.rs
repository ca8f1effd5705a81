//! Groups for tests to use, and their removal.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic, too")]

use hull_cgroup::{Plan, Version, View};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Groups of one test, gone when it ends, however it ends.
pub(crate) struct Ground {
    pub(crate) view: View,
    pub(crate) dir: String,
    /// Where `dir` may come to be, also after a test has narrowed `view`.
    everywhere: Vec<PathBuf>,
    pub(crate) children: Vec<Child>,
}

impl Ground {
    /// `None`, and a word why, where groups cannot be made.
    pub(crate) fn new(test: &str) -> Option<Self> {
        let view = View::of_self().unwrap();
        if !rustix::process::getuid().is_root() || view.hierarchies.is_empty() {
            eprintln!("skipped: needs root and mounted cgroup hierarchies");
            return None;
        }
        let dir = format!("hull-test-{}-{test}", std::process::id());
        let everywhere = view.hierarchies.iter().map(|h| h.mount_point.join(&dir)).collect();
        Some(Self { view, dir, everywhere, children: Vec::new() })
    }

    pub(crate) fn plan(&self, name: &str) -> Plan {
        Plan { dir: Some(self.dir.clone()), ..Plan::new(name) }
    }

    pub(crate) fn has(&self, controller: &str) -> bool {
        let found = self
            .view
            .hierarchies
            .iter()
            .any(|h| h.version == Version::One && h.controllers.iter().any(|c| c == controller));
        if !found {
            eprintln!("skipped: cgroup v1's {controller} is not mounted");
        }
        found
    }

    /// A process that lasts and is a child of ours.
    pub(crate) fn process(&mut self) -> i32 {
        let child = Command::new("sleep").arg("1000").stdin(Stdio::null()).spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        self.children.push(child);
        pid
    }

    /// Runs `kill`, meanwhile taking note of our children's ends, as their parent must.
    pub(crate) fn reaping<T>(&mut self, kill: impl FnOnce() -> T) -> T {
        let children = &mut self.children;
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let end = soon();
                while Instant::now() < end && children.iter_mut().any(|c| c.try_wait().unwrap().is_none()) {
                    std::thread::sleep(Duration::from_millis(2));
                }
            });
            kill()
        })
    }

    pub(crate) fn directories(&self) -> Vec<PathBuf> {
        self.view.hierarchies.iter().map(|h| h.mount_point.join(&self.dir)).collect()
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        for directory in &self.everywhere {
            // What is frozen does not die; these files are in version 1's freezer only.
            for group in std::fs::read_dir(directory).into_iter().flatten().flatten() {
                let _ = std::fs::write(group.path().join("freezer.state"), "THAWED");
            }
        }
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
        for directory in &self.everywhere {
            let end = soon();
            while directory.exists() && Instant::now() < end {
                remove(directory);
            }
        }
    }
}

fn remove(directory: &std::path::Path) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|t| t.is_dir()) {
            remove(&entry.path());
        }
    }
    let _ = std::fs::remove_dir(directory);
}

pub(crate) fn soon() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

pub(crate) fn groups_of(pid: i32) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap()
}
