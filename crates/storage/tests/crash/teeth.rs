//! The crash loop has teeth: it rejects each protocol that leaves one thing out.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::*;
use hull_storage::{Journal, Record, Seen, TxId, VolumeSpec};
use hull_storage_testkit::crash::Torn;

/// What a journal leaves out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Without {
    /// Nothing.
    Nothing,
    /// The commit.
    Commit,
    /// Saving before the effect: each save is done with the next one.
    WriteAhead,
    /// Progress while undoing.
    UndoProgress,
    /// Progress at all: the whole plan is saved as begun at once.
    Progress,
    /// Any record.
    Records,
    /// That only the deletion is left.
    Reclaiming,
}

/// `inner` without what `without` says.
pub(super) fn mutant(inner: Box<dyn Journal>, without: Without) -> Box<dyn Journal> {
    Box::new(Mutant { inner, without, last: Mutex::new(BTreeMap::new()) })
}

struct Mutant {
    inner: Box<dyn Journal>,
    without: Without,
    last: Mutex<BTreeMap<TxId, Record>>,
}

impl Journal for Mutant {
    fn save(&self, record: &Record) -> Result<()> {
        let last = self.last.lock().unwrap().insert(record.id, record.clone());
        match (self.without, last) {
            (Without::Commit, _) if record.committed => Ok(()),
            (Without::WriteAhead, last) => last.map_or(Ok(()), |last| self.inner.save(&last)),
            (Without::UndoProgress, Some(last)) if record.begun < last.begun => Ok(()),
            (Without::Progress, None) => {
                self.inner.save(&Record { begun: record.plan.steps.len(), ..record.clone() })
            }
            (Without::Progress, Some(_)) if !record.committed => Ok(()),
            (Without::Records, _) => Ok(()),
            (Without::Reclaiming, _) => self.inner.save(&Record { reclaiming: false, ..record.clone() }),
            _ => self.inner.save(record),
        }
    }

    fn erase(&self, id: TxId) -> Result<()> {
        self.inner.erase(id)
    }

    fn orphans(&self) -> Result<Vec<Record>> {
        let orphans = self.inner.orphans()?;
        self.last.lock().unwrap().extend(orphans.iter().map(|r| (r.id, r.clone())));
        Ok(orphans)
    }

    fn condemned(&self) -> Result<Vec<Record>> {
        self.inner.condemned()
    }

    fn release(&self, id: TxId) {
        self.inner.release(id);
    }

    fn look(&self) -> Result<Vec<Seen>> {
        self.inner.look()
    }

    fn next_id(&self) -> Result<TxId> {
        self.inner.next_id()
    }
}

/// Restore on a store with clones: it makes, moves aside, moves into place and deletes.
fn restore(without: Without) -> std::result::Result<CrashPoints, Torn> {
    let lab = Lab::new().unwrap().with_journal(move |inner| mutant(inner, without));
    let snapshot = SimDriver::snapshot(Disk::default(), "/v/s", OLD);
    let before = with(snapshot.clone(), "/v/a", NEW);
    let after = with(snapshot, "/v/a", OLD);
    let scene = Scene { before, after, untouched: vec!["/v/s".into(), "/v/s.meta".into()] };
    crash_everywhere(&lab, &scene, |s| s.restore(&loc(Lab::FREE, "/v/s"), &loc(Lab::FREE, "/v/a")).map(drop))
}

#[test]
fn nothing_is_left_out() {
    assert!(restore(Without::Nothing).is_ok(), "or the mutants are caught for being wrapped");
}

#[test]
fn no_commit_record_is_caught() {
    println!("{}", restore(Without::Commit).unwrap_err());
}

#[test]
fn saving_after_the_effect_is_caught() {
    println!("{}", restore(Without::WriteAhead).unwrap_err());
}

#[test]
fn undo_without_saving_progress_is_caught() {
    println!("{}", restore(Without::UndoProgress).unwrap_err());
}

#[test]
fn one_save_of_the_whole_plan_is_caught() {
    println!("{}", restore(Without::Progress).unwrap_err());
}

#[test]
fn no_journal_is_caught() {
    println!("{}", restore(Without::Records).unwrap_err());
}

mod proof {
    //! Deletion needs proof: a driver that ignores staged names must not cost somebody else his volume.

    use super::*;
    use hull_storage::*;
    use hull_storage_testkit::sim::Machine;
    use std::path::Path;
    use std::sync::Arc;

    /// A simulated driver that makes volumes under their final names at once.
    #[derive(Debug)]
    struct Hasty {
        inner: SimDriver,
        claims_all: bool,
    }

    impl Driver for Hasty {
        fn name(&self) -> DriverName {
            self.inner.name()
        }
        fn capabilities(&self) -> Capabilities {
            self.inner.capabilities()
        }
        fn new_layout(&self, to: &Placement, from: Option<&Locator>) -> Result<Layout> {
            let staged = self.inner.new_layout(to, from)?;
            let leaf = staged.at.path().file_name().unwrap().to_string_lossy().into_owned();
            let leaf = leaf.rsplit('.').next().unwrap_or_default().to_owned();
            self.inner.new_layout(&at(staged.at.path().with_file_name(leaf).to_str().unwrap()), from)
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
            self.inner.create(at, spec, by)
        }
        fn rename(&self, from: &Resource, to: &Resource) -> Result<Outcome> {
            self.inner.rename(from, to)
        }
        fn reclaim(&self, what: &Resource, by: TxId) -> Result<Outcome> {
            self.inner.reclaim(what, by)
        }
        fn made_by(&self, what: &Resource, tx: TxId) -> Result<bool> {
            if self.claims_all { Ok(true) } else { self.inner.made_by(what, tx) }
        }
    }

    /// What is left of somebody else's volume when creation under its name fails.
    fn after_create_on(claims_all: bool) -> (Error, Disk) {
        let theirs = with(Disk::default(), "/v/a", OLD);
        let machine = Machine::new(theirs);
        let lab = Lab::new().unwrap().with_drivers(move |m| {
            let inner = SimDriver::new(Lab::PLAIN, m.clone());
            vec![Arc::new(Hasty { inner, claims_all })]
        });
        let made = lab.store(&machine).create(Lab::PLAIN, &at("/v/a"), &VolumeSpec::default());
        (made.unwrap_err(), machine.disk())
    }

    #[test]
    fn without_proof_nothing_is_deleted() {
        let (error, disk) = after_create_on(false);
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        assert_eq!(error.leftovers().len(), 1, "what cannot be proven ours is said: {error}");
        assert_eq!(disk, with(Disk::default(), "/v/a", OLD));
    }

    #[test]
    fn reclaim_without_proof_is_caught() {
        let (_, disk) = after_create_on(true);
        assert_ne!(disk, with(Disk::default(), "/v/a", OLD), "the mutant deletes what is not its own");
    }
}

#[test]
fn a_fill_that_touches_its_source_is_caught() {
    let lab = Lab::new().unwrap();
    let before = with(Disk::default(), "/v/a", OLD);
    let after = with(Disk::default(), "/v/a", NEW);
    let scene = Scene { before, after, untouched: vec!["/v/a".into()] };
    let spec = VolumeSpec::default();
    let torn = crash_everywhere(&lab, &scene, |s| {
        s.transact("meddle", |tx| {
            let mut plan = hull_storage::Plan::default();
            let content = |text: &str| Some(text.as_bytes().to_vec());
            plan.write("/v/a/hostname".as_ref(), content("old"), content("new"));
            tx.perform(plan)
        })?;
        s.create(Lab::PLAIN, &at("/v/b"), &spec).map(drop)
    });
    println!("{}", torn.unwrap_err());
}
