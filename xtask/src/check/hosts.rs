//! Every address in the tree is of a public site that a reader anywhere can open.

use super::Outcome;
use crate::workspace::Workspace;

/// Hosts, with their subdomains, that documentation and the lock file may name.
const HOSTS: &[&str] = &[
    "apache.org",
    "debian.org",
    "docs.rs",
    "example.com",
    "example.org",
    "freedesktop.org",
    "github.com",
    "kernel.org",
    "linuxcontainers.org",
    "man7.org",
    "opencontainers.org",
    "opensource.org",
    "rust-lang.org",
    "spdx.org",
];

/// Finds addresses of any other host.
pub(super) fn check(workspace: &Workspace) -> Outcome {
    let mut findings = Vec::new();
    for file in &workspace.files {
        for (number, line) in file.text.lines().enumerate() {
            for host in hosts(line).filter(|host| !is_public(host)) {
                let place = format!("{}:{}", file.path.display(), number + 1);
                findings.push(format!(
                    "{place}: {host} is not a host the tree may name; see xtask's rule `hosts`"
                ));
            }
        }
    }
    Outcome { note: format!("{} public hosts allowed", HOSTS.len()), findings }
}

/// The host of each `scheme://host` in `line`.
fn hosts(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices("://").filter_map(|(at, mark)| {
        let scheme_is_web = ["http", "https", "git", "ssh", "ftp"].iter().any(|s| line[..at].ends_with(s));
        let rest = &line[at + mark.len()..];
        let end =
            rest.find(|c: char| !(c.is_ascii_alphanumeric() || ".-@".contains(c))).unwrap_or(rest.len());
        let host = rest[..end].rsplit('@').next().unwrap_or_default().trim_end_matches('.');
        (scheme_is_web && !host.is_empty()).then_some(host)
    })
}

fn is_public(host: &str) -> bool {
    HOSTS.iter().any(|known| host.strip_suffix(known).is_some_and(|sub| sub.is_empty() || sub.ends_with('.')))
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::workspace::fixture;

    #[test]
    fn an_address_of_another_host_is_caught() {
        // Put together here, so that this file does not hold what it forbids.
        let address = |host: &str| format!("see https://{host}/x.");
        let good = ["man7.org", "docs.kernel.org", "github.com"].map(address).join("\n");
        let bad = ["mirror.internal", "notgithub.com", "user@10.0.0.1"].map(address).join("\n");
        let outcome =
            check(&fixture::files(&[("good.md", &good), ("bad.md", &bad), ("c.rs", "unix://sock")]));
        let found: Vec<_> = outcome.findings.iter().filter_map(|line| line.split(" is not").next()).collect();
        assert_eq!(found, ["bad.md:1: mirror.internal", "bad.md:2: notgithub.com", "bad.md:3: 10.0.0.1"]);
    }
}
