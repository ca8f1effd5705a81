//! Defects of stock LXC 5.0, one case each: what went wrong there must not go wrong here.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use hull_storage::{Access, CloneMode, ErrorKind, Registry, VolumeSpec};
use rustix::fs::{RenameFlags, renameat_with};
use rustix::io::Errno;

use super::Bench;
use super::bench::{Open, SAMPLE};
use super::case::{Case, CaseResult, Need, Verdict, refused, require};
use super::kill::{Round, faulty_store};
use crate::faulty::{Counted, Faults, Lasting, Moment};
use crate::plain;

pub(super) const CASES: &[Case] = &[
    Case { name: "regressions::rename_of_a_bare_path_keeps_store_and_data", needs: &[], run: bare_path },
    Case { name: "regressions::clone_of_a_bare_path_stays_in_its_store", needs: &[], run: bare_clone },
    Case {
        name: "regressions::a_copy_across_stores_can_be_destroyed",
        needs: &[Need::Standalone],
        run: across,
    },
    Case { name: "regressions::the_next_command_clears_an_interrupted_one", needs: &[], run: interrupted },
    Case { name: "regressions::a_restore_that_fails_keeps_the_volume", needs: &[], run: failed_restore },
    Case { name: "regressions::failures_say_why", needs: &[], run: why },
    Case { name: "regressions::removal_follows_no_symlink", needs: &[], run: symlinks },
    Case { name: "regressions::removal_follows_no_symlink_put_in_its_way", needs: &[], run: symlink_race },
    Case { name: "regressions::stores_go_by_their_whole_name", needs: &[], run: whole_name },
    Case { name: "regressions::what_others_made_is_left_alone", needs: &[Need::Anywhere], run: foreign },
];

/// The volume at `name`, named by its path alone as LXC before 2.1 did.
fn bare(bench: &Bench, name: &str) -> Option<hull_storage::Locator> {
    let path = bench.dir().join("volumes").join(name);
    Registry::default().with(bench.registration()).locate(path.as_os_str()).ok()
}

fn bare_path(bench: &Bench) -> CaseResult {
    let store = bench.store();
    let at = bench.make(&store, "a")?;
    let Some(found) = bare(bench, "a") else {
        return Ok(Verdict::DoesNotApply("its volumes are not named by a path alone".into()));
    };
    require(found == at, format!("the path of {at} is read as {found}"))?;
    let renamed = store.rename(&found, &bench.place("b"))?;
    require(renamed.driver() == at.driver(), format!("{at} changed its store: {renamed}"))?;
    require(bench.read(&store, &renamed, SAMPLE)?.as_deref() == Some("a"), "the data is lost")?;
    require(store.inspect(&renamed)?.origins.is_empty(), "a renamed volume needs another")?;
    bench.require_clean()?;
    Ok(Verdict::Held)
}

fn bare_clone(bench: &Bench) -> CaseResult {
    let store = bench.store();
    bench.make(&store, "a")?;
    let Some(found) = bare(bench, "a") else {
        return Ok(Verdict::DoesNotApply("its volumes are not named by a path alone".into()));
    };
    let (mode, access) = (CloneMode::Copy, Access::ReadWrite);
    let copy = store.clone_volume(&found, None, &bench.place("b"), mode, access)?.at;
    require(copy.driver() == found.driver(), format!("a plain copy of {found} is {copy}"))?;
    Ok(Verdict::Held)
}

fn across(bench: &Bench) -> CaseResult {
    let store = bench.store();
    let source = store.create(plain::NAME, &bench.plain_place("p"), &VolumeSpec::default())?;
    bench.write(&store, &source, SAMPLE, "plain")?;
    let into = Some(bench.driver().name());
    let (mode, access) = (CloneMode::Copy, Access::ReadWrite);
    let copy = store.clone_volume(&source, into, &bench.place("c"), mode, access)?.at;
    require(copy.driver() == bench.driver().name(), format!("the copy is {copy}"))?;
    store.destroy(&copy)?;
    require(!bench.is_there(&copy), "the copy is still there")?;
    require(bench.read(&store, &source, SAMPLE)?.is_some(), "the source has suffered")?;
    bench.require_clean()?;
    Ok(Verdict::Held)
}

fn interrupted(bench: &Bench) -> CaseResult {
    for act in bench.acts("interrupted") {
        let round = Round::prepare(bench, &format!("at{act}"), "make_home")?;
        let before = round.world()?;
        if !round.die_at("make_home", Some(act))? {
            require(act > 2, "it was never interrupted")?;
            return Ok(Verdict::Held);
        }
        // What every command does first.
        let store = round.bench.store();
        require(store.recover()?.failed.is_empty(), "the interrupted command cannot be cleared")?;
        if round.world()? == before {
            round.perform(&store, "make_home").map_err(|e| format!("again, after {act} acts: {e}"))?;
        }
        round.bench.require_clean()?;
    }
    unreachable!("a child that is not killed ends")
}

fn failed_restore(bench: &Bench) -> CaseResult {
    for act in bench.acts("restore fails") {
        let round = Round::prepare(bench, &format!("at{act}"), "restore")?;
        let before = round.world()?;
        let faults = Faults::fail(Counted::Changes, act, Moment::Before, Lasting::FromThenOn, Errno::NOSPC);
        let result = round.perform(&faulty_store(&round.bench, &faults), "restore");
        if !faults.struck() {
            return Ok(Verdict::Held);
        }
        round.bench.recover()?;
        if result.is_err() {
            require(round.world()? == before, format!("a restore that failed at {act} spoilt something"))?;
        }
        round.bench.require_clean()?;
    }
    unreachable!("an operation has an end")
}

fn why(bench: &Bench) -> CaseResult {
    let store = bench.store();
    let source = bench.make(&store, "a")?;
    bench.make(&store, "b")?;
    let e = refused(bench.clone_of(&store, &source, "b"), ErrorKind::AlreadyExists, "cloning onto a volume")?;
    let text = e.to_string();
    let taken = bench.driver().moved(&bench.driver().layout(&source)?, &bench.place("b"))?;
    require(
        taken.parts.iter().any(|part| text.contains(&part.to_string())),
        format!("what is in the way is not named: {text}"),
    )?;
    require(text.starts_with("clone: "), format!("the operation is not named: {text}"))?;
    Ok(Verdict::Held)
}

/// A directory outside all volumes that nobody may touch.
fn outside(bench: &Bench) -> std::io::Result<PathBuf> {
    let outside = bench.dir().join("outside");
    fs::create_dir_all(outside.join("dir"))?;
    for n in 0..20 {
        fs::write(outside.join(format!("file{n}")), "precious")?;
    }
    Ok(outside)
}

fn untouched(outside: &std::path::Path) -> std::io::Result<bool> {
    let files = fs::read_dir(outside)?.count();
    Ok(files == 21 && fs::read_to_string(outside.join("file7"))? == "precious")
}

fn symlinks(bench: &Bench) -> CaseResult {
    use std::os::unix::fs::symlink;
    let store = bench.store();
    let outside = outside(bench)?;
    let at = bench.make(&store, "a")?;
    {
        let open = Open::new(&store, &at, Access::ReadWrite)?;
        symlink(&outside, open.path().join("absolute"))?;
        symlink("../../outside", open.path().join("relative"))?;
        symlink("../../../../outside/file7", open.path().join("file"))?;
    }
    store.destroy(&at)?;
    require(untouched(&outside)?, "something outside the volume is gone")?;
    bench.require_clean()?;
    Ok(Verdict::Held)
}

fn symlink_race(bench: &Bench) -> CaseResult {
    const DIRECTORIES: usize = 40;
    let outside = outside(bench)?;
    for _ in 0..10 {
        let store = bench.store();
        let at = bench.make(&store, "a")?;
        let open = Open::new(&store, &at, Access::ReadWrite)?;
        for n in 0..DIRECTORIES {
            fs::create_dir(open.path().join(format!("dir{n}")))?;
            for file in 0..20 {
                fs::write(open.path().join(format!("dir{n}/file{file}")), "x")?;
            }
            std::os::unix::fs::symlink(&outside, open.path().join(format!("link{n}")))?;
        }
        let (done, root) = (AtomicBool::new(false), open.fd());
        let destroyed = std::thread::scope(|scope| {
            scope.spawn(|| {
                // A hostile process in the container, which has its root open.
                while !done.load(Ordering::Relaxed) {
                    for n in 0..DIRECTORIES {
                        let (dir, link) = (format!("dir{n}"), format!("link{n}"));
                        let _ = renameat_with(root, dir, root, link, RenameFlags::EXCHANGE);
                    }
                }
            });
            let destroyed = store.destroy(&at);
            done.store(true, Ordering::Relaxed);
            destroyed
        });
        drop(open);
        require(untouched(&outside)?, "something outside the volume is gone")?;
        if let Err(e) = destroyed {
            require(e.to_string().lines().count() == 1, format!("no clear error: {e}"))?;
        }
        // The store that failed to delete has the record as long as it lives.
        drop(store);
        bench.recover()?;
        require(!bench.is_there(&at), "the volume is still there")?;
        bench.require_clean()?;
    }
    Ok(Verdict::Held)
}

fn whole_name(bench: &Bench) -> CaseResult {
    let registration = bench.registration();
    let registry = Registry::default().with(registration);
    let name = registration.name.as_str();
    for end in 1..name.len() {
        if registration.aliases.contains(&&name[..end]) {
            continue;
        }
        let text = format!("{}:/somewhere", &name[..end]);
        refused(registry.locate(text.as_ref()), ErrorKind::InvalidInput, &text)?;
    }
    registry.locate(format!("{name}:/somewhere").as_ref())?;
    Ok(Verdict::Held)
}

fn foreign(bench: &Bench) -> CaseResult {
    let store = bench.store();
    let at = bench.make(&store, "a")?;
    let (dir, file) = (bench.dir().join("volumes/dir"), bench.dir().join("volumes/file"));
    fs::create_dir(&dir)?;
    fs::write(dir.join("theirs"), "theirs")?;
    fs::write(&file, "theirs")?;
    for name in ["dir", "file"] {
        refused(bench.make_empty(&store, name), ErrorKind::AlreadyExists, "making onto what others made")?;
        refused(bench.clone_of(&store, &at, name), ErrorKind::AlreadyExists, "cloning onto it")?;
        refused(store.rename(&at, &bench.place(name)), ErrorKind::AlreadyExists, "renaming onto it")?;
    }
    require(fs::read_to_string(dir.join("theirs"))? == "theirs", "a directory of others has changed")?;
    require(fs::read_to_string(&file)? == "theirs", "a file of others has changed")?;
    bench.require_clean()?;
    Ok(Verdict::Held)
}
