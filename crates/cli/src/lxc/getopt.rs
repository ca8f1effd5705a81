//! Command lines as getopt_long(3) reads them, by a clap table.
//!
//! Clap's own parser differs where scripts for LXC would notice: `-n=x` names a container `=x`, `-eCAP` is an
//! optional argument, `--na` is `--name`, and an option's argument may begin with a hyphen.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use clap::{Arg, Command};

/// What an option takes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Takes {
    Nothing,
    Perhaps,
    Value,
}

/// A command line, taken apart.
#[derive(Debug, Default)]
pub(crate) struct Matches {
    options: Vec<(String, Option<OsString>)>,
    operands: Vec<OsString>,
}

impl Matches {
    /// Whether the option `id` was given.
    pub(crate) fn has(&self, id: &str) -> bool {
        self.options.iter().any(|(i, _)| i == id)
    }

    /// The argument of the option `id`; the last one counts.
    pub(crate) fn value(&self, id: &str) -> Option<&OsStr> {
        self.values(id).last()
    }

    /// The arguments of the option `id`, in order.
    pub(crate) fn values(&self, id: &str) -> impl Iterator<Item = &OsStr> {
        self.options.iter().filter(move |(i, _)| i == id).filter_map(|(_, v)| v.as_deref())
    }

    /// The options given, in order.
    pub(crate) fn options(&self) -> impl Iterator<Item = &str> {
        self.options.iter().map(|(id, _)| id.as_str())
    }

    /// What is not an option.
    pub(crate) fn operands(&self) -> &[OsString] {
        &self.operands
    }
}

/// Takes `args` apart by the options of `table`. Operands and options may be mixed up to `--`; long options
/// may be shortened as far as they stay distinct.
pub(crate) fn parse(table: &Command, args: &[OsString]) -> Result<Matches, String> {
    let mut found = Matches::default();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let bytes = arg.as_bytes();
        if bytes == b"--" {
            found.operands.extend(args.cloned());
            break;
        } else if let Some(long) = bytes.strip_prefix(b"--") {
            parse_long(table, long, &mut args, &mut found)?;
        } else if bytes.len() > 1 && bytes[0] == b'-' {
            parse_short(table, &bytes[1..], &mut args, &mut found)?;
        } else {
            found.operands.push(arg.clone());
        }
    }
    Ok(found)
}

fn parse_long<'a>(
    table: &Command,
    long: &[u8],
    args: &mut impl Iterator<Item = &'a OsString>,
    found: &mut Matches,
) -> Result<(), String> {
    let (name, value) = match long.iter().position(|b| *b == b'=') {
        Some(at) => (&long[..at], Some(OsStr::from_bytes(&long[at + 1..]).to_owned())),
        None => (long, None),
    };
    let name = String::from_utf8_lossy(name);
    let (arg, whole) = long_option(table, &name)?;
    let value = match (takes(arg), value) {
        (Takes::Nothing, Some(_)) => return Err(format!("option '--{whole}' doesn't allow an argument")),
        (Takes::Value, None) => {
            let next = args.next().ok_or_else(|| format!("option '--{whole}' requires an argument"))?;
            Some(next.clone())
        }
        (_, value) => value,
    };
    found.options.push((arg.get_id().to_string(), value));
    Ok(())
}

/// The option that `name` spells out, or is the beginning of.
fn long_option<'a>(table: &'a Command, name: &str) -> Result<(&'a Arg, &'a str), String> {
    let all = || {
        table.get_arguments().flat_map(|arg| {
            let aliases = arg.get_all_aliases().unwrap_or_default();
            arg.get_long().into_iter().chain(aliases).map(move |long| (arg, long))
        })
    };
    if let Some(exact) = all().find(|(_, long)| *long == name) {
        return Ok(exact);
    }
    let mut near = all().filter(|(_, long)| long.starts_with(name) && !name.is_empty());
    let first = near.next().ok_or_else(|| format!("unrecognized option '--{name}'"))?;
    if near.any(|(arg, _)| arg.get_id() != first.0.get_id()) {
        return Err(format!("option '--{name}' is ambiguous"));
    }
    Ok(first)
}

fn parse_short<'a>(
    table: &Command,
    mut cluster: &[u8],
    args: &mut impl Iterator<Item = &'a OsString>,
    found: &mut Matches,
) -> Result<(), String> {
    while let Some((letter, rest)) = cluster.split_first() {
        let letter = *letter as char;
        let arg = table
            .get_arguments()
            .find(|arg| {
                arg.get_short() == Some(letter)
                    || arg.get_all_short_aliases().is_some_and(|aliases| aliases.contains(&letter))
            })
            .ok_or_else(|| format!("invalid option -- '{letter}'"))?;
        let id = arg.get_id().to_string();
        let joined = || (!rest.is_empty()).then(|| OsStr::from_bytes(rest).to_owned());
        let value = match takes(arg) {
            Takes::Nothing => {
                found.options.push((id, None));
                cluster = rest;
                continue;
            }
            Takes::Perhaps => joined(),
            Takes::Value => {
                let next = joined().or_else(|| args.next().cloned());
                Some(next.ok_or_else(|| format!("option requires an argument -- '{letter}'"))?)
            }
        };
        found.options.push((id, value));
        break;
    }
    Ok(())
}

fn takes(arg: &Arg) -> Takes {
    match (arg.get_action().takes_values(), arg.get_num_args()) {
        (false, _) => Takes::Nothing,
        (true, Some(range)) if range.min_values() == 0 => Takes::Perhaps,
        (true, _) => Takes::Value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lxc::table::{flag, optional, value};

    fn table() -> Command {
        Command::new("t").disable_help_flag(true).args([
            value("name", 'n', "name", "NAME", ""),
            flag("state", 's', "state", ""),
            flag("stats", 'S', "stats", ""),
            optional("elevated", 'e', "elevated-privileges", "PRIVILEGES", ""),
            flag("help", 'h', "help", "").short_alias('?'),
        ])
    }

    type Expected<'a> = (&'a [(&'a str, Option<&'a str>)], &'a [&'a str]);

    fn check(args: &[&str], expect: Result<Expected<'_>, &str>) {
        let args: Vec<OsString> = args.iter().map(OsString::from).collect();
        let parsed = parse(&table(), &args);
        match (&parsed, expect) {
            (Ok(found), Ok((options, operands))) => {
                let got: Vec<_> = found
                    .options
                    .iter()
                    .map(|(id, v)| (id.as_str(), v.as_deref().and_then(OsStr::to_str)))
                    .collect();
                assert_eq!(got, options, "{args:?}");
                assert_eq!(found.operands, operands, "{args:?}");
            }
            (Err(error), Err(expected)) => assert_eq!(error, expected, "{args:?}"),
            _ => panic!("{args:?} gave {parsed:?}"),
        }
    }

    #[test]
    fn options_as_getopt_long_reads_them() {
        check(&["-nc1"], Ok((&[("name", Some("c1"))], &[])));
        check(&["-n=c1"], Ok((&[("name", Some("=c1"))], &[])));
        check(&["-n", "-s"], Ok((&[("name", Some("-s"))], &[])));
        check(&["--na", "c1"], Ok((&[("name", Some("c1"))], &[])));
        check(&["--name=", "x"], Ok((&[("name", Some(""))], &["x"])));
        check(&["-sSn", "c"], Ok((&[("state", None), ("stats", None), ("name", Some("c"))], &[])));
        check(&["-eCAP", "-e", "CAP"], Ok((&[("elevated", Some("CAP")), ("elevated", None)], &["CAP"])));
        check(&["--elevated=LSM", "--ele"], Ok((&[("elevated", Some("LSM")), ("elevated", None)], &[])));
        check(&["-?"], Ok((&[("help", None)], &[])));
        check(&[], Ok((&[], &[])));
    }

    #[test]
    fn operands_and_options_mix_up_to_two_hyphens() {
        check(&["c1", "-s", "x", "--", "-s", "--"], Ok((&[("state", None)], &["c1", "x", "-s", "--"])));
        check(&["-", ""], Ok((&[], &["-", ""])));
    }

    #[test]
    fn what_getopt_long_refuses() {
        check(&["--sta"], Err("option '--sta' is ambiguous"));
        check(&["--bogus"], Err("unrecognized option '--bogus'"));
        check(&["--=x"], Err("unrecognized option '--'"));
        check(&["-z"], Err("invalid option -- 'z'"));
        check(&["-sn"], Err("option requires an argument -- 'n'"));
        check(&["--name"], Err("option '--name' requires an argument"));
        check(&["--state=1"], Err("option '--state' doesn't allow an argument"));
    }
}
