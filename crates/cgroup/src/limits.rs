//! Limits: the keys `lxc.cgroup.*` and `lxc.cgroup2.*`.

use rustix::io::Errno;

use crate::cgroups::Member;
use crate::devices::{Program, Rule, Rules};
use crate::group::Group;
use crate::{Cgroups, Error, Layout, Result, Version};

/// A key with its value: `lxc.cgroup.memory.limit_in_bytes = 1G` is version 1, `memory.limit_in_bytes`, `1G`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// `lxc.cgroup` is version 1, `lxc.cgroup2` version 2.
    pub version: Version,
    /// The file, which begins with its controller's name.
    pub file: String,
    /// What is written to it.
    pub value: String,
}

/// A limit that was not set because one of the other version on the same controller was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excused {
    /// The limit.
    pub limit: Limit,
    /// Why nothing is lost.
    pub reason: String,
}

impl Limit {
    fn key(&self) -> String {
        let prefix = match self.version {
            Version::One => "lxc.cgroup",
            Version::Two => "lxc.cgroup2",
        };
        format!("{prefix}.{}", self.file)
    }

    fn controller(&self) -> &str {
        self.file.split('.').next().unwrap_or_default()
    }

    fn is_device_rule(&self) -> bool {
        matches!(self.file.as_str(), "devices.allow" | "devices.deny")
    }
}

impl Cgroups {
    /// Sets all limits but device rules, in order. Do it before the container runs.
    ///
    /// A limit confines the container, so one that cannot be set is an error that names the key; but a key of
    /// a version that is not mounted here is excused if the configuration limits the same controller by the
    /// version that is.
    pub fn apply_limits(&self, limits: &[Limit]) -> Result<Vec<Excused>> {
        let mut excused = Vec::new();
        for limit in limits.iter().filter(|l| !l.is_device_rule()) {
            match self.target(limit) {
                Ok(member) => {
                    self.write_limit(member, limit)?;
                }
                Err(e) => {
                    let is_other = |other: &&Limit| {
                        other.version != limit.version && other.controller() == limit.controller()
                    };
                    match limits.iter().find(is_other) {
                        Some(other) if self.target(other).is_ok() => excused.push(Excused {
                            limit: limit.clone(),
                            reason: format!("{} limits {} here", other.key(), limit.controller()),
                        }),
                        _ => return Err(e),
                    }
                }
            }
        }
        Ok(excused)
    }

    /// Sets the device rules, in order. Do it when the container's devices are made, before its init runs.
    ///
    /// With version 1's controller, its rules are written to it; with version 2, its rules become a program of
    /// the group. Where only the other version is here, or only its keys are set, they are carried out by the
    /// one that is here: the rules mean the same.
    pub fn apply_devices(&mut self, limits: &[Limit]) -> Result<()> {
        let rules = |version| {
            let of = limits.iter().filter(move |l| l.is_device_rule() && l.version == version);
            of.map(|l| Ok((l, Rule::parse(l.file == "devices.allow", &l.value)?))).collect::<Result<Vec<_>>>()
        };
        let (first, second) = (rules(Version::One)?, rules(Version::Two)?);
        if first.is_empty() && second.is_empty() {
            return Ok(());
        }
        if let Some(member) = self.find(Some("devices")) {
            let chosen = if first.is_empty() { &second } else { &first };
            for (limit, rule) in chosen {
                member.limit.write(&limit.file, &rule.to_string()).map_err(|e| named(limit, &e))?;
            }
            return Ok(());
        }
        let Some(member) = self.member(Version::Two) else {
            return Err(Error::new(
                Errno::NODEV,
                "device rules are set but neither cgroup v1's devices controller nor cgroup2 is usable here; mount one, or remove lxc.cgroup.devices.* and lxc.cgroup2.devices.*",
            ));
        };
        let chosen = if second.is_empty() { first } else { second };
        let rules: Rules = chosen.into_iter().map(|(_, rule)| rule).collect();
        self.devices = Some(Program::attach(&member.limit, member.limit.path(), rules)?);
        Ok(())
    }

    /// Allows or denies a device to the running container.
    ///
    /// With version 2, this instance must have set the program ([`Cgroups::apply_devices`]): rules cannot be read back.
    pub fn change_device(&mut self, rule: Rule) -> Result<()> {
        if let Some(member) = self.find(Some("devices")) {
            let file = if rule.allow { "devices.allow" } else { "devices.deny" };
            return member.limit.write(file, &rule.to_string());
        }
        match self.devices.take() {
            Some(program) => {
                let Some(member) = self.member(Version::Two) else {
                    return Err(Error::call("change device rules", Errno::NODEV));
                };
                self.devices = Some(program.changed(&member.limit, member.limit.path(), rule)?);
                Ok(())
            }
            None => Err(Error::new(
                Errno::NOENT,
                "the container has no device rules, so all devices are allowed; set lxc.cgroup2.devices.* before it starts",
            )),
        }
    }

    /// Reads `file` of the container, as `lxc-cgroup` does: by version 1's controller or else version 2.
    pub fn get(&self, file: &str) -> Result<String> {
        check_name(file)?;
        self.holder(file)?.limit.read(file)
    }

    /// Writes `value` to `file` of the container, as `lxc-cgroup` does.
    pub fn set(&self, file: &str, value: &str) -> Result<()> {
        check_name(file)?;
        self.holder(file)?.limit.write(file, value)
    }

    fn holder(&self, file: &str) -> Result<&Member> {
        let controller = file.split('.').next().unwrap_or_default();
        let first = self.members.iter().find(|m| m.version == Version::One && m.has_controller(controller));
        let second = || self.member(Version::Two).filter(|m| m.limit.has(file));
        first.or_else(second).ok_or_else(|| {
            Error::new(
                Errno::NOENT,
                format!("the container has no {file}: the controller {controller} is not usable here; check /proc/cgroups and what is mounted"),
            )
        })
    }

    /// Where `limit` is to be set.
    fn target(&self, limit: &Limit) -> Result<&Member> {
        check_name(&limit.file).map_err(|e| named(limit, &e))?;
        let controller = limit.controller();
        let missing = |why: &str, remedy: &str| {
            Error::new(
                Errno::NODEV,
                format!("{} cannot be set: {why}; {remedy}, or remove the key", limit.key()),
            )
        };
        match limit.version {
            Version::One => {
                let skipped = self.skipped.iter().find(|s| s.hierarchy.split(',').any(|c| c == controller));
                self.members
                    .iter()
                    .find(|m| m.version == Version::One && m.has_controller(controller))
                    .ok_or_else(|| match skipped {
                        Some(s) => missing(
                            &format!("the cgroup v1 controller {controller} is not usable ({})", s.reason),
                            "make it so",
                        ),
                        None if self.layout == Layout::Unified => {
                            missing("this host has cgroup v2 only", "use its lxc.cgroup2 counterpart")
                        }
                        None => missing(
                            &format!("the cgroup v1 controller {controller} is not mounted"),
                            "mount it below /sys/fs/cgroup",
                        ),
                    })
            }
            Version::Two => {
                let member = self
                    .member(Version::Two)
                    .ok_or_else(|| missing("cgroup2 is not mounted or not writable here", "mount it"))?;
                // The core's own files (cgroup.*) need no controller.
                if controller != "cgroup" && !member.limit.has(&limit.file) {
                    if !member.has_controller(controller) {
                        return Err(missing(
                            &format!("cgroup2 has no controller {controller} here"),
                            "detach it from cgroup v1 by booting with cgroup_no_v1=all",
                        ));
                    }
                    self.enable(member, controller).map_err(|e| named(limit, &e))?;
                }
                Ok(member)
            }
        }
    }

    fn write_limit(&self, member: &Member, limit: &Limit) -> Result<()> {
        let written = member.limit.write(&limit.file, &limit.value).map_err(|e| named(limit, &e));
        // The inner group may not be wider than the outer, but starts as wide, so only its cpus need care.
        if written.is_ok() && member.version == Version::One && limit.controller() == "cpuset" {
            narrow(member.inner(), limit);
        }
        written
    }
}

/// Makes the inner group follow; what does not fit yet is still bounded by the outer group.
fn narrow(inner: &Group, limit: &Limit) {
    let _ = inner.write_raw(&limit.file, &limit.value);
}

fn named(limit: &Limit, error: &Error) -> Error {
    Error::new(error.errno(), format!("{} = {}: {error}", limit.key(), limit.value))
}

/// A file's name is one component with a dot in it.
fn check_name(file: &str) -> Result<()> {
    let sound = file.split_once('.').is_some_and(|(c, rest)| !c.is_empty() && !rest.is_empty())
        && !file.contains(['/', '\0', '\n', ' '])
        && file.is_ascii();
    if sound {
        return Ok(());
    }
    Err(Error::new(
        Errno::INVAL,
        format!("{file:?} is not the name of a cgroup file; it reads controller.name, as in memory.max"),
    ))
}
