//! The monitor's command line; `hull_runtime::launch` documents it.

use hull_config::value::Namespace;
use hull_runtime::attach::Options;
use std::path::PathBuf;

/// What to do.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Arguments {
    pub(crate) foreground: bool,
    pub(crate) reaped: bool,
    pub(crate) status_fd: Option<i32>,
    pub(crate) config: Option<PathBuf>,
    pub(crate) set: Vec<(String, String)>,
    pub(crate) store_settings: Vec<(String, String)>,
    pub(crate) pidfile: Option<PathBuf>,
    pub(crate) share: Vec<(Namespace, String)>,
    pub(crate) allow_unconfined: Vec<String>,
    pub(crate) uid: Option<u32>,
    pub(crate) gid: Option<u32>,
    pub(crate) lxcpath: PathBuf,
    pub(crate) name: String,
    pub(crate) command: Vec<String>,
}

impl Arguments {
    /// Reads the arguments after the program's name. Fails with one line.
    pub(crate) fn parse(words: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut words = words.into_iter();
        let mut parsed = Self::default();
        let mut names = Vec::new();
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} wants a value"));
            match word.as_str() {
                "--foreground" => parsed.foreground = true,
                "--reaped" => parsed.reaped = true,
                "--status-fd" => parsed.status_fd = Some(number(&word, &value()?)?),
                "--config" => parsed.config = Some(value()?.into()),
                "--pidfile" => parsed.pidfile = Some(value()?.into()),
                "--allow-unconfined" => parsed.allow_unconfined.push(value()?),
                "--uid" => parsed.uid = Some(number(&word, &value()?)?),
                "--gid" => parsed.gid = Some(number(&word, &value()?)?),
                "--store-setting" => parsed.store_settings.push(pair(&word, &value()?)?),
                "--set" => parsed.set.push(pair(&word, &value()?)?),
                "--share" => {
                    let (kind, whose) = pair(&word, &value()?)?;
                    let kind =
                        Namespace::parse(&kind).map_err(|_| format!("--share {kind}: no such namespace"))?;
                    parsed.share.push((kind, whose));
                }
                "--" => {
                    parsed.command = words.by_ref().collect();
                }
                option if option.starts_with("--") => {
                    return Err(format!("{option} is no option of hull-monitor"));
                }
                _ => names.push(word),
            }
        }
        let [lxcpath, name] = <[String; 2]>::try_from(names)
            .map_err(|_| "usage: hull-monitor [OPTION]... LXCPATH NAME [-- COMMAND...]".to_owned())?;
        if name.is_empty() || name.contains('/') {
            return Err(format!("{name:?} is no name of a container: it must not be empty or hold a slash"));
        }
        Ok(Self { lxcpath: lxcpath.into(), name, ..parsed })
    }
}

/// Reads the arguments after `--attach`: where, which container, and what. Fails with one line.
pub(crate) fn attach(
    words: impl IntoIterator<Item = String>,
    environment: Vec<(String, String)>,
) -> Result<(PathBuf, String, Options), String> {
    let mut words = words.into_iter();
    let mut options = Options { environment, ..Options::default() };
    let mut names = Vec::new();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} wants a value"));
        match word.as_str() {
            "--clear-env" => options.clear_environment = true,
            "--keep-var" => options.keep.push(value()?),
            "--set-var" => options.set.push(pair(&word, &value()?)?),
            "--uid" => options.uid = Some(number(&word, &value()?)?),
            "--gid" => options.gid = Some(number(&word, &value()?)?),
            "--personality" => options.personality = Some(number(&word, &value()?)?),
            "--cwd" => options.cwd = Some(value()?.into()),
            "--pty-log" => options.log = Some(value()?.into()),
            "--namespace" => {
                let kind = value()?;
                let kind =
                    Namespace::parse(&kind).map_err(|_| format!("--namespace {kind}: no such namespace"))?;
                options.namespaces.get_or_insert_default().push(kind);
            }
            "--elevated" => match value()?.as_str() {
                "CAP" => options.elevated.capabilities = true,
                "CGROUP" => options.elevated.cgroups = true,
                "LSM" => options.elevated.security = true,
                other => return Err(format!("--elevated {other}: use CAP, CGROUP or LSM")),
            },
            "--" => options.command = Some(words.by_ref().collect()),
            option if option.starts_with("--") => {
                return Err(format!("{option} is no option of hull-monitor --attach"));
            }
            _ => names.push(word),
        }
    }
    let [lxcpath, name] = <[String; 2]>::try_from(names)
        .map_err(|_| "usage: hull-monitor --attach [OPTION]... LXCPATH NAME [-- COMMAND...]".to_owned())?;
    Ok((lxcpath.into(), name, options))
}

fn number<T: std::str::FromStr>(option: &str, text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{option} wants a number, not {text:?}"))
}

fn pair(option: &str, text: &str) -> Result<(String, String), String> {
    let (key, value) =
        text.split_once('=').ok_or_else(|| format!("{option} wants KEY=VALUE, not {text:?}"))?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Arguments, String> {
        Arguments::parse(line.split(' ').map(str::to_owned))
    }

    #[test]
    fn options_names_and_command() {
        let a = parse("--foreground --set a=b --share net=c0 /x c1 -- ls --uid").expect("good");
        assert_eq!((a.lxcpath.as_path(), a.name.as_str()), (std::path::Path::new("/x"), "c1"));
        assert_eq!(a.command, ["ls", "--uid"]);
        assert_eq!(a.share, [(Namespace::Net, "c0".to_owned())]);
        assert!(a.foreground && !a.reaped);
        let a = parse("--store-setting lxc.bdev.lvm.vg=vg0 /x c1").expect("good");
        assert_eq!(a.store_settings, [("lxc.bdev.lvm.vg".to_owned(), "vg0".to_owned())]);
    }

    #[test]
    fn what_is_wrong_is_told() {
        for line in
            ["/x", "/x a b", "/x a/b", "--uid x /x c", "--nonsense /x c", "/x c --set a", "/x c --uid"]
        {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
