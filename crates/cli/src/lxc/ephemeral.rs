//! `lxc-copy -e`: a throw-away clone, started at once.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use hull_config::Config;
use hull_container::{CloneRequest, Container, DestroyRequest, ErrorKind};
use hull_ipc::State;
use hull_storage::{Reclaim, files};
use hull_sys::entry::ExitCode;
use rustix::rand::{GetRandomFlags, getrandom};

use super::call::Call;
use crate::environment::Environment;
use crate::errors::{Failure, Outcome};
use crate::monitor::Launch;
use crate::output;
use crate::session::{Purpose, Session};

/// Makes the clone, starts it and says what it is called. It is deleted when it stops, unless `--keepdata`: in the
/// foreground by this process, else by one that waits for it.
pub(super) fn run(call: &Call<'_>, original: &Container<'_>, mut request: CloneRequest) -> Outcome {
    call.refuse(&["tmpfs"])?;
    let mounts = call.values("mount")?.iter().map(|text| mount_entry(text)).collect::<Result<Vec<_>, _>>()?;
    if request.name.is_empty() {
        request.name = format!("{}_{}", original.name(), random_suffix()?);
    }
    let home = original.home();
    let lxcpath = match &request.lxcpath {
        Some(path) => path.clone(),
        None => home.parent().unwrap_or(&home).to_path_buf(),
    };
    let made = original.clone_to(&request)?;
    call.tell(&made);
    let name = &made.name;
    let keep = call.has("keepdata");
    let started = (|| {
        if !keep {
            mark(&lxcpath, name)?;
        }
        if !call.quiet() {
            output::line(format!("Created {name} as clone of {}", original.name()))?;
        }
        let mut launch = Launch::new(&lxcpath, name);
        launch.set = mounts.into_iter().map(|entry| ("lxc.mount.entry".to_owned(), entry)).collect();
        launch.command = call.rest().to_vec();
        if call.has("foreground") {
            return launch.foreground_and_wait(call.environment());
        }
        launch.daemonised(call.environment())?.iter().for_each(|warning| call.warn(warning));
        Ok(ExitCode::SUCCESS)
    })();
    match (keep, &started) {
        (true, _) => {}
        (false, Ok(_)) if !call.has("foreground") => spawn_reaper(&lxcpath, name)?,
        (false, _) => reap(call.environment(), lxcpath, name)?,
    }
    started
}

/// Waits until the container stops for good, then deletes it. The monitor may still be cleaning up.
pub(crate) fn reap(environment: &Environment, lxcpath: PathBuf, name: &str) -> Result<(), Failure> {
    // Nobody waits for this process, so it deletes all itself.
    let session = Session::open_to(environment, lxcpath, (Purpose::Look, Reclaim::Now), true)?;
    let container = session.containers().existing(name)?;
    container.client().wait(&[State::Stopped], None)?;
    let mut tries = 0;
    loop {
        match container.destroy(&DestroyRequest::default()) {
            Ok(_) => return Ok(()),
            Err(e) if e.kind() == ErrorKind::InUse && tries < 100 => tries += 1,
            Err(e) => return Err(e.into()),
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Has a process of its own wait for the end of the container: `hull --reap`.
fn spawn_reaper(lxcpath: &Path, name: &str) -> Result<(), Failure> {
    let program = Path::new("/proc/self/exe");
    Command::new(program)
        .arg0("hull")
        .arg("--reap")
        .args([lxcpath.as_os_str(), name.as_ref()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .current_dir("/")
        .process_group(0)
        .spawn()
        .map(drop)
        .map_err(|e| Failure::io("run", program, &e))
}

/// Says in the configuration that the container is not to outlive its run, for LXC as for Hull.
fn mark(lxcpath: &Path, name: &str) -> Result<(), Failure> {
    let path = lxcpath.join(name).join("config");
    let mut config = Config::load(&path)?;
    config.set("lxc.ephemeral", "1")?;
    Ok(files::replace(&path, &path.with_file_name(".config.new"), Some(&config.to_text()), 0o640)?)
}

/// `bind=/from[:/to[:ro|rw]]` as a line of `lxc.mount.entry`.
fn mount_entry(text: &str) -> Result<String, Failure> {
    let wrong = |why: &str| Failure::new(format!("--mount {text:?}: {why}"));
    let Some((kind, rest)) = text.split_once('=') else {
        return Err(wrong("write bind=/from[:/to[:ro]]"));
    };
    match kind {
        "bind" => {}
        "overlay" => return Err(wrong("overlay mounts are not carried out by Hull yet")),
        _ => return Err(wrong("the kind is bind")),
    }
    let mut parts = rest.split(':');
    let from = parts.next().unwrap_or_default();
    let to = parts.next().unwrap_or(from);
    let options = match parts.next() {
        None | Some("rw") => "bind,create=dir",
        Some("ro") => "bind,ro,create=dir",
        Some(_) => return Err(wrong("the access is ro or rw")),
    };
    if parts.next().is_some() || !from.starts_with('/') || !to.starts_with('/') || to == "/" {
        return Err(wrong("both directories must be absolute paths"));
    }
    let escaped = |path: &str| path.replace('\\', "\\134").replace(' ', "\\040").replace('\t', "\\011");
    Ok(format!("{} {} none {options} 0 0", escaped(from), escaped(to.trim_start_matches('/'))))
}

/// Six letters and digits, so that nobody else has chosen the name.
fn random_suffix() -> Result<String, Failure> {
    const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut bytes = [0_u8; 6];
    getrandom(&mut bytes, GetRandomFlags::empty())
        .map_err(|e| Failure::new(format!("cannot choose a name: {}", std::io::Error::from(e))))?;
    Ok(bytes.iter().map(|b| char::from(LETTERS[usize::from(*b) % LETTERS.len()])).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_become_entries() {
        assert_eq!(mount_entry("bind=/a b").unwrap(), "/a\\040b a\\040b none bind,create=dir 0 0");
        assert_eq!(mount_entry("bind=/a:/b/c:ro").unwrap(), "/a b/c none bind,ro,create=dir 0 0");
        for wrong in [
            "",
            "bind",
            "bind=",
            "bind=a",
            "bind=/a:b",
            "bind=/a:/b:xx",
            "bind=/a:/b:ro:x",
            "overlay=/a",
            "bind=/",
        ] {
            assert!(mount_entry(wrong).is_err(), "{wrong}");
        }
    }
}
