//! A small Debian as a tarball, made by mmdebstrap once and kept in the target folder.

use std::fs;
use std::path::{Path, PathBuf};

use crate::{Result, process};

/// An init that needs nothing: it waits, reaps, and ends when asked to as LXC asks (SIGPWR). Debian's smallest
/// variant has none of its own.
const INIT: &str = r#"printf '%s\n' '#!/bin/sh' 'trap "exit 0" PWR INT TERM' 'while :; do sleep 3600 & wait $!; done' > "$1/sbin/init" && chmod 755 "$1/sbin/init""#;

/// Returns the tarball, made now if it is not in `target` yet. Fails when mmdebstrap does.
pub(crate) fn debian(target: &Path) -> Result<PathBuf> {
    let recipe = recipe(&fs::read_to_string("/etc/os-release").unwrap_or_default());
    let cache = target.join("demo-cache");
    let archive = cache.join(format!("debian-{:016x}.tar", key(&recipe)));
    if archive.exists() {
        return Ok(archive);
    }
    let cannot = |error: std::io::Error| format!("cannot make {}: {error}", archive.display());
    fs::create_dir_all(&cache).map_err(cannot)?;
    // The name ends in .tar, by which mmdebstrap knows what to make; only a finished one gets the final name.
    let unfinished = cache.join(format!("unfinished-{}.tar", std::process::id()));
    let mut mmdebstrap = process::command("mmdebstrap");
    mmdebstrap.args(recipe.iter().filter(|part| !part.is_empty()));
    mmdebstrap.arg(&unfinished).args(mirror());
    if let Err(reason) = process::capture(&mut mmdebstrap) {
        let _ = fs::remove_file(&unfinished);
        return Err(reason);
    }
    fs::rename(&unfinished, &archive).map_err(cannot)?;
    Ok(archive)
}

/// What decides the content: mmdebstrap's arguments, the suite last.
fn recipe(os_release: &str) -> Vec<String> {
    let value = |key: &str| os_release.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    let codename = value("VERSION_CODENAME").map(|name| name.trim_matches('"'));
    let suite = codename.filter(|_| value("ID") == Some("debian")).unwrap_or("bookworm");
    // Without manuals and translations, as container images are.
    let hooks = [
        "--dpkgopt=path-exclude=/usr/share/doc/*".to_owned(),
        "--dpkgopt=path-exclude=/usr/share/man/*".to_owned(),
        "--dpkgopt=path-exclude=/usr/share/locale/*".to_owned(),
        format!("--customize-hook={INIT}"),
    ];
    let variant = ["--quiet".to_owned(), "--variant=essential".to_owned()];
    variant.into_iter().chain(hooks).chain([suite.to_owned()]).collect()
}

/// The mirror that this machine's own apt uses, if it is Debian's; without it mmdebstrap has its default.
fn mirror() -> Option<&'static str> {
    ["/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list"].into_iter().find(|path| {
        fs::read_to_string(path)
            .is_ok_and(|text| text.contains("URIs:") || text.lines().any(|line| line.starts_with("deb ")))
    })
}

/// FNV-1a over the recipe: a name for the content that stays the same from build to build.
fn key(recipe: &[String]) -> u64 {
    let bytes = recipe.iter().flat_map(|part| part.bytes().chain([0]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::{key, recipe};

    #[test]
    fn the_suite_is_the_hosts_own_on_debian() {
        let suite = |os_release| recipe(os_release).pop();
        assert_eq!(suite("ID=debian\nVERSION_CODENAME=trixie\n").as_deref(), Some("trixie"));
        assert_eq!(suite("ID=ubuntu\nVERSION_CODENAME=noble\n").as_deref(), Some("bookworm"));
        assert_eq!(suite("").as_deref(), Some("bookworm"));
    }

    #[test]
    fn another_recipe_has_another_key() {
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        assert_eq!(key(&words(&["a", "b"])), key(&words(&["a", "b"])));
        assert_ne!(key(&words(&["a", "b"])), key(&words(&["ab", ""])));
    }
}
