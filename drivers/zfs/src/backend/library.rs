//! The verbs by libzfs_core: each a call of the kernel, without a program.
//!
//! The library can look at nothing but names, so looking is done by channel programs (zfs-program(8)), small texts
//! that the kernel runs on one state of the pool. It cannot set properties, list pools or receive with properties of
//! the receiver's own: those go through the program.

use hull_storage::{Error, ErrorKind, Result};
use hull_sys::zfscore::{Libzfs, Value};
use rustix::fd::BorrowedFd;
use rustix::io::Errno;

use super::program::Program;
use super::{Asked, Backend, Dataset, Node, Property, When, read_dataset, read_tree};
use crate::naming;

/// Says each property of the table's `properties` in a line: name, value, where it was set.
const LOOK: &str = r#"
local args = ...
local name = args["dataset"]
if not zfs.exists(name) then return "" end
local lines = {}
for property in string.gmatch(args["properties"], "[^,]+") do
    local value, source = zfs.get_prop(name, property)
    lines[#lines + 1] = property .. "\t" .. tostring(value) .. "\t" .. tostring(source)
end
return table.concat(lines, "\n")
"#;

/// Says each dataset and snapshot of a tree in a line, as [`read_tree`] reads it.
const TREE: &str = r#"
local args = ...
if not zfs.exists(args["dataset"]) then return "" end
local lines = {}
local function visit(dataset)
    lines[#lines + 1] = "dataset\t" .. dataset
    for snapshot in zfs.list.snapshots(dataset) do
        local made = zfs.get_prop(snapshot, "createtxg")
        local holds = zfs.get_prop(snapshot, "userrefs")
        local clones = {}
        for clone in zfs.list.clones(snapshot) do
            clones[#clones + 1] = clone
        end
        lines[#lines + 1] = "snapshot\t" .. snapshot .. "\t" .. tostring(made) .. "\t" .. tostring(holds)
            .. "\t" .. table.concat(clones, ",")
    end
    for child in zfs.list.children(dataset) do
        visit(child)
    end
end
visit(args["dataset"])
return table.concat(lines, "\n")
"#;

/// Makes one snapshot and lets another go with its last clone, in one transaction group; says the number of what failed.
const LEAVE: &str = r#"
local args = ...
local failed = zfs.sync.snapshot(args["also"])
if failed == 0 then failed = zfs.sync.destroy{args["snapshot"], defer=true} end
return tostring(failed)
"#;

/// libzfs_core, and the program for what it lacks.
#[derive(Debug)]
pub(crate) struct Library {
    zfs: Libzfs,
    program: Program,
}

impl Library {
    /// Loads it. Fails, naming the package, when it is not there, and when `/dev/zfs` cannot be opened.
    pub(crate) fn load(program: Program) -> Result<Self> {
        Ok(Self { zfs: Libzfs::load()?, program })
    }

    /// What a channel program says of `dataset`; nothing where there is no such pool.
    fn ask(&self, program: &str, dataset: &str, arguments: &[(&str, &str)]) -> Result<String> {
        let arguments: Vec<_> = arguments.iter().copied().chain([("dataset", dataset)]).collect();
        // It may have gone while the program looked.
        for _ in 0..5 {
            match self.zfs.ask(naming::pool(dataset), program, &arguments) {
                Err(e) if e.errno() == Errno::NOENT => return Ok(String::new()),
                Err(_) if !self.zfs.exists(dataset)? => return Ok(String::new()),
                Err(e) if e.errno() == Errno::AGAIN => {}
                other => return Ok(other?),
            }
        }
        Err(Error::new(ErrorKind::InUse, format!("{dataset} changes all the time: try again")))
    }
}

impl Backend for Library {
    fn look(&self, dataset: &str, asked: Asked) -> Result<Option<Dataset>> {
        let said = self.ask(LOOK, dataset, &[("properties", &asked.properties().join(","))])?;
        let lines = said.lines().filter_map(|line| {
            let mut fields = line.split('\t').map(str::to_owned);
            Some((fields.next()?, fields.next()?, fields.next()?))
        });
        Ok((!said.is_empty()).then(|| read_dataset(dataset, lines)))
    }

    fn tree(&self, dataset: &str) -> Result<Vec<Node>> {
        let said = self.ask(TREE, dataset, &[])?;
        Ok(read_tree(said.lines().map(|line| line.split('\t').collect())))
    }

    fn mounted_at(&self, mountpoint: &str) -> Result<Vec<String>> {
        self.program.mounted_at(mountpoint)
    }

    fn exists(&self, name: &str) -> Result<bool> {
        Ok(self.zfs.exists(name)?)
    }

    fn create(&self, dataset: &str, properties: &[Property]) -> Result<()> {
        Ok(self.zfs.create(dataset, &values(properties))?)
    }

    fn snapshot(&self, snapshot: &str) -> Result<()> {
        Ok(self.zfs.snapshot(snapshot)?)
    }

    fn clone_of(&self, origin: &str, dataset: &str, properties: &[Property]) -> Result<()> {
        Ok(self.zfs.clone_of(origin, dataset, &values(properties))?)
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        Ok(self.zfs.rename(from, to)?)
    }

    fn promote(&self, dataset: &str) -> Result<()> {
        Ok(self.zfs.promote(dataset)?)
    }

    fn destroy(&self, dataset: &str) -> Result<()> {
        self.zfs.destroy(dataset).map_err(depended_on)
    }

    fn destroy_snapshot(&self, snapshot: &str, when: When) -> Result<()> {
        self.zfs.destroy_snapshot(snapshot, when == When::Unneeded).map_err(depended_on)
    }

    fn leave_to_clone(&self, snapshot: &str, also: Option<&str>) -> Result<()> {
        let Some(also) = also else { return self.destroy_snapshot(snapshot, When::Unneeded) };
        let arguments = [("snapshot", snapshot), ("also", also)];
        let said = self.zfs.tell(naming::pool(snapshot), LEAVE, &arguments)?;
        match said.parse() {
            Ok(0) => Ok(()),
            Ok(number) => {
                let errno = Errno::from_raw_os_error(number);
                Err(hull_sys::Error::new(format!("making {also} and leaving {snapshot}"), errno).into())
            }
            Err(_) => {
                Err(Error::new(ErrorKind::ToolFailed, format!("zfs answers {said:?} to what makes {also}")))
            }
        }
    }

    fn set(&self, dataset: &str, property: &Property) -> Result<()> {
        self.program.set(dataset, property)
    }

    fn send(&self, snapshot: &str, since: Option<&str>, raw: bool, to: BorrowedFd<'_>) -> Result<()> {
        Ok(self.zfs.send(snapshot, since, raw, to)?)
    }

    fn receive(
        &self,
        from: BorrowedFd<'_>,
        snapshot: &str,
        origin: Option<&str>,
        properties: &[Property],
    ) -> Result<()> {
        self.program.receive(from, snapshot, origin, properties)
    }
}

/// The kernel's word for something that has snapshots, clones or children is `EEXIST`.
fn depended_on(e: hull_sys::Error) -> Error {
    match e.errno() {
        Errno::EXIST | Errno::NOTEMPTY => Error::new(ErrorKind::HasDependents, e.to_string()),
        _ => e.into(),
    }
}

fn values(properties: &[Property]) -> Vec<(&str, Value<'_>)> {
    properties.iter().map(|p| (p.name, p.number.map_or(Value::Text(&p.text), Value::Number))).collect()
}
