//! `lxc-copy -e`: a throw-away clone, started at once.

use std::process::ExitCode;

use hull_container::{CloneRequest, Container};
use rustix::rand::{GetRandomFlags, getrandom};

use super::call::Call;
use crate::errors::{Failure, Outcome};
use crate::monitor::Launch;
use crate::output;

/// Makes the clone, starts it and says what it is called. Without `--keepdata` LXC's monitor deletes it when it
/// stops; Hull's does not yet, so that is refused.
pub(super) fn run(call: &Call<'_>, original: &Container<'_>, mut request: CloneRequest) -> Outcome {
    call.refuse(&["tmpfs"])?;
    if !call.has("keepdata") {
        return Err(Failure::new(
            "clones that vanish when they stop are not carried out by Hull yet: add --keepdata and delete the \
             clone with lxc-destroy",
        ));
    }
    let mounts = call.values("mount")?.iter().map(|text| mount_entry(text)).collect::<Result<Vec<_>, _>>()?;
    if request.name.is_empty() {
        request.name = format!("{}_{}", original.name(), random_suffix()?);
    }
    let made = original.clone_to(&request)?;
    made.warnings.iter().for_each(|warning| call.warn(warning));
    if !call.quiet() {
        output::line(format!("Created {} as clone of {}", made.name, original.name()))?;
    }
    let session_path = request.lxcpath.clone();
    let home = original.home();
    let lxcpath = session_path.as_deref().or(home.parent()).unwrap_or(&home);
    let mut launch = Launch::new(lxcpath, &made.name);
    launch.set = mounts.into_iter().map(|entry| ("lxc.mount.entry".to_owned(), entry)).collect();
    launch.command = call.rest().to_vec();
    if call.has("foreground") {
        return launch.foreground(call.environment());
    }
    launch.daemonised(call.environment())?.iter().for_each(|warning| call.warn(warning));
    Ok(ExitCode::SUCCESS)
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
