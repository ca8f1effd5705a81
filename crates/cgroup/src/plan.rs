//! How a container's groups are to be called.

/// Below which group the container's are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Base {
    /// That of pid 1, but for systemd's `init.scope`: the rule for root.
    #[default]
    Init,
    /// Our own: the rule for everybody else, and `lxc.cgroup.relative = 1`.
    Own,
}

/// How a monitor gets from one group into another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Moving {
    /// The kernel moves the process, for which version 2 makes it wait for an RCU grace period.
    #[default]
    Itself,
    /// It goes on as a child of itself that is born there, and ends with status 0: for a daemon, which nobody waits for
    /// and whose number nobody knows.
    Reborn,
    /// Not at all, wherever it is in nobody's way: for one that its caller waits for, which is the caller's business
    /// also when a session ends or memory is counted.
    Stays,
}

/// Names for a container's groups, as the configuration keys give them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The container.
    pub name: String,
    /// Below what (`lxc.cgroup.relative`).
    pub base: Base,
    /// `lxc.cgroup.dir`: a group around the default names.
    pub dir: Option<String>,
    /// `lxc.cgroup.dir.container`: the payload group itself.
    pub dir_container: Option<String>,
    /// `lxc.cgroup.dir.container.inner`: a group within it for the processes, so that limits lie outside their reach.
    pub dir_container_inner: Option<String>,
    /// `lxc.cgroup.dir.monitor`: the monitor's group itself.
    pub dir_monitor: Option<String>,
    /// How the monitor comes into its groups and out of them.
    pub monitor_moves: Moving,
    /// `lxc.cgroup.dir.monitor.pivot`: where the monitor goes when its group is removed.
    pub dir_monitor_pivot: Option<String>,
    /// `lxc.cgroup.pattern` of the global configuration: a payload group with `%n` for the name.
    pub pattern: Option<String>,
    /// `lxc.cgroup.use` of the global configuration: only hierarchies with one of these; none is all.
    pub only: Vec<String>,
}

/// A group's name and whether another may be taken if it exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) path: String,
    pub(crate) fixed: bool,
}

impl Plan {
    /// The plan without any key set, for root.
    pub fn new(name: &str) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    pub(crate) fn payload(&self) -> Name {
        match (&self.dir_container, &self.dir, &self.pattern) {
            (Some(path), _, _) => Name { path: path.clone(), fixed: true },
            (None, None, Some(pattern)) => Name { path: pattern.replace("%n", &self.name), fixed: false },
            _ => Name { path: self.below_dir(&format!("lxc.payload.{}", self.name)), fixed: false },
        }
    }

    pub(crate) fn monitor(&self) -> Name {
        match &self.dir_monitor {
            Some(path) => Name { path: path.clone(), fixed: true },
            None => Name { path: self.below_dir(&format!("lxc.monitor.{}", self.name)), fixed: false },
        }
    }

    pub(crate) fn pivot(&self) -> String {
        self.dir_monitor_pivot.clone().unwrap_or_else(|| self.below_dir("lxc.pivot"))
    }

    fn below_dir(&self, leaf: &str) -> String {
        match &self.dir {
            Some(dir) => format!("{}/{leaf}", dir.trim_end_matches('/')),
            None => leaf.into(),
        }
    }
}

impl Name {
    /// The `n`th name to try: LXC appends `-1`, `-2`….
    pub(crate) fn nth(&self, n: u32) -> String {
        if n == 0 { self.path.clone() } else { format!("{}-{n}", self.path) }
    }
}

/// The components of a group's path; `None` if one would lead elsewhere.
pub(crate) fn components(path: &str) -> Option<Vec<&str>> {
    let parts: Vec<&str> = path.split('/').filter(|p| !p.is_empty() && *p != ".").collect();
    let sound = !parts.is_empty() && !parts.contains(&"..") && !path.contains(['\0', '\n']);
    sound.then_some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_decide_names() {
        let check = |plan: Plan, payload: &str, monitor: &str, pivot: &str| {
            assert_eq!(
                (plan.payload().path.as_str(), plan.monitor().path.as_str(), plan.pivot().as_str()),
                (payload, monitor, pivot)
            );
        };
        let plain = Plan::new("c");
        check(plain.clone(), "lxc.payload.c", "lxc.monitor.c", "lxc.pivot");
        let dir = Plan { dir: Some("a/b/".into()), pattern: Some("x/%n".into()), ..plain.clone() };
        check(dir, "a/b/lxc.payload.c", "a/b/lxc.monitor.c", "a/b/lxc.pivot");
        let pattern = Plan { pattern: Some("lxc/%n".into()), ..plain.clone() };
        check(pattern, "lxc/c", "lxc.monitor.c", "lxc.pivot");
        let fixed = Plan {
            dir_container: Some("p".into()),
            dir_monitor: Some("m".into()),
            dir_monitor_pivot: Some("v".into()),
            ..plain.clone()
        };
        assert!(fixed.payload().fixed && fixed.monitor().fixed);
        check(fixed, "p", "m", "v");
        assert_eq!(plain.payload().nth(2), "lxc.payload.c-2");
    }

    #[test]
    fn paths_stay_below() {
        assert_eq!(components("/a//b/./c"), Some(vec!["a", "b", "c"]));
        for bad in ["", "/", ".", "a/../b", "..", "a\nb", "a\0"] {
            assert_eq!(components(bad), None, "{bad:?}");
        }
    }
}
