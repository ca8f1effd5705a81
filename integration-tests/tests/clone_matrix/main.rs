//! Every store's volume to every store, in each mode: by the cheapest correct way, and the same tree at the end.
//!
//! The table below is the promise; each cell is a test that makes the volume on the real store, looks which way was
//! chosen, compares the trees and deletes both in the order that their tie allows.

mod field;

use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use field::{Field, STORES};
use hull_storage::{Access, CloneMode, ErrorKind, Method, Tie};
use libtest_mimic::{Arguments, Completion, Failed, Trial};

/// From a row's store to a column's, in the order of [`STORES`]: for a copy, a snapshot, and a snapshot or else a copy.
///
/// `c` a clone that stands alone, `C` one that needs its source, `d` a clone that costs as much as the changes, `i` a
/// copy of the image, `s` a stream, `b` a copy of blocks, `t` a copy of the tree, `-` refused.
const TABLE: [[&str; 7]; 7] = [
    // dir    btrfs  zfs    lvm    loop   aufs   overlay
    ["t-t", "t-t", "t-t", "t-t", "t-t", "-CC", "-CC"], // dir
    ["t-t", "ccc", "t-t", "t-t", "t-t", "-CC", "-CC"], // btrfs
    ["t-t", "t-t", "sCC", "t-t", "t-t", "---", "---"], // zfs
    ["t-t", "t-t", "t-t", "ccc", "b-b", "---", "---"], // lvm
    ["t-t", "t-t", "t-t", "b-b", "i-i", "---", "---"], // loop
    ["t-t", "t-t", "t-t", "t-t", "t-t", "-dd", "---"], // aufs
    ["t-t", "t-t", "t-t", "t-t", "t-t", "---", "-dd"], // overlay
];

const MODES: [(CloneMode, &str); 3] = [
    (CloneMode::Copy, "copy"),
    (CloneMode::Snapshot, "snapshot"),
    (CloneMode::SnapshotElseCopy, "snapshot_else_copy"),
];

type Checked<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // All cells share the field.
    arguments.test_threads.get_or_insert(1);
    let field: Arc<OnceLock<Field>> = Arc::default();
    let mut trials = Vec::new();
    // One skip for a store that this machine has not, instead of one for each of its cells.
    let missing: Vec<bool> = STORES.iter().map(|store| field::missing(store).is_some()).collect();
    for (store, why) in STORES.iter().filter_map(|store| Some((store, field::missing(store)?))) {
        let name = format!("{store}::to_and_from_all");
        trials.push(Trial::ignorable_test(name.clone(), move || {
            hull_testskip::skip(&name, &why);
            Ok(Completion::ignored_with(why))
        }));
    }
    for (from, row) in TABLE.iter().enumerate() {
        for (to, cell) in row.iter().enumerate() {
            if missing[from] || missing[to] {
                continue;
            }
            for (letter, (mode, mode_name)) in cell.chars().zip(MODES) {
                let name = format!("{}_to_{}::{mode_name}", STORES[from], STORES[to]);
                let field = Arc::clone(&field);
                trials.push(Trial::ignorable_test(name.clone(), move || {
                    let field = field.get_or_init(Field::new);
                    for store in [STORES[from], STORES[to]] {
                        if let Err(reason) = field.has(store) {
                            hull_testskip::skip(&name, &reason);
                            return Ok(Completion::ignored_with(reason));
                        }
                    }
                    match cell_holds(field, from, to, mode, letter) {
                        Ok(()) => Ok(Completion::Completed),
                        Err(e) => Err(Failed::from(e)),
                    }
                }));
            }
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn cell_holds(field: &Field, from: usize, to: usize, mode: CloneMode, letter: char) -> Checked<()> {
    let store = field.store();
    let scene = field.scene();
    let source = scene.source(STORES[from])?;
    let into = Some(field.name(STORES[to])?);
    let place = scene.place(STORES[to], "target");
    let before = scene.visible()?;
    let made = store.clone_volume(&source, into, &place, mode, Access::ReadWrite);
    let new = match (made, letter) {
        (Err(e), '-') if e.kind() == ErrorKind::Unsupported && e.to_string().lines().count() == 1 => {
            require(scene.visible()? == before, "a refusal has left something behind")?;
            return scene.clear();
        }
        (Err(e), _) => return Err(format!("{source}: {e}").into()),
        (Ok(new), '-') => return Err(format!("should be refused, and made {}", new.at).into()),
        (Ok(new), _) => new,
    };
    let method = new.method.ok_or("a clone has a method")?;
    require(shown(method) == letter, format!("should go by {letter:?} and went by {method}"))?;
    scene.same(&source, &new.at)?;
    // Neither sees what is written to the other.
    scene.write(&new.at, "only-in-the-target")?;
    require(!scene.holds(&source, "only-in-the-target")?, "what is written to the target is in the source")?;
    let tie = if let Method::Clone(offer) = method { offer.tie } else { Tie::None };
    if tie == Tie::Unguarded {
        store.destroy(&new.at)?;
        scene.check_source(&source)?;
        store.destroy(&source)?;
    } else {
        // The harder order: whoever is left must be whole.
        store.destroy(&source)?;
        require(scene.holds(&new.at, "only-in-the-target")?, "the target has suffered")?;
        scene.check_source(&new.at)?;
        store.destroy(&new.at)?;
    }
    let leftovers = store.leftovers();
    require(leftovers.is_empty(), format!("{leftovers:?}"))?;
    scene.clear()
}

/// The letter of the table.
fn shown(method: Method) -> char {
    use hull_storage::Cost;
    match method {
        Method::Clone(offer) if offer.cost == Cost::PerByte => 'i',
        Method::Clone(offer) if offer.cost == Cost::PerChange => 'd',
        Method::Clone(offer) if offer.tie == Tie::None => 'c',
        Method::Clone(_) => 'C',
        Method::Stream(_) => 's',
        Method::BlockCopy(_) => 'b',
        Method::TreeCopy => 't',
    }
}

fn require(condition: bool, what: impl Into<String>) -> Checked<()> {
    if condition { Ok(()) } else { Err(what.into().into()) }
}
