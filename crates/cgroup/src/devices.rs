//! Device rules, and the BPF program that carries them out on cgroup version 2.

use hull_sys::bpf::{self, Instruction};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use std::fmt;
use std::path::Path;

use crate::{Error, Result};

/// More rules than this are a mistake; the kernel would refuse the program much later.
const MOST_RULES: usize = 4096;

/// What a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// All devices, whatever the numbers: replaces all rules before it.
    All,
    /// Block devices.
    Block,
    /// Character devices.
    Character,
}

/// A line of `devices.allow` or `devices.deny`: `a`, or `c 1:3 rwm` with `*` for any number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Allow or deny.
    pub allow: bool,
    /// Which devices.
    pub kind: Kind,
    /// Major number; `None` is all.
    pub major: Option<u32>,
    /// Minor number; `None` is all.
    pub minor: Option<u32>,
    /// May be read.
    pub read: bool,
    /// May be written.
    pub write: bool,
    /// Nodes may be made.
    pub mknod: bool,
}

/// Rules in order; of those that match, the last decides, for each kind of access by itself.
///
/// What holds for devices no rule is about is what the last `a` says. Without one, collecting decides: what is
/// not allowed is denied, unless there are only denials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// None of them [`Kind::All`].
    rules: Vec<Rule>,
    default_allows: bool,
}

/// Kinds of access and of device in the kernel's interface (`linux/bpf.h`).
const ACCESS_MKNOD: u32 = 1;
const ACCESS_READ: u32 = 2;
const ACCESS_WRITE: u32 = 4;
const DEVICE_BLOCK: i32 = 1;
const DEVICE_CHARACTER: i32 = 2;

impl Rule {
    /// From what follows `devices.allow =` or `devices.deny =`.
    pub fn parse(allow: bool, text: &str) -> Result<Self> {
        let wrong = |why: &str| {
            Error::new(
                Errno::INVAL,
                format!(
                    "{text:?} is not a device rule: {why}; it reads \"a\" or like \"c 1:3 rwm\", with * for any number"
                ),
            )
        };
        let mut words = text.split_whitespace();
        let kind = match words.next() {
            Some("a") => Kind::All,
            Some("b") => Kind::Block,
            Some("c") => Kind::Character,
            _ => return Err(wrong("it does not begin with a, b or c")),
        };
        // Like the kernel, take "a" for everything whatever follows, but let nothing else follow it here.
        let rest: Vec<&str> = words.collect();
        if kind == Kind::All {
            if !(rest.is_empty() || rest == ["*:*", "rwm"]) {
                return Err(wrong("\"a\" is about all devices and every access"));
            }
            return Ok(Self { allow, kind, major: None, minor: None, read: true, write: true, mknod: true });
        }
        let [numbers, access] = rest[..] else { return Err(wrong("it needs numbers and access")) };
        let number = |text: &str, most: u32| match text {
            "*" => Ok(None),
            n if n.bytes().all(|b| b.is_ascii_digit()) => match n.parse::<u32>() {
                Ok(n) if n <= most => Ok(Some(n)),
                _ => Err(wrong("a number is too large")),
            },
            _ => Err(wrong("a number is not one")),
        };
        let (major, minor) = numbers.split_once(':').ok_or_else(|| wrong("there is no colon"))?;
        // The kernel has 12 bits for majors and 20 for minors.
        let (major, minor) = (number(major, 0xfff)?, number(minor, 0xf_ffff)?);
        if access.is_empty() || !access.bytes().all(|b| b"rwm".contains(&b)) {
            return Err(wrong("access is made of r, w and m"));
        }
        let has = |letter| access.contains(letter);
        Ok(Self { allow, kind, major, minor, read: has('r'), write: has('w'), mknod: has('m') })
    }

    fn access(&self) -> u32 {
        let bit = |set, bit| if set { bit } else { 0 };
        bit(self.mknod, ACCESS_MKNOD) | bit(self.read, ACCESS_READ) | bit(self.write, ACCESS_WRITE)
    }
}

impl fmt::Display for Rule {
    /// As the kernel reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::All => return f.write_str("a"),
            Kind::Block => 'b',
            Kind::Character => 'c',
        };
        let number = |n: Option<u32>| n.map_or("*".to_owned(), |n| n.to_string());
        write!(f, "{kind} {}:{} ", number(self.major), number(self.minor))?;
        for (set, letter) in [(self.read, 'r'), (self.write, 'w'), (self.mknod, 'm')] {
            if set {
                write!(f, "{letter}")?;
            }
        }
        Ok(())
    }
}

impl FromIterator<Rule> for Rules {
    fn from_iter<I: IntoIterator<Item = Rule>>(rules: I) -> Self {
        let rules: Vec<Rule> = rules.into_iter().collect();
        let mut all = Self { rules: Vec::new(), default_allows: !rules.iter().any(|r| r.allow) };
        rules.into_iter().for_each(|r| all.push(r));
        all
    }
}

impl Rules {
    /// Adds a rule that precedes all before it. An `a` replaces them.
    pub fn push(&mut self, rule: Rule) {
        if rule.kind == Kind::All {
            self.rules.clear();
            self.default_allows = rule.allow;
            return;
        }
        // A rule about the same devices and access makes the earlier one moot.
        let same = |r: &Rule| Rule { allow: rule.allow, ..*r } == rule;
        self.rules.retain(|r| !same(r));
        self.rules.push(rule);
    }

    /// What holds for devices no rule is about.
    pub fn default_allows(&self) -> bool {
        self.default_allows
    }

    /// The program for `BPF_PROG_TYPE_CGROUP_DEVICE`: 1 allows, 0 denies.
    pub fn compile(&self) -> Result<Vec<Instruction>> {
        use Instruction as I;
        if self.rules.len() > MOST_RULES {
            return Err(Error::new(
                Errno::TOOBIG,
                format!(
                    "{} device rules are more than the {MOST_RULES} that fit; use * in some",
                    self.rules.len()
                ),
            ));
        }
        const TYPE: u8 = 2;
        const ACCESS: u8 = 3;
        const MAJOR: u8 = 4;
        const MINOR: u8 = 5;
        // struct bpf_cgroup_dev_ctx { u32 access_type = access << 16 | type; u32 major; u32 minor; }
        let mut program = vec![
            I::load_word(TYPE, 1, 0),
            I::move_register(ACCESS, TYPE),
            I::and(TYPE, 0xffff),
            I::shift_right(ACCESS, 16),
            I::load_word(MAJOR, 1, 4),
            I::load_word(MINOR, 1, 8),
        ];
        for rule in self.rules.iter().rev() {
            let verdict = if rule.allow {
                // What is allowed need not be asked of earlier rules; done when nothing is left.
                vec![
                    I::and(ACCESS, !rule.access() as i32),
                    I::jump_not_equal(ACCESS, 0, 2),
                    I::move_value(0, 1),
                    I::exit(),
                ]
            } else {
                vec![
                    I::move_register(0, ACCESS),
                    I::and(0, rule.access() as i32),
                    I::jump_equal(0, 0, 2),
                    I::move_value(0, 0),
                    I::exit(),
                ]
            };
            let kind = if rule.kind == Kind::Block { DEVICE_BLOCK } else { DEVICE_CHARACTER };
            let mut tests = vec![(TYPE, kind)];
            tests.extend(rule.major.map(|n| (MAJOR, n as i32)));
            tests.extend(rule.minor.map(|n| (MINOR, n as i32)));
            for (i, (register, value)) in tests.iter().enumerate() {
                let over = tests.len() - 1 - i + verdict.len();
                let over = i16::try_from(over).expect("a rule is at most 8 instructions");
                program.push(I::jump_not_equal(*register, *value, over));
            }
            program.extend(verdict);
        }
        program.extend([I::move_value(0, self.default_allows().into()), I::exit()]);
        Ok(program)
    }
}

/// The program of a container's group. The kernel keeps it with the group, this only remembers the rules.
#[derive(Debug)]
pub(crate) struct Program {
    rules: Rules,
    fd: OwnedFd,
}

impl Program {
    /// Loads `rules` and attaches them to `group`, beside what may be attached there.
    pub(crate) fn attach(group: impl AsFd, path: &Path, rules: Rules) -> Result<Self> {
        let fd = load(&rules)?;
        bpf::attach_device_program(&group, &fd, None).map_err(|e| refused(path, &e))?;
        Ok(Self { rules, fd })
    }

    /// Puts the program with `rule` added in place of this one. There is no moment without either.
    pub(crate) fn changed(mut self, group: impl AsFd, path: &Path, rule: Rule) -> Result<Self> {
        self.rules.push(rule);
        let fd = load(&self.rules)?;
        bpf::attach_device_program(&group, &fd, Some(self.fd.as_fd())).map_err(|e| refused(path, &e))?;
        Ok(Self { fd, ..self })
    }
}

fn load(rules: &Rules) -> Result<OwnedFd> {
    bpf::load_device_program(&rules.compile()?).map_err(|e| {
        let remedy = match e.errno() {
            Errno::PERM => "; device rules on cgroup2 need CAP_BPF and CAP_NET_ADMIN or root",
            Errno::NOSYS | Errno::INVAL => "; the kernel needs CONFIG_CGROUP_BPF",
            _ => "",
        };
        Error::new(e.errno(), format!("device rules cannot be loaded: {e}{remedy}"))
    })
}

fn refused(path: &Path, e: &hull_sys::Error) -> Error {
    Error::new(e.errno(), format!("device rules cannot be attached to {}: {e}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Runs the program in an interpreter, as the kernel would for this access.
    fn run(rules: &Rules, block: bool, major: u32, minor: u32, access: u32) -> bool {
        let bytes: Vec<u8> = rules.compile().unwrap().into_iter().flat_map(Instruction::to_bytes).collect();
        let machine = rbpf::EbpfVmRaw::new(Some(&bytes)).unwrap();
        let kind = if block { DEVICE_BLOCK } else { DEVICE_CHARACTER } as u32;
        let mut context: Vec<u8> = Vec::new();
        for word in [access << 16 | kind, major, minor] {
            context.extend_from_slice(&word.to_ne_bytes());
        }
        machine.execute_program(&mut context).unwrap() == 1
    }

    /// What the rules mean, said another way: bit by bit, forward.
    fn means(rules: &[Rule], block: bool, major: u32, minor: u32, access: u32) -> bool {
        let kind = if block { Kind::Block } else { Kind::Character };
        let without_all = !rules.iter().any(|r| r.kind == Kind::All);
        let default = if without_all { !rules.iter().any(|r| r.allow) } else { false };
        [ACCESS_MKNOD, ACCESS_READ, ACCESS_WRITE].iter().filter(|bit| access & **bit != 0).all(|bit| {
            rules.iter().fold(default, |verdict, rule| {
                let matches = rule.kind == Kind::All
                    || rule.kind == kind
                        && rule.major.is_none_or(|m| m == major)
                        && rule.minor.is_none_or(|m| m == minor)
                        && rule.access() & bit != 0;
                if matches { rule.allow } else { verdict }
            })
        })
    }

    fn rules(lines: &[&str]) -> Rules {
        lines
            .iter()
            .map(|l| {
                let (verb, rest) = l.split_once(' ').unwrap();
                Rule::parse(verb == "allow", rest).unwrap()
            })
            .collect()
    }

    #[test]
    fn the_usual_list() {
        let list =
            rules(&["deny a", "allow c *:* m", "allow b *:* m", "allow c 1:3 rwm", "allow c 136:* rwm"]);
        assert!(run(&list, false, 1, 3, ACCESS_READ | ACCESS_WRITE));
        assert!(run(&list, false, 136, 77, ACCESS_WRITE));
        assert!(run(&list, true, 8, 0, ACCESS_MKNOD));
        assert!(!run(&list, true, 8, 0, ACCESS_MKNOD | ACCESS_READ));
        assert!(!run(&list, true, 1, 3, ACCESS_READ), "block devices are not character devices");
    }

    #[test]
    fn a_change_later_does_not_turn_the_default() {
        let mut list = rules(&["deny c 1:5 rwm"]);
        assert!(run(&list, false, 1, 3, ACCESS_READ));
        list.push(Rule::parse(true, "c 1:5 r").unwrap());
        assert!(run(&list, false, 1, 3, ACCESS_READ) && run(&list, false, 1, 5, ACCESS_READ));
        assert!(!run(&list, false, 1, 5, ACCESS_WRITE));
    }

    #[test]
    fn what_is_no_rule_is_told() {
        let bad = [
            "",
            "x",
            "c",
            "c 1:3",
            "c 1 rwm",
            "c 1:3 x",
            "c 1:3 ",
            "c -1:3 r",
            "c 4096:0 r",
            "c 0:1048576 r",
            "c 1:99999999999 r",
            "a 1:3 rwm",
            "c 1:3 rwm more",
            "c +1:3 r",
            "c 1:3:4 r",
            "c :3 r",
        ];
        for text in bad {
            let error = Rule::parse(true, text).unwrap_err().to_string();
            assert!(error.contains("is not a device rule"), "{text:?}: {error}");
        }
        for text in ["a", "c 1:3 rwm", "b *:* m", "c 10:* rw"] {
            assert_eq!(Rule::parse(false, text).unwrap().to_string(), text);
        }
        assert_eq!(Rule::parse(false, "a *:* rwm").unwrap().kind, Kind::All);
    }

    fn some_rule() -> impl Strategy<Value = Rule> {
        let number = || prop_oneof![Just(None), (0u32..3).prop_map(Some)];
        let kind = prop_oneof![1 => Just(Kind::All), 6 => Just(Kind::Block), 6 => Just(Kind::Character)];
        (any::<bool>(), kind, number(), number(), 1u32..8).prop_map(|(allow, kind, major, minor, access)| {
            if kind == Kind::All {
                return Rule::parse(allow, "a").unwrap();
            }
            let bit = |b| access & b != 0;
            Rule { allow, kind, major, minor, mknod: bit(1), read: bit(2), write: bit(4) }
        })
    }

    proptest! {
        #[test]
        fn the_program_does_what_the_rules_mean(
            list in proptest::collection::vec(some_rule(), 0..12),
            block in any::<bool>(), major in 0u32..4, minor in 0u32..4, access in 1u32..8,
        ) {
            let compiled: Rules = list.iter().copied().collect();
            prop_assert_eq!(
                run(&compiled, block, major, minor, access),
                means(&list, block, major, minor, access)
            );
        }

        #[test]
        fn any_text_is_a_rule_or_an_error(text in "\\PC*") {
            if let Ok(rule) = Rule::parse(true, &text) {
                prop_assert_eq!(Rule::parse(true, &rule.to_string()).unwrap(), rule);
            }
        }
    }
}
