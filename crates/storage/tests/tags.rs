//! A driver that tags what it makes, and so makes it under its final name: what others have there stays.

use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;

use hull_storage::lock::{VolumeLocks, Wait};
use hull_storage::{
    Access, Activation, Capabilities, Driver, DriverName, Durability, ErrorKind, FileJournal, Layout,
    Locator, Outcome, Placement, RealHost, Resource, Result, Settings, Store, TxId, Usage, VolumeInfo,
    VolumeSpec,
};
use hull_storage_testkit::plain;

/// The plain driver, which keeps a list of what each transaction made.
#[derive(Debug)]
struct Tagging {
    inner: Arc<dyn Driver>,
    tags: Mutex<Vec<(Resource, TxId)>>,
    /// Fails once the volume is made.
    fails: bool,
}

impl Driver for Tagging {
    fn name(&self) -> DriverName {
        self.inner.name()
    }
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities().tags_owner(true)
    }
    fn new_layout(&self, to: &Placement, from: Option<&Locator>) -> Result<Layout> {
        self.inner.new_layout(to, from)
    }
    fn moved(&self, layout: &Layout, to: &Placement) -> Result<Layout> {
        self.inner.moved(layout, to)
    }
    fn placement(&self, at: &Locator) -> Result<Placement> {
        self.inner.placement(at)
    }
    fn rebased(&self, at: &Locator, from: &Path, to: &Path) -> Result<Locator> {
        self.inner.rebased(at, from, to)
    }
    fn layout(&self, at: &Locator) -> Result<Layout> {
        self.inner.layout(at)
    }
    fn inspect(&self, at: &Locator) -> Result<VolumeInfo> {
        self.inner.inspect(at)
    }
    fn usage(&self, at: &Locator) -> Result<Usage> {
        self.inner.usage(at)
    }
    fn activate(&self, at: &Locator, access: Access) -> Result<Activation> {
        self.inner.activate(at, access)
    }
    fn create(&self, at: &Layout, spec: &VolumeSpec, by: TxId) -> Result<()> {
        self.inner.create(at, spec, by)?;
        self.tags.lock().expect("nobody panics").push((at.parts[0].clone(), by));
        match self.fails {
            true => Err(hull_storage::Error::new(ErrorKind::ToolFailed, "no luck with the rest of it")),
            false => Ok(()),
        }
    }
    fn rename(&self, from: &Resource, to: &Resource) -> Result<Outcome> {
        self.inner.rename(from, to)
    }
    fn reclaim(&self, what: &Resource, by: TxId) -> Result<Outcome> {
        self.inner.reclaim(what, by)
    }
    fn made_by(&self, what: &Resource, tx: TxId) -> Result<bool> {
        Ok(what.carries(tx) || self.tags.lock().expect("nobody panics").contains(&(what.clone(), tx)))
    }
}

fn store(dir: &Path, fails: bool) -> Store {
    let inner = (plain::REGISTRATION.open)(&Settings::default());
    let driver = Tagging { inner, tags: Mutex::default(), fails };
    let journal = FileJournal::new(dir.join("journal"), Durability::Crash);
    let host = RealHost::new(Box::new(()), Durability::Crash);
    let locks = VolumeLocks::new(dir.join("lock"), Wait::No);
    Store::new(vec![Arc::new(driver)], Box::new(journal), Box::new(host), locks)
}

#[test]
fn a_taken_name_is_left_alone_and_nothing_is_left_behind() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    std::fs::create_dir(&path).unwrap();
    std::fs::write(path.join("theirs"), "theirs").unwrap();
    let store = store(dir.path(), false);
    let to = Placement::exactly(&path).unwrap();
    let refused = store.create(plain::NAME, &to, &VolumeSpec::default()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::AlreadyExists, "{refused}");
    assert!(refused.leftovers().is_empty(), "{refused}");
    assert!(store.recover().unwrap().failed.is_empty());
    assert_eq!(std::fs::read_to_string(path.join("theirs")).unwrap(), "theirs");
}

#[test]
fn what_was_made_under_its_final_name_is_undone_by_its_tag() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    let store = store(dir.path(), true);
    let to = Placement::exactly(&path).unwrap();
    let failed = store.create(plain::NAME, &to, &VolumeSpec::default()).unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::ToolFailed, "{failed}");
    assert!(failed.leftovers().is_empty() && !path.exists(), "{failed}");
}
