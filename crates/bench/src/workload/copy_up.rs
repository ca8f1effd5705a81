//! The first write to a file that a clone shares with its source.

use hull_storage::{Access, Result};

use super::{Bout, Definition, Fit, Rounds, Row, Tools, Workload};
use crate::fixture::{self, BLOCK, DATA};
use crate::site::Site;
use crate::trial::Trial;

#[derive(Debug)]
pub(crate) struct CopyUp;

const DEFINITION: Definition = Definition {
    id: "copy-up",
    title: "First write after a clone",
    what: "In a new clone of the parent 4 KiB are written over the beginning of a file of 4 KiB, and then into the \
middle of a data file, from opening the file to the end of fdatasync(2). Stores that share whole files copy the file \
first.",
    rows: &[
        Row::time("copy-up-small", "first write, small file"),
        Row::time("copy-up-large", "first write, large file"),
    ],
    rounds: Rounds::All,
};

impl Workload for CopyUp {
    fn definition(&self) -> &'static Definition {
        &DEFINITION
    }

    fn prepare<'a>(&self, site: &'a Site, _: &'a Tools) -> Result<Fit<'a>> {
        Ok(Fit::Ready(Box::new(Writing { site })))
    }
}

struct Writing<'a> {
    site: &'a Site,
}

impl Bout for Writing<'_> {
    fn sample(&mut self, trial: &mut Trial<'_>) -> Result<()> {
        let at = self.site.clone("written")?;
        let open = self.site.open(&at, Access::ReadWrite)?;
        let block = [0x5a; BLOCK];
        let small = fixture::small_files(&open.path()).join(fixture::small_file(0));
        let large = fixture::data_file(&open.path(), DATA[0]);
        let middle = self.site.sizes.data_bytes / 2;
        for (row, path, offset) in [("copy-up-small", small, 0), ("copy-up-large", large, middle)] {
            trial.time(row, || {
                let write = || {
                    let file = std::fs::File::options().write(true).open(&path)?;
                    std::os::unix::fs::FileExt::write_all_at(&file, &block, offset)?;
                    file.sync_data()
                };
                write().map_err(|e| fixture::failed("write to", &path, e))
            })?;
        }
        open.close()?;
        self.site.remove(&at)
    }

    fn finish(&mut self) -> Result<()> {
        Ok(())
    }
}
