//! The store's own acts on the simulated machine, divided where the real ones are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use hull_mount::MountSource;
use hull_storage::host::PARTIAL;
use hull_storage::{
    Activation, BlockImage, Draft, Durability, Error, ErrorKind, Host, Mark, Observer, Outcome, Resource,
    Result, Step, TxId,
};
use rustix::fd::BorrowedFd;

use super::driver::meta;
use super::{Machine, Node};

/// Homes, small files and copies on a simulated machine.
#[derive(Debug)]
pub struct SimHost(pub Machine);

impl SimHost {
    fn is_being_made(&self, home: &Path, by: TxId) -> Result<bool> {
        Ok(self.0.read(&home.join(PARTIAL))?.is_some_and(|text| text == by.to_string().as_bytes()))
    }

    /// As `rmdir` does on subvolumes and datasets: a home goes only when no volume is left in it.
    fn remove_home(&self, home: &Path) -> Result<Outcome> {
        let held = self.0.look(|d| {
            d.tree(home).find(|(p, _)| *p != home && d.has(&meta(p))).map(|(p, _)| p.to_path_buf())
        })?;
        match held {
            Some(volume) => Err(Error::new(
                ErrorKind::InUse,
                format!("{} still holds the volume {}", home.display(), volume.display()),
            )),
            None => self.0.remove_tree(home),
        }
    }
}

impl Host for SimHost {
    fn make_home(&self, home: &Path, _: u32, _: Option<(u32, u32)>, by: TxId) -> Result<()> {
        let staged = Mark::New.sibling(home, by);
        self.0.effect(|d| d.make_dir(&staged))?;
        self.0.effect(|d| d.make_file(&staged.join(PARTIAL), by.to_string().as_bytes()))?;
        self.0.effect(|d| d.rename(&staged, home)).map(drop)
    }

    fn unmake_home(&self, home: &Path, by: TxId) -> Result<()> {
        let aside = Mark::Old.sibling(home, by);
        if self.is_being_made(home, by)? {
            self.0.effect(|d| d.rename(home, &aside))?;
        }
        self.remove_home(&aside)?;
        self.remove_home(&Mark::New.sibling(home, by)).map(drop)
    }

    fn finish_home(&self, home: &Path, by: TxId) -> Result<()> {
        if self.is_being_made(home, by)? {
            self.0.effect(|d| d.remove(&home.join(PARTIAL)))?;
        }
        Ok(())
    }

    fn rename_home(&self, from: &Resource, to: &Resource) -> Result<Outcome> {
        self.0.effect(|d| d.rename(from.path(), to.path()))
    }

    fn reclaim_home(&self, what: &Resource, _: &dyn Observer) -> Result<Outcome> {
        self.remove_home(what.path())
    }

    fn write(&self, file: &Path, content: Option<&[u8]>, _mode: u32, by: TxId) -> Result<()> {
        let aside = Mark::New.sibling(file, by);
        match content {
            Some(content) => {
                self.0.effect(|d| d.put(&aside, content))?;
                self.0.effect(|d| d.replace(&aside, file))
            }
            None => {
                self.0.effect(|d| d.remove(&aside))?;
                self.0.effect(|d| d.remove(file)).map(drop)
            }
        }
    }

    fn fill_blocks(&self, _: &BlockImage, _: &BlockImage) -> Result<()> {
        Err(Error::new(ErrorKind::Unsupported, "simulated volumes have no blocks"))
    }

    fn carry(&self, _: BorrowedFd<'_>, _: BorrowedFd<'_>) -> Result<()> {
        Err(Error::new(ErrorKind::Unsupported, "simulated volumes have no streams"))
    }

    fn fill(&self, from: &Activation, to: &Activation) -> Result<()> {
        let (source, target) = (tree(from)?, tree(to)?);
        let files: Vec<(PathBuf, Node)> =
            self.0.look(|d| d.tree(&source).skip(1).map(|(p, n)| (p.to_path_buf(), n.clone())).collect())?;
        if self.0.look(|d| d.tree(&target).count())? != 1 {
            let text = format!("{} is not an empty directory", target.display());
            return Err(Error::new(ErrorKind::AlreadyExists, text));
        }
        for (path, node) in files {
            let below = path.strip_prefix(&source).expect("a tree lies below its root");
            let path = target.join(below);
            self.0.effect(|d| match &node {
                Node::Dir => d.make_dir(&path),
                Node::File(content) => d.make_file(&path, content),
            })?;
        }
        Ok(())
    }

    fn draft(&self, from: &Activation, to: &Activation) -> Result<Draft> {
        self.fill(from, to).map(|()| Draft::default())
    }

    fn catch_up(&self, from: &Activation, to: &Activation, _: &Draft) -> Result<()> {
        let (source, target) = (tree(from)?, tree(to)?);
        let below = |root: &Path| -> Result<BTreeMap<PathBuf, Node>> {
            let relative = |p: &Path| p.strip_prefix(root).expect("a tree lies below its root").to_path_buf();
            self.0.look(|d| d.tree(root).skip(1).map(|(p, n)| (relative(p), n.clone())).collect())
        };
        let (now, copy) = (below(&source)?, below(&target)?);
        // What lies in a directory goes before it, and comes after it.
        for (path, _) in copy.iter().rev().filter(|(path, node)| now.get(*path) != Some(node)) {
            self.0.effect(|d| d.remove(&target.join(path)))?;
        }
        for (path, node) in now.iter().filter(|(path, node)| copy.get(*path) != Some(node)) {
            self.0.effect(|d| match node {
                Node::Dir => d.make_dir(&target.join(path)),
                Node::File(content) => d.make_file(&target.join(path), content),
            })?;
        }
        Ok(())
    }

    fn patch(&self, volume: &Activation, dir: &str, name: &str, content: &[u8]) -> Result<()> {
        let file = tree(volume)?.join(dir).join(name);
        if self.0.look(|d| !d.has(&file))? {
            return Ok(());
        }
        self.0.effect(|d| d.put(&file, content))
    }

    fn durability(&self) -> Durability {
        Durability::Power
    }

    fn persist_volume(&self, _: &dyn Fn() -> Result<Activation>) -> Result<()> {
        Ok(())
    }

    fn persist(&self, _: &Step) -> Result<()> {
        // What the disk has, it keeps.
        self.0.look(|_| ())
    }
}

fn tree(volume: &Activation) -> Result<PathBuf> {
    match &volume.plan.source {
        MountSource::Tree(path) => Ok(path.clone()),
        other => Err(Error::new(ErrorKind::Unsupported, format!("no simulated volume is {other:?}"))),
    }
}
