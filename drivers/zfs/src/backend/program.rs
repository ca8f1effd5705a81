//! The verbs by the program `zfs`: for machines without libzfs_core, and for what that lacks.

use hull_command::{Output, Runner, Streams, Tool, ToolCommand, failure};
use hull_storage::{Error, ErrorKind, Result};
use rustix::fd::BorrowedFd;

use super::{Asked, Backend, Dataset, LOOKED_AT, Node, Property, When, read_dataset, read_tree};

/// The program.
pub(crate) const ZFS: Tool = Tool { program: "zfs", package: "zfsutils-linux" };

/// What the program says, and what that means.
const SAID: [(&str, ErrorKind); 18] = [
    // Also of a destination that "does not exist".
    ("cannot receive incremental stream: destination", ErrorKind::InvalidInput),
    ("match incremental source", ErrorKind::InvalidInput),
    ("already exists", ErrorKind::AlreadyExists),
    ("does not exist", ErrorKind::NotFound),
    ("no such pool", ErrorKind::NotFound),
    ("could not find any snapshots", ErrorKind::NotFound),
    ("dependent clones", ErrorKind::HasDependents),
    ("has children", ErrorKind::HasDependents),
    ("is busy", ErrorKind::InUse),
    ("out of space", ErrorKind::NoSpace),
    ("quota exceeded", ErrorKind::NoSpace),
    ("less than current used", ErrorKind::CannotShrink),
    ("ermission denied", ErrorKind::PermissionDenied),
    ("different pools", ErrorKind::Unsupported),
    ("invalid character", ErrorKind::InvalidInput),
    ("too long", ErrorKind::InvalidInput),
    ("incomplete stream", ErrorKind::Corrupt),
    ("invalid stream", ErrorKind::Corrupt),
];

/// The program, run by a seam that tests replace.
#[derive(Debug)]
pub(crate) struct Program {
    runner: Box<dyn Runner>,
}

impl Program {
    pub(crate) fn new(runner: Box<dyn Runner>) -> Self {
        Self { runner }
    }

    fn run<I: IntoIterator<Item = S>, S: AsRef<std::ffi::OsStr>>(&self, arguments: I) -> Result<Output> {
        self.stream(&ToolCommand::new(ZFS).args(arguments), Streams::default())
    }

    fn stream(&self, command: &ToolCommand, streams: Streams<'_>) -> Result<Output> {
        let output = self.runner.attempt_with(command, streams)?;
        match output.succeeded() {
            true => Ok(output),
            false => Err(explained(command, &output)),
        }
    }

    /// What a command prints, or nothing where its dataset is not there.
    fn ask<const N: usize>(&self, arguments: [&str; N]) -> Result<String> {
        match self.run(arguments) {
            Ok(output) => Ok(output.text()),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(String::new()),
            Err(e) => Err(e),
        }
    }
}

/// The failure of a command, of the kind that fits what it said.
fn explained(command: &ToolCommand, output: &Output) -> Error {
    let failure = failure(command, output);
    let said = output.complaint();
    match SAID.iter().find(|(text, _)| said.contains(text)) {
        Some((_, kind)) => Error::new(*kind, failure.to_string()),
        None => failure,
    }
}

impl Backend for Program {
    /// The program takes as long for one property as for all.
    fn look(&self, dataset: &str, _: Asked) -> Result<Option<Dataset>> {
        let properties = LOOKED_AT.join(",");
        let said = self.ask(["get", "-Hp", "-o", "property,value,source", &properties, dataset])?;
        let lines = said.lines().filter_map(|line| {
            let mut fields = line.split('\t').map(str::to_owned);
            Some((fields.next()?, fields.next()?, fields.next()?))
        });
        Ok((!said.is_empty()).then(|| read_dataset(dataset, lines)))
    }

    fn tree(&self, dataset: &str) -> Result<Vec<Node>> {
        let fields = "type,name,createtxg,userrefs,clones";
        let kinds = "filesystem,volume,snapshot";
        let said = self.ask(["list", "-Hp", "-r", "-t", kinds, "-o", fields, "-s", "name", dataset])?;
        let of = |line: &'_ str| line.starts_with("snapshot\t");
        // Sorted by name a dataset may stand behind its snapshots.
        let (snapshots, datasets): (Vec<&str>, Vec<&str>) = said.lines().partition(|line| of(line));
        let datasets =
            datasets.into_iter().filter_map(|line| line.split('\t').nth(1)).map(|n| vec!["dataset", n]);
        Ok(read_tree(datasets.chain(snapshots.into_iter().map(|line| line.split('\t').collect()))))
    }

    fn mounted_at(&self, mountpoint: &str) -> Result<Vec<String>> {
        let said = self.ask(["list", "-Hp", "-t", "filesystem", "-o", "name,mountpoint"])?;
        let found = said.lines().filter_map(|line| line.split_once('\t')).filter(|(_, at)| *at == mountpoint);
        Ok(found.map(|(name, _)| name.to_owned()).collect())
    }

    fn exists(&self, name: &str) -> Result<bool> {
        let kinds = "filesystem,volume,snapshot";
        Ok(!self.ask(["list", "-H", "-d", "0", "-t", kinds, "-o", "name", name])?.is_empty())
    }

    fn create(&self, dataset: &str, properties: &[Property]) -> Result<()> {
        let arguments = ["create".into()].into_iter().chain(options(properties)).chain([dataset.into()]);
        self.run(arguments).map(drop)
    }

    fn snapshot(&self, snapshot: &str) -> Result<()> {
        self.run(["snapshot", snapshot]).map(drop)
    }

    fn clone_of(&self, origin: &str, dataset: &str, properties: &[Property]) -> Result<()> {
        let end = [origin.into(), dataset.into()];
        self.run(["clone".into()].into_iter().chain(options(properties)).chain(end)).map(drop)
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        match from.contains('@') {
            true => self.run(["rename", from, to]).map(drop),
            // Without -u it would mount again, where its mount point says, what is mounted elsewhere.
            false => self.run(["rename", "-u", from, to]).map(drop),
        }
    }

    fn promote(&self, dataset: &str) -> Result<()> {
        self.run(["promote", dataset]).map(drop)
    }

    fn destroy(&self, dataset: &str) -> Result<()> {
        self.run(["destroy", dataset]).map(drop)
    }

    fn destroy_snapshot(&self, snapshot: &str, when: When) -> Result<()> {
        let done = match when {
            When::Now => self.run(["destroy", snapshot]),
            When::Unneeded => self.run(["destroy", "-d", snapshot]),
        };
        match done {
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
            other => other.map(drop),
        }
    }

    fn set(&self, dataset: &str, property: &Property) -> Result<()> {
        self.run(["set", &format!("{}={}", property.name, property.text), dataset]).map(drop)
    }

    fn send(&self, snapshot: &str, since: Option<&str>, raw: bool, to: BorrowedFd<'_>) -> Result<()> {
        let mut command = ToolCommand::new(ZFS).arg("send");
        if raw {
            command = command.arg("-w");
        }
        if let Some(since) = since {
            command = command.args(["-i", since]);
        }
        self.stream(&command.arg(snapshot), Streams { stdin: None, stdout: Some(to) }).map(drop)
    }

    fn receive(
        &self,
        from: BorrowedFd<'_>,
        snapshot: &str,
        origin: Option<&str>,
        properties: &[Property],
    ) -> Result<()> {
        let origin = origin.map(|o| format!("origin={o}"));
        let origin = origin.iter().flat_map(|o| ["-o".to_owned(), o.clone()]);
        let command = ToolCommand::new(ZFS)
            .args(["receive", "-u"])
            .args(options(properties))
            .args(origin)
            .arg(snapshot);
        self.stream(&command, Streams { stdin: Some(from), stdout: None }).map(drop)
    }
}

fn options(properties: &[Property]) -> impl Iterator<Item = String> {
    properties.iter().flat_map(|p| ["-o".to_owned(), format!("{}={}", p.name, p.text)])
}
