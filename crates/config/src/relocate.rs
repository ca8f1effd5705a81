//! Following a container's directory to another path, as cloning and renaming need.

use std::path::Path;

use crate::config::{Assigns, Config, OwnLine};
use crate::edit::{check_text, with_value};
use crate::error::{Error, Fault, Result};
use crate::keys;

/// How a key's value writes a path.
#[derive(Clone, Copy)]
enum Spelling {
    Plain,
    /// With blanks as `\040`, as in an fstab.
    Fstab,
}

impl Config {
    /// Replaces the directory `old` by `new` in the container's own text, wherever a value names it or
    /// something below it: the root file system, hooks, the fstab, mount entries and the layers of overlays
    /// among their options, log and console files, seccomp profile and includes. `/a/b` is found in `/a/b`
    /// and `/a/b/c`, not in `/a/bc` nor `/x/a/b`. Returns how many lines changed.
    ///
    /// Fails when either path is not absolute, is `/`, or is not text; then nothing has changed.
    pub fn replace_path_prefix(&mut self, old: &Path, new: &Path) -> Result<usize> {
        let old = self.directory(old)?;
        let new = self.directory(new)?;
        let mut changed = 0;
        let mut lines = self.modern_lines();
        for line in &mut lines {
            let replaced = match &line.assigns {
                Assigns::Nothing => None,
                Assigns::Own { key, value } => spelling(key)
                    .and_then(|spelling| relocate(value, &spell(old, spelling), &spell(new, spelling)))
                    .map(|value| (Assigns::Own { key: key.clone(), value: value.clone() }, value)),
                Assigns::Included(found) => crate::syntax::assignment(&line.text)
                    .and_then(|(_, value)| relocate(value, old, new))
                    .map(|value| (Assigns::Included(found.clone()), value)),
            };
            if let Some((assigns, value)) = replaced {
                *line = with_value(line, &value, &OwnLine { text: line.text.clone(), assigns });
                changed += 1;
            }
        }
        if changed > 0 {
            self.commit(lines)?;
        }
        Ok(changed)
    }

    fn directory<'a>(&self, path: &'a Path) -> Result<&'a str> {
        let fail = |reason: &str| {
            let fault = Fault::new(
                format!("{} {reason}", path.display()),
                "give the absolute path of the container's directory",
            );
            Error::new(self.origin(), fault)
        };
        let text = path.to_str().ok_or_else(|| fail("is not valid UTF-8"))?;
        check_text(text).map_err(|fault| Error::new(self.origin(), fault))?;
        let text = text.trim_end_matches('/');
        if text.starts_with('/') { Ok(text) } else { Err(fail("is not an absolute directory below /")) }
    }
}

/// The keys whose values name paths of the host.
fn spelling(key: &str) -> Option<Spelling> {
    let key = keys::lookup(key)?;
    match key.spec.name {
        "lxc.mount.entry" => Some(Spelling::Fstab),
        "lxc.rootfs.path"
        | "lxc.rootfs.options"
        | "lxc.mount.fstab"
        | "lxc.mount.auto"
        | "lxc.log.file"
        | "lxc.console.path"
        | "lxc.console.logfile"
        | "lxc.seccomp.profile"
        | "lxc.seccomp.notify.proxy"
        | "script.up"
        | "script.down" => Some(Spelling::Plain),
        name if name.starts_with("lxc.hook.") => Some(Spelling::Plain),
        _ => None,
    }
}

fn spell(path: &str, spelling: Spelling) -> String {
    match spelling {
        Spelling::Plain => path.to_owned(),
        Spelling::Fstab => path.chars().fold(String::new(), |mut out, c| {
            match c {
                ' ' | '\t' | '\\' => out.push_str(&format!("\\{:03o}", u32::from(c))),
                _ => out.push(c),
            }
            out
        }),
    }
}

/// Replaces `old` where a path begins with it. `None` when it does nowhere.
fn relocate(value: &str, old: &str, new: &str) -> Option<String> {
    // What may stand before a path: `dir:/a`, `lowerdir=/a`, `cmd /a`, `-f=/a,/b`, quotes in commands.
    let begins = |before: &str| before.chars().next_back().is_none_or(|c| " \t:=,\"'".contains(c));
    let ends = |after: &str| after.chars().next().is_none_or(|c| "/ \t:,\"'".contains(c));
    let mut out = String::with_capacity(value.len());
    let mut copied = 0;
    let mut from = 0;
    while let Some(at) = value[from..].find(old).map(|at| from + at) {
        let end = at + old.len();
        if begins(&value[..at]) && ends(&value[end..]) {
            out.push_str(&value[copied..at]);
            out.push_str(new);
            copied = end;
            from = end;
        } else {
            // `old` begins with "/", one byte.
            from = at + 1;
        }
    }
    (copied > 0).then(|| out + &value[copied..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_components_are_replaced() {
        let table = [
            ("/l/c1", Some("/l/c2")),
            ("dir:/l/c1/rootfs", Some("dir:/l/c2/rootfs")),
            ("overlay:/l/c1/a:/l/c1/b", Some("overlay:/l/c2/a:/l/c2/b")),
            ("overlay:/l/c0/a:/l/c1/b", Some("overlay:/l/c0/a:/l/c2/b")),
            ("/l/c10/rootfs", None),
            ("/x/l/c1/rootfs", None),
            ("/l/c1x:/l/c1", Some("/l/c1x:/l/c2")),
            (
                "o m overlay lowerdir=/l/c1/a,upperdir=/l/c1,workdir=/l/c1/w 0",
                Some("o m overlay lowerdir=/l/c2/a,upperdir=/l/c2,workdir=/l/c2/w 0"),
            ),
            ("sh -c '/l/c1/hook' /l/c1", Some("sh -c '/l/c2/hook' /l/c2")),
            ("/l/c1/l/c1", Some("/l/c2/l/c1")),
        ];
        for (value, expected) in table {
            assert_eq!(relocate(value, "/l/c1", "/l/c2").as_deref(), expected, "{value}");
        }
    }

    #[test]
    fn follows_paths_in_path_keys_only() {
        let text = "# /l/c 1/x\nlxc.rootfs.path = dir:/l/c 1/rootfs\nlxc.mount.entry = /l/c\\0401/d mnt none bind 0 0\nlxc.init.cmd = /l/c 1/init\nlxc.uts.name = c\n";
        let mut config = Config::parse(text.as_bytes(), "c".as_ref(), None).unwrap();
        assert_eq!(config.replace_path_prefix("/l/c 1/".as_ref(), "/m/d\\e f".as_ref()).unwrap(), 2);
        let text = String::from_utf8(config.to_text()).unwrap();
        assert_eq!(
            text,
            "# /l/c 1/x\nlxc.rootfs.path = dir:/m/d\\e f/rootfs\nlxc.mount.entry = /m/d\\134e\\040f/d mnt none bind 0 0\nlxc.init.cmd = /l/c 1/init\nlxc.uts.name = c\n"
        );
        assert_eq!(config.mount_entries().unwrap()[0].source, "/m/d\\e f/d");
        for path in ["", "/", "a", "/a\nlxc.uts.name = b"] {
            assert!(config.replace_path_prefix(path.as_ref(), "/x".as_ref()).is_err(), "{path:?}");
        }
    }
}
