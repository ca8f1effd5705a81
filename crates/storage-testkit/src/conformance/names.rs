//! Names of any bytes a file name can have.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use hull_storage::{ErrorKind, Registry};

use super::Bench;
use super::bench::SAMPLE;
use super::case::{Case, CaseResult, Verdict, require};

pub(super) const CASES: &[Case] = &[
    Case { name: "names::of_any_bytes", needs: &[], run: any_bytes },
    Case { name: "names::that_no_config_can_hold_are_refused", needs: &[], run: newline },
];

fn any_bytes(bench: &Bench) -> CaseResult {
    let store = bench.store();
    let registry = Registry::default().with(bench.registration());
    let source = bench.make(&store, "source")?;
    let long = "n".repeat(215);
    let names: [&[u8]; 14] = [
        b"with space",
        b" leading",
        b"trailing ",
        b"a:b",
        b"a,b",
        b"a\\b",
        b"a\\054b",
        b"a=b",
        b"a%41b",
        b"-rf",
        "\u{fc}n\u{ef}c\u{f6}d\u{e9} \u{1f427}".as_bytes(),
        b"not\xffutf\xfe8",
        b"quote\"'$(x)`",
        long.as_bytes(),
    ];
    for name in names {
        let name = OsStr::from_bytes(name);
        let shown = name.display();
        let fails = |e: hull_storage::Error| format!("the name {shown}: {e}");
        let at = match bench.clone_of(&store, &source, name) {
            // A pool has its own rules for names, which are the same everywhere and can be followed.
            Err(e) if bench.is_pooled() && e.kind() == ErrorKind::InvalidInput && !is_plain(name) => {
                require(e.to_string().lines().count() == 1, format!("the name {shown}: {e}"))?;
                continue;
            }
            other => other.map_err(fails)?,
        };
        bench.write(&store, &at, "new", "written").map_err(|e| format!("the name {shown}: {e}"))?;
        let read = bench.read(&store, &at, SAMPLE).map_err(|e| format!("the name {shown}: {e}"))?;
        require(read.as_deref() == Some("source"), format!("the name {shown}: the content is lost"))?;
        let text = registry.locate(&at.to_os_string()).map_err(fails)?;
        require(text == at, format!("the name {shown}: {at} is read back as {text}"))?;
        require(
            bench.driver().layout(&at).map_err(fails)?.at == at,
            format!("the name {shown}: other layout"),
        )?;
        let mut other = OsString::from(name);
        other.push("2");
        let moved = store.rename(&at, &bench.place(&other)).map_err(fails)?;
        let clone = bench.clone_of(&store, &moved, [name, OsStr::new("3")].concat_os()).map_err(fails)?;
        let read = bench.read(&store, &clone, "new").map_err(|e| format!("the name {shown}: {e}"))?;
        require(read.as_deref() == Some("written"), format!("the name {shown}: a clone of it is not whole"))?;
        store.destroy(&clone).map_err(fails)?;
        store.destroy(&moved).map_err(fails)?;
    }
    store.destroy(&source)?;
    bench.require_clean()?;
    Ok(Verdict::Held)
}

fn newline(bench: &Bench) -> CaseResult {
    let store = bench.store();
    let source = bench.make(&store, "source")?;
    match bench.clone_of(&store, &source, "a\nb") {
        Err(e) if e.kind() == ErrorKind::InvalidInput => {}
        Err(e) => return Err(format!("refused with {:?}, which is no help: {e}", e.kind()).into()),
        Ok(at) => return Err(format!("made {at:?}, which no config can hold").into()),
    }
    store.destroy(&source)?;
    bench.require_clean()?;
    Ok(Verdict::Held)
}

/// Whether a name is short and of letters, digits, `-`, `_` and `.`, which every pool takes.
fn is_plain(name: &OsStr) -> bool {
    name.len() < 60 && name.as_bytes().iter().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b))
}

trait Concat {
    fn concat_os(self) -> OsString;
}

impl Concat for [&OsStr; 2] {
    fn concat_os(self) -> OsString {
        let mut all = OsString::from(self[0]);
        all.push(self[1]);
        all
    }
}
