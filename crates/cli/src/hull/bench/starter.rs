//! Starts containers for the workload `start`: with the monitor, as `hull start` does.

use std::cell::{Cell, OnceCell};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hull_bench::Starter;
use hull_runtime::stop::{self, Ended};
use hull_storage::{Error, ErrorKind, Locator, Result};
use tempfile::TempDir;

use crate::environment::Environment;
use crate::monitor::Launch;

/// Where the init lies in the volume.
const INIT: &str = "hull-bench/init";
/// How long a killed container may take to be gone.
const PATIENCE: Duration = Duration::from_secs(10);

/// Starts containers in an lxcpath of its own.
#[derive(Debug)]
pub(super) struct Monitors {
    environment: Environment,
    work: PathBuf,
    lxcpath: OnceCell<TempDir>,
    started: Cell<u32>,
}

impl Monitors {
    /// Nothing is made before the first container; then its lxcpath lies in the directory `work`.
    pub(super) fn new(environment: Environment, work: &Path) -> Self {
        Self { environment, work: work.to_path_buf(), lxcpath: OnceCell::new(), started: Cell::new(0) }
    }

    fn lxcpath(&self) -> Result<&Path> {
        if self.lxcpath.get().is_none() {
            let dir = tempfile::Builder::new().prefix("hull-bench-").tempdir_in(&self.work);
            let dir = dir.map_err(|e| failed("make an lxcpath in", &self.work, e))?;
            let _ = self.lxcpath.set(dir);
        }
        Ok(self.lxcpath.get().map_or(Path::new("/"), TempDir::path))
    }
}

impl Starter for Monitors {
    fn is_ready(&self) -> std::result::Result<(), String> {
        if !self.environment.privileged() {
            return Err("starting containers here takes root".into());
        }
        if !cfg!(target_arch = "x86_64") {
            return Err("its init is a program for x86-64".into());
        }
        self.environment.monitor().map(drop).map_err(|e| e.to_string())
    }

    fn furnish(&self, root: &Path) -> Result<()> {
        // What is mounted into every container.
        for dir in ["dev", "proc", "sys"] {
            match fs::create_dir(root.join(dir)) {
                Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => {
                    return Err(failed("make", &root.join(dir), e));
                }
                _ => {}
            }
        }
        let path = root.join(INIT);
        fs::write(&path, init())
            .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o755)))
            .map_err(|e| failed("write", &path, e))
    }

    fn start(&self, at: &Locator) -> Result<String> {
        self.started.set(self.started.get() + 1);
        let name = format!("c{}", self.started.get());
        let lxcpath = self.lxcpath()?;
        let home = lxcpath.join(&name);
        let mut config = b"lxc.rootfs.path = ".to_vec();
        config.extend_from_slice(at.to_os_string().as_bytes());
        config.extend_from_slice(
            format!("\nlxc.uts.name = {name}\nlxc.init.cmd = /{INIT}\nlxc.net.0.type = empty\n").as_bytes(),
        );
        fs::create_dir(&home)
            .and_then(|()| fs::write(home.join("config"), config))
            .map_err(|e| failed("define a container in", &home, e))?;
        let launch = Launch::new(lxcpath, &name);
        launch.daemonised(&self.environment).map_err(|e| Error::new(ErrorKind::Os, e.to_string()))?;
        Ok(name)
    }

    fn stop(&self, name: &str) -> Result<()> {
        let lxcpath = self.lxcpath()?;
        let ended = stop::kill(lxcpath, name, Instant::now().checked_add(PATIENCE));
        match ended.map_err(|e| Error::new(ErrorKind::Os, e.to_string()))? {
            Ended::Yes => {}
            Ended::No => {
                let text = format!("the container {name} in {} does not end", lxcpath.display());
                return Err(Error::new(ErrorKind::InUse, text));
            }
        }
        let home = lxcpath.join(name);
        fs::remove_dir_all(&home).map_err(|e| failed("remove", &home, e))
    }
}

impl Drop for Monitors {
    fn drop(&mut self) {
        if let Some(lxcpath) = self.lxcpath.get() {
            // Locks are kept by LXC's rule, per lxcpath; nobody else uses this one.
            let below = lxcpath.path().strip_prefix("/").unwrap_or(lxcpath.path());
            let locks = self.environment.rundir().join("lxc/lock");
            let _ = fs::remove_dir_all(locks.join(below));
        }
    }
}

/// A program for x86-64 that waits for ever: an ELF file of one segment, elf(5).
fn init() -> Vec<u8> {
    const AT: u64 = 0x40_0000;
    const HEADERS: u64 = 64 + 56;
    // again: mov eax, 34 (pause); syscall; jmp again
    const CODE: [u8; 9] = [0xb8, 34, 0, 0, 0, 0x0f, 0x05, 0xeb, 0xf7];
    let size = HEADERS + CODE.len() as u64;
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    let half = |file: &mut Vec<u8>, n: u16| file.extend(n.to_le_bytes());
    let word = |file: &mut Vec<u8>, n: u32| file.extend(n.to_le_bytes());
    let long = |file: &mut Vec<u8>, n: u64| file.extend(n.to_le_bytes());
    half(&mut file, 2); // ET_EXEC
    half(&mut file, 62); // EM_X86_64
    word(&mut file, 1); // EV_CURRENT
    long(&mut file, AT + HEADERS); // where it begins
    long(&mut file, 64); // program headers
    long(&mut file, 0); // no section headers
    word(&mut file, 0); // flags
    for n in [64, 56, 1, 0, 0, 0] {
        half(&mut file, n); // sizes and numbers of headers
    }
    word(&mut file, 1); // PT_LOAD
    word(&mut file, 5); // read, execute
    for n in [0, AT, AT, size, size, 0x1000] {
        long(&mut file, n); // offset, addresses, sizes, alignment
    }
    file.extend(CODE);
    file
}

fn failed(what: &str, path: &Path, error: std::io::Error) -> Error {
    Error::new(ErrorKind::Os, format!("cannot {what} {}", path.display())).because(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_init_runs_until_it_is_killed() {
        if !cfg!(target_arch = "x86_64") {
            return hull_testskip::skip(
                "the_init_runs_until_it_is_killed",
                "its init is a program for x86-64",
            );
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("init");
        fs::write(&path, init()).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let mut child = loop {
            match std::process::Command::new(&path).spawn() {
                Ok(child) => break child,
                // Another test has forked while the file was open for writing.
                Err(e) if e.kind() == std::io::ErrorKind::ExecutableFileBusy => continue,
                Err(e) => panic!("{e}"),
            }
        };
        std::thread::sleep(Duration::from_millis(50));
        assert!(child.try_wait().unwrap().is_none(), "it waits");
        child.kill().unwrap();
        assert!(!child.wait().unwrap().success());
    }
}
