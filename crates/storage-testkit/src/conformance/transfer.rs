//! Streams: what goes in comes out, and what is damaged on the way becomes nothing.

use std::error::Error;
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::os::fd::AsFd;

use hull_storage::{
    Access, CloneMode, Content, ErrorKind, Layout, Locator, Method, Placement, Plan, Source, Store, Transfer,
    TxId,
};
use hull_treefixture::{CompareOptions, Shape, build, compare};

use super::Bench;
use super::bench::{Open, whole_trees};
use super::case::{Case, CaseResult, Need, Verdict, refused, require};

pub(super) const CASES: &[Case] = &[
    Case { name: "transfer::whole_volumes_arrive_as_they_were", needs: &[Need::Transfer], run: whole },
    Case {
        name: "transfer::what_is_new_arrives_on_what_was_there",
        needs: &[Need::Transfer],
        run: incremental,
    },
    Case { name: "transfer::what_is_cut_off_is_refused", needs: &[Need::Transfer], run: cut_off },
    Case { name: "transfer::what_is_damaged_is_refused", needs: &[Need::Transfer], run: damaged },
    Case { name: "transfer::a_taken_name_is_left_alone", needs: &[Need::Transfer], run: taken },
    Case { name: "transfer::a_copy_by_stream_leaves_nothing_else", needs: &[Need::Transfer], run: copy },
];

/// How many places of a stream are tried.
const PLACES: u64 = 48;

type Checked<T> = Result<T, Box<dyn Error>>;

fn facet(bench: &Bench) -> Checked<&dyn Transfer> {
    bench.driver().transfer().ok_or_else(|| "the case is for drivers with streams".into())
}

/// Why this process cannot send `at`, if it cannot.
pub(super) fn unsendable(bench: &Bench, at: &Locator) -> Option<Verdict> {
    let can = bench.driver().transfer().is_some_and(|facet| facet.can_send(at));
    (!can).then(|| Verdict::DoesNotApply("this process may not send volumes of the store".into()))
}

/// What is sent, in a file.
fn send(bench: &Bench, at: &Locator, since: Option<&Locator>) -> Checked<File> {
    let path = bench.dir().join("stream");
    let file = File::options().read(true).write(true).create(true).truncate(true).open(&path)?;
    std::fs::remove_file(path)?;
    facet(bench)?.send(at, since, file.as_fd())?;
    Ok(file)
}

/// Makes the volume `name` of a stream, as a step of transaction `tx` would; whatever comes of it can be reclaimed.
fn receive(
    bench: &Bench,
    stream: &mut File,
    since: Option<&Locator>,
    name: &str,
    access: Access,
    tx: TxId,
) -> Checked<(Layout, hull_storage::Result<()>)> {
    stream.seek(SeekFrom::Start(0))?;
    let to = bench.driver().new_layout(&bench.place(name).staged(tx), None)?;
    let received = facet(bench)?.receive(stream.as_fd(), since, &to, access, tx);
    Ok((to, received))
}

fn reclaim(bench: &Bench, what: &Layout, tx: TxId) -> Checked<()> {
    for part in what.parts.iter().rev() {
        bench.driver().reclaim(part, tx)?;
    }
    require(!bench.is_there(&what.at), format!("{} is still there", what.at))
}

fn same(store: &Store, one: &Locator, other: &Locator, holes: bool, what: &str) -> Checked<()> {
    let (first, second) =
        (Open::new(store, one, Access::ReadOnly)?, Open::new(store, other, Access::ReadOnly)?);
    let options = CompareOptions { holes, ..whole_trees() };
    let differences = compare(first.fd(), second.fd(), &options)?;
    require(differences.is_empty(), format!("{what}: {differences:?}"))
}

/// A volume with everything awkward in it, and a snapshot of it; or why there is none.
fn awkward(bench: &Bench, store: &Store) -> Checked<Result<(Locator, Locator), Verdict>> {
    let volume = bench.make(store, "volume")?;
    if let Some(verdict) = unsendable(bench, &volume) {
        return Ok(Err(verdict));
    }
    let open = Open::new(store, &volume, Access::ReadWrite)?;
    build(open.fd(), &Shape::privileged())?;
    drop(open);
    let snapshot = bench.snapshot_of(store, &volume, "snapshot")?;
    Ok(Ok((volume, snapshot)))
}

fn whole(bench: &Bench) -> CaseResult {
    let store = bench.store();
    let (_, snapshot) = match awkward(bench, &store)? {
        Ok(made) => made,
        Err(verdict) => return Ok(verdict),
    };
    let mut stream = send(bench, &snapshot, None)?;
    for (name, access) in [("w", Access::ReadWrite), ("r", Access::ReadOnly)] {
        let (made, received) = receive(bench, &mut stream, None, name, access, TxId(1))?;
        received?;
        same(&store, &snapshot, &made.at, true, "received")?;
        let info = bench.driver().inspect(&made.at)?;
        require(info.ours, "what was received is not ours")?;
        require(info.access == access, format!("received as {access:?}, it is {:?}", info.access))?;
        reclaim(bench, &made, TxId(1))?;
    }
    Ok(Verdict::Held)
}

fn incremental(bench: &Bench) -> CaseResult {
    let store = bench.store();
    if !facet(bench)?.is_incremental() {
        return Ok(Verdict::DoesNotApply("its streams are whole".into()));
    }
    let (volume, first) = match awkward(bench, &store)? {
        Ok(made) => made,
        Err(verdict) => return Ok(verdict),
    };
    let change = |round: &str| -> Checked<()> {
        let open = Open::new(&store, &volume, Access::ReadWrite)?;
        let top = open.path();
        std::fs::write(top.join("etc/hostname"), format!("changed {round}"))?;
        std::fs::create_dir(top.join(format!("new {round}")))?;
        std::fs::write(top.join(format!("new {round}/large")), vec![b'x'; 300_000])?;
        std::fs::hard_link(top.join("etc/hostname"), top.join(format!("new {round}/link")))?;
        std::os::unix::fs::symlink("../..", top.join(format!("new {round}/symlink")))?;
        if top.join("usr/bin/tool").exists() {
            std::fs::rename(top.join("usr"), top.join("etc/usr"))?;
            std::fs::remove_file(top.join("etc/usr/bin/tool"))?;
        }
        std::fs::copy(top.join("new 1/large"), top.join(format!("copy {round}")))?;
        Ok(())
    };
    change("1")?;
    let second = bench.snapshot_of(&store, &volume, "second")?;
    change("2")?;
    let third = bench.snapshot_of(&store, &volume, "third")?;

    // The receiver has what it received; the sender's own snapshots are another machine's.
    let (base, received) =
        receive(bench, &mut send(bench, &first, None)?, None, "b1", Access::ReadOnly, TxId(1))?;
    received?;
    let mut stream = send(bench, &second, Some(&first))?;
    let whole_size = send(bench, &second, None)?.metadata()?.len();
    let (next, received) = receive(bench, &mut stream, Some(&base.at), "b2", Access::ReadOnly, TxId(1))?;
    received?;
    same(&store, &second, &next.at, false, "the second, received on the first")?;
    require(stream.metadata()?.len() < whole_size, "what is new is no smaller than the whole")?;
    let mut stream = send(bench, &third, Some(&second))?;
    let (last, received) = receive(bench, &mut stream, Some(&next.at), "b3", Access::ReadWrite, TxId(1))?;
    received?;
    same(&store, &third, &last.at, false, "the third, received on the second")?;

    // On anything else it fits not.
    for (wrong, what) in
        [(Some(&base.at), "an older one"), (Some(&volume), "a writable one"), (None, "nothing")]
    {
        let (made, received) = receive(bench, &mut stream, wrong, "b4", Access::ReadOnly, TxId(1))?;
        refused(received, ErrorKind::InvalidInput, &format!("what is new, received on {what}"))?;
        reclaim(bench, &made, TxId(1))?;
    }
    for made in [last, next, base] {
        reclaim(bench, &made, TxId(1))?;
    }
    Ok(Verdict::Held)
}

/// A stream of a small volume.
fn small(bench: &Bench, store: &Store) -> Checked<Result<(Locator, Vec<u8>), Verdict>> {
    let volume = bench.make(store, "volume")?;
    if let Some(verdict) = unsendable(bench, &volume) {
        return Ok(Err(verdict));
    }
    let snapshot = bench.snapshot_of(store, &volume, "snapshot")?;
    let mut stream = send(bench, &snapshot, None)?;
    let mut bytes = Vec::new();
    stream.seek(SeekFrom::Start(0))?;
    std::io::Read::read_to_end(&mut stream, &mut bytes)?;
    Ok(Ok((snapshot, bytes)))
}

/// `PLACES` offsets into a stream, its begin and last byte among them.
fn places(length: usize) -> impl Iterator<Item = usize> {
    (0..=PLACES).map(move |i| (length.saturating_sub(1) as u64 * i / PLACES) as usize)
}

/// Fails unless `bytes` are refused, and what is left of them can be reclaimed.
fn require_refused(bench: &Bench, bytes: &[u8], kind: Option<ErrorKind>, what: &str) -> Checked<()> {
    let path = bench.dir().join("damaged");
    let mut stream = File::options().read(true).write(true).create(true).truncate(true).open(path)?;
    stream.write_all(bytes)?;
    let (made, received) = receive(bench, &mut stream, None, "d", Access::ReadWrite, TxId(1))?;
    match (received, kind) {
        (received, Some(kind)) => drop(refused(received, kind, what)?),
        (Ok(()), None) => return Err(format!("{what}: it was received").into()),
        (Err(e), None) => require(e.to_string().lines().count() == 1, format!("{what}: one line: {e}"))?,
    }
    reclaim(bench, &made, TxId(1))
}

fn cut_off(bench: &Bench) -> CaseResult {
    let store = bench.store();
    let (_, bytes) = match small(bench, &store)? {
        Ok(made) => made,
        Err(verdict) => return Ok(verdict),
    };
    for end in places(bytes.len()) {
        require_refused(bench, &bytes[..end], Some(ErrorKind::Corrupt), &format!("cut off at byte {end}"))?;
    }
    Ok(Verdict::Held)
}

fn damaged(bench: &Bench) -> CaseResult {
    let store = bench.store();
    let (_, bytes) = match small(bench, &store)? {
        Ok(made) => made,
        Err(verdict) => return Ok(verdict),
    };
    for at in places(bytes.len()) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x10;
        require_refused(bench, &damaged, None, &format!("damaged at byte {at}"))?;
    }
    Ok(Verdict::Held)
}

fn taken(bench: &Bench) -> CaseResult {
    let store = bench.store();
    let volume = bench.make(&store, "volume")?;
    if let Some(verdict) = unsendable(bench, &volume) {
        return Ok(verdict);
    }
    let snapshot = bench.snapshot_of(&store, &volume, "snapshot")?;
    let mut stream = send(bench, &snapshot, None)?;
    stream.seek(SeekFrom::Start(0))?;
    let before = bench.content(&store, &volume)?;
    let to = bench.driver().layout(&volume)?;
    let received = facet(bench)?.receive(stream.as_fd(), None, &to, Access::ReadWrite, TxId(1));
    refused(received, ErrorKind::AlreadyExists, "receiving where a volume is")?;
    require(bench.content(&store, &volume)? == before, "the volume that was there has changed")?;
    Ok(Verdict::Held)
}

/// Copies `from` by a stream, whatever else the store would rather do.
pub(super) fn copy_by_stream(
    bench: &Bench,
    store: &Store,
    from: &Locator,
    to: &Placement,
) -> hull_storage::Result<Locator> {
    store.transact("clone", |tx| {
        let format =
            bench.driver().transfer().map(Transfer::format).expect("the case is for stores with streams");
        let source = Source { driver: store.driver(from.driver())?, at: from };
        let content = Content::Of { from: source, method: Method::Stream(format), access: Access::ReadWrite };
        let mut plan = Plan::default();
        let at = plan.make(store.driver(bench.driver().name())?, to, content, tx.id())?;
        tx.perform(plan)?;
        Ok(at)
    })
}

fn copy(bench: &Bench) -> CaseResult {
    let store = bench.store();
    let (volume, snapshot) = match awkward(bench, &store)? {
        Ok(made) => made,
        Err(verdict) => return Ok(verdict),
    };
    for (from, name) in [(&volume, "of a volume"), (&snapshot, "of a snapshot")] {
        let copy = copy_by_stream(bench, &store, from, &bench.place(name))?;
        same(&store, from, &copy, true, name)?;
        require(store.inspect(&copy)?.access == Access::ReadWrite, "a copy cannot be written to")?;
        bench.write(&store, &copy, "more", "x")?;
        bench.require_clean()?;
    }
    // What is asked of the store in one call ends with one volume more as well.
    let before = bench.visible()?.len();
    let mode = CloneMode::Copy;
    let into = Some(bench.driver().name());
    store.clone_volume(&volume, into, &bench.place("usual"), mode, Access::ReadWrite)?;
    require(bench.visible()?.len() == before + 1, "more than the copy is there")?;
    bench.require_clean()?;
    Ok(Verdict::Held)
}
