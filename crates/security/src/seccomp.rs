//! LXC's system call policies (`lxc.seccomp.profile`), versions 1 and 2, compiled for the kernel.
//!
//! A policy of version 2 reads:
//!
//! ```text
//! 2
//! denylist [DEFAULT ACTION OF RULES]
//! reject_force_umount
//! [all]
//! kexec_load errno 1
//! [x86_64]
//! personality [0,8,SCMP_CMP_EQ] kill
//! ```
//!
//! Rules apply to the native architecture and those it runs beside it (x86 and x32 on x86_64): a container must
//! not get around its policy by 32-bit calls.

use std::path::Path;

use hull_sys::seccomp::{Action, Compare, Condition, Filter, Libseccomp};

/// A line of a policy that cannot be carried out, or a library that is not there; one line for people.
pub type Error = String;

/// The architectures a machine runs, native first, by libseccomp's names.
fn architectures() -> &'static [&'static str] {
    match std::env::consts::ARCH {
        "x86_64" => &["x86_64", "x86", "x32"],
        "aarch64" => &["aarch64", "arm"],
        "x86" => &["x86"],
        "arm" => &["arm"],
        "riscv64" => &["riscv64"],
        "powerpc64" => &["ppc64"],
        "s390x" => &["s390x", "s390"],
        _ => &[],
    }
}

/// Compiles the policy `text` of the file `origin` (named in messages) to instructions for
/// [`hull_sys::prctl::install_seccomp`].
///
/// Fails, naming file and line, for anything it would otherwise have to leave out: a policy confines.
pub fn compile(text: &str, origin: &Path) -> Result<Vec<u8>, Error> {
    let policy = Policy::parse(text).map_err(|(line, why)| format!("{}:{line}: {why}", origin.display()))?;
    let failed = |e: hull_sys::Error| format!("{} cannot be compiled: {e}", origin.display());
    let library = Libseccomp::load().map_err(failed)?;
    let names = architectures();
    if names.is_empty() {
        return Err(format!("{}: no system call policies on {}", origin.display(), std::env::consts::ARCH));
    }
    let mut whole: Option<Filter<'_>> = None;
    for name in names {
        let filter = policy.filter(&library, name).map_err(failed)?;
        match &mut whole {
            Some(whole) => whole.merge(filter).map_err(failed)?,
            None => whole = Some(filter),
        }
    }
    whole.map_or(Ok(Vec::new()), |f| f.program()).map_err(failed)
}

#[derive(Debug, PartialEq)]
struct Policy {
    default: Action,
    rules: Vec<Rule>,
}

#[derive(Debug, PartialEq)]
struct Rule {
    /// The architecture; `None` for all.
    arch: Option<String>,
    call: Call,
    action: Action,
    conditions: Vec<Condition>,
}

#[derive(Debug, PartialEq)]
enum Call {
    Name(String),
    Number(i32),
}

type Parsed<T> = Result<T, (usize, String)>;

/// `MNT_FORCE` of umount2(2).
const MNT_FORCE: u64 = 1;

impl Policy {
    fn parse(text: &str) -> Parsed<Self> {
        let mut lines = text
            .lines()
            .enumerate()
            .map(|(n, line)| (n + 1, line.split('#').next().unwrap_or_default().trim()))
            .filter(|(_, line)| !line.is_empty());
        let (at, version) =
            lines.next().ok_or((1, "the policy is empty: its first line must be 1 or 2".into()))?;
        let (at, kind) = match version {
            "1" | "2" => lines.next().ok_or((at, "the second line must say allowlist or denylist".into()))?,
            other => return Err((at, format!("{other:?} is no version of a policy: it must be 1 or 2"))),
        };
        let (word, action) = split(kind);
        let (default, rule_default) = match word {
            "allowlist" | "whitelist" => (Action::Kill, Action::Allow),
            "denylist" | "blacklist" if version == "2" => (Action::Allow, Action::Kill),
            other => return Err((at, format!("{other:?} must be allowlist or (version 2) denylist"))),
        };
        let mut policy = Self { default, rules: Vec::new() };
        // An action after the word is the default: what rules do in a denylist, what all other calls get in
        // an allowlist.
        let mut rule_default = rule_default;
        if !action.is_empty() {
            let action = parse_action(action).map_err(|why| (at, why))?;
            if policy.default == Action::Allow { rule_default = action } else { policy.default = action }
        }
        let mut arch = None;
        for (at, line) in lines {
            policy.line(line, version == "1", rule_default, &mut arch).map_err(|why| (at, why))?;
        }
        Ok(policy)
    }

    fn line(
        &mut self,
        line: &str,
        numbers: bool,
        default: Action,
        arch: &mut Option<String>,
    ) -> Result<(), String> {
        if numbers {
            let number = line
                .parse()
                .map_err(|_| format!("{line:?} is no system call number, which version 1 lists"))?;
            self.rules.push(Rule {
                arch: None,
                call: Call::Number(number),
                action: default,
                conditions: vec![],
            });
            return Ok(());
        }
        if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            *arch = match name {
                "all" => None,
                "X86" | "x86" | "i386" => Some("x86".into()),
                "x86_64" | "X86_64" | "amd64" => Some("x86_64".into()),
                "arm64" | "aarch64" => Some("aarch64".into()),
                other => Some(other.to_lowercase()),
            };
            return Ok(());
        }
        let (name, rest) = split(line);
        if name == "reject_force_umount" {
            let forced =
                Condition { argument: 1, compare: Compare::MaskedEqual, value: MNT_FORCE, value2: MNT_FORCE };
            let (call, action) = (Call::Name("umount2".into()), Action::Errno(libc_eacces()));
            self.rules.push(Rule { arch: None, call, action, conditions: vec![forced] });
            return Ok(());
        }
        if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Err(format!("{name:?} is no system call's name"));
        }
        let (mut action_text, mut conditions, mut rest) = (String::new(), Vec::new(), rest);
        while !rest.is_empty() {
            if let Some(inner) = rest.strip_prefix('[') {
                let (condition, after) = inner
                    .split_once(']')
                    .ok_or_else(|| "a condition lacks its closing bracket".to_owned())?;
                conditions.push(parse_condition(condition)?);
                rest = after.trim_start();
            } else {
                let (word, after) = split(rest);
                action_text = format!("{action_text} {word}");
                rest = after;
            }
        }
        let action = match action_text.trim() {
            "" => default,
            text => parse_action(text)?,
        };
        self.rules.push(Rule { arch: arch.clone(), call: Call::Name(name.to_owned()), action, conditions });
        Ok(())
    }

    fn filter<'l>(&self, library: &'l Libseccomp, name: &str) -> hull_sys::Result<Filter<'l>> {
        let arch = library.arch(name)?;
        let mut filter = library.filter(arch, self.default)?;
        for rule in self.rules.iter().filter(|r| r.arch.as_deref().is_none_or(|a| a == name)) {
            let number = match &rule.call {
                Call::Number(number) => Some(*number),
                Call::Name(call) => library.syscall(arch, call)?,
            };
            // A call this architecture does not have needs no rule.
            if let Some(number) = number {
                filter.rule(rule.action, number, &rule.conditions)?;
            }
        }
        Ok(filter)
    }
}

fn split(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| c.is_whitespace() || c == '[').filter(|&e| e > 0).unwrap_or(text.len());
    (&text[..end], text[end..].trim_start())
}

fn parse_action(text: &str) -> Result<Action, String> {
    let mut words = text.split_whitespace();
    let action = match (words.next(), words.next()) {
        (Some("allow"), None) => Action::Allow,
        (Some("kill"), None) => Action::Kill,
        (Some("trap"), None) => Action::Trap,
        (Some("log"), None) => Action::Log,
        (Some("errno"), Some(n)) => Action::Errno(number(n)?),
        (Some("trace"), Some(n)) => Action::Trace(number(n)?),
        (Some("notify"), _) => {
            return Err("the action notify needs a listener, which Hull does not offer yet".into());
        }
        _ => return Err(format!("{text:?} is no action: use allow, kill, trap, log, errno N or trace N")),
    };
    if words.next().is_some() { Err(format!("{text:?} says more than one action")) } else { Ok(action) }
}

fn number(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| format!("{text:?} is no number from 0 to 65535"))
}

fn parse_condition(text: &str) -> Result<Condition, String> {
    let wrong = || format!("[{text}] is no condition: it reads [ARGUMENT,VALUE,SCMP_CMP_…(,MASK)]");
    let parts: Vec<&str> = text.split(',').map(str::trim).collect();
    let ([argument, value, compare] | [argument, value, compare, _]) = parts[..] else {
        return Err(wrong());
    };
    let argument = argument.parse().ok().filter(|a| *a < 6).ok_or_else(wrong)?;
    let value = integer(value).ok_or_else(wrong)?;
    let compare = match compare {
        "SCMP_CMP_NE" | "!=" => Compare::NotEqual,
        "SCMP_CMP_LT" | "<" => Compare::Less,
        "SCMP_CMP_LE" | "<=" => Compare::LessOrEqual,
        "SCMP_CMP_EQ" | "==" => Compare::Equal,
        "SCMP_CMP_GE" | ">=" => Compare::GreaterOrEqual,
        "SCMP_CMP_GT" | ">" => Compare::Greater,
        "SCMP_CMP_MASKED_EQ" | "&=" => {
            let mask = parts.get(3).and_then(|m| integer(m)).ok_or_else(wrong)?;
            return Ok(Condition { argument, compare: Compare::MaskedEqual, value: mask, value2: value });
        }
        _ => return Err(wrong()),
    };
    Ok(Condition { argument, compare, value, value2: 0 })
}

fn integer(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

fn libc_eacces() -> u16 {
    u16::try_from(rustix::io::Errno::ACCESS.raw_os_error()).unwrap_or(13)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMON: &str =
        "2\ndenylist\nreject_force_umount  # why\n[all]\nkexec_load errno 1\ninit_module errno 38\n";

    #[test]
    fn reads_a_policy() {
        let policy = Policy::parse(COMMON).unwrap();
        assert_eq!(policy.default, Action::Allow);
        assert_eq!(policy.rules.len(), 3);
        assert_eq!(policy.rules[1].action, Action::Errno(1));
        let policy =
            Policy::parse("2\nallowlist errno 1\n[x86_64]\npersonality [0,0x8,SCMP_CMP_EQ]\n").unwrap();
        assert_eq!(policy.default, Action::Errno(1));
        assert_eq!(policy.rules[0].arch.as_deref(), Some("x86_64"));
        assert_eq!(policy.rules[0].conditions[0].value, 8);
        assert_eq!(Policy::parse("1\nallowlist\n0\n1\n").unwrap().rules[1].call, Call::Number(1));
    }

    #[test]
    fn what_cannot_be_carried_out_is_refused_with_its_line() {
        for (text, line, why) in [
            ("", 1, "empty"),
            ("3\n", 1, "version"),
            ("2\n", 1, "second line"),
            ("2\nmaybe\n", 2, "allowlist"),
            ("1\ndenylist\n", 2, "allowlist"),
            ("2\ndenylist\n\nopen maybe\n", 4, "no action"),
            ("2\ndenylist\nopen errno x\n", 3, "no number"),
            ("2\ndenylist\nopen notify\n", 3, "listener"),
            ("2\ndenylist\nopen [0,1\n", 3, "bracket"),
            ("2\ndenylist\nopen [9,1,==]\n", 3, "no condition"),
            ("2\ndenylist\no;pen\n", 3, "name"),
            ("1\nallowlist\nread\n", 3, "number"),
        ] {
            let (at, said) = Policy::parse(text).unwrap_err();
            assert_eq!(at, line, "{text:?}: {said}");
            assert!(said.contains(why), "{text:?}: {said}");
        }
    }

    #[test]
    fn compiles_for_every_architecture_the_machine_runs() {
        if let Err(e) = Libseccomp::load() {
            println!("skipped: compiles_for_every_architecture_the_machine_runs: {e}");
            return;
        }
        let program = compile(COMMON, Path::new("common")).unwrap();
        let empty = compile("2\ndenylist\n", Path::new("empty")).unwrap();
        assert!(program.len() > empty.len() && program.len().is_multiple_of(8));
    }
    /// A filter binds the thread that installs it, so the test needs no process of its own.
    #[test]
    fn the_kernel_obeys() {
        if Libseccomp::load().is_err() || !rustix::process::geteuid().is_root() {
            println!("skipped: the_kernel_obeys: needs libseccomp.so.2 and root");
            return;
        }
        let text = "2\ndenylist\nmkdirat errno 95\nmkdir errno 95\ndup2 [0,1,==] errno 1\n";
        let program = compile(text, Path::new("policy")).unwrap();
        let denied = std::thread::spawn(move || {
            hull_sys::prctl::install_seccomp(&program).unwrap();
            rustix::fs::mkdirat(rustix::fs::CWD, "/proc/none", rustix::fs::Mode::RWXU)
        });
        assert_eq!(denied.join().unwrap(), Err(rustix::io::Errno::OPNOTSUPP));
    }
}
