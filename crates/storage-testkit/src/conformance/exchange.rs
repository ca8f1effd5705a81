//! Volumes through a pipe: sent by any store, received by any that makes volumes, wholly or not at all.

use std::error::Error;
use std::ops::ControlFlow;

use hull_storage::stream::{Incoming, Reception, TREE};
use hull_storage::{Access, DriverName, ErrorKind, Locator, Placement, Store, VolumeSpec};
use hull_treefixture::{CompareOptions, Shape, build, compare};

use super::Bench;
use super::bench::{Open, whole_trees};
use super::case::{Case, CaseResult, Need, Verdict, refused, require};
use crate::plain;

pub(super) const CASES: &[Case] = &[
    Case { name: "exchange::a_tree_arrives_in_any_store", needs: &[], run: trees },
    Case { name: "exchange::as_the_store_would_send_it", needs: &[Need::Standalone], run: usual },
    Case { name: "exchange::what_is_cut_off_or_damaged_leaves_nothing", needs: &[], run: damaged },
    Case { name: "exchange::a_taken_name_is_left_alone", needs: &[], run: taken },
    Case { name: "exchange::what_is_cancelled_leaves_nothing", needs: &[], run: cancelled },
    Case { name: "exchange::what_cannot_be_is_refused", needs: &[], run: impossible },
    Case { name: "exchange::what_is_new_arrives", needs: &[Need::Transfer], run: incremental },
];

type Checked<T> = Result<T, Box<dyn Error>>;

fn send(
    store: &Store,
    at: &Locator,
    since: Option<&Locator>,
    format: Option<&str>,
) -> hull_storage::Result<Vec<u8>> {
    let mut stream = Vec::new();
    store.send(at, since, format, &mut stream, &()).map(|_| stream)
}

/// Makes a volume of `stream`.
pub(super) fn receive(
    store: &Store,
    mut stream: &[u8],
    into: DriverName,
    to: &Placement,
    since: Option<&Locator>,
) -> hull_storage::Result<Locator> {
    let incoming = Incoming::read(&mut stream, &())?;
    store.receive(incoming, into, to, &Reception { since, ..Reception::default() })
}

/// Where a store that makes volumes of trees is: the one under test, or plain directories.
fn receiver(bench: &Bench) -> DriverName {
    if bench.driver().capabilities().standalone { bench.driver().name() } else { plain::NAME }
}

fn same(store: &Store, one: &Locator, other: &Locator, what: &str) -> Checked<()> {
    let (first, second) =
        (Open::new(store, one, Access::ReadOnly)?, Open::new(store, other, Access::ReadOnly)?);
    // What is not stored is a hole on the other side, and block sizes differ.
    let options = CompareOptions { holes: false, ..whole_trees() };
    let differences = compare(first.fd(), second.fd(), &options)?;
    require(differences.is_empty(), format!("{what}: {differences:?}"))
}

/// A volume with everything in it that its store can keep.
fn awkward(bench: &Bench, store: &Store) -> Checked<Locator> {
    let volume = bench.make(store, "volume")?;
    if bench.driver().capabilities().standalone && rustix::process::geteuid().is_root() {
        let open = Open::new(store, &volume, Access::ReadWrite)?;
        // In a user namespace root may make no devices; what is there by then is awkward enough.
        let _part = build(open.fd(), &Shape::privileged());
    }
    Ok(volume)
}

fn trees(bench: &Bench) -> CaseResult {
    let store = bench.store();
    let volume = awkward(bench, &store)?;
    let stream = send(&store, &volume, None, Some(TREE))?;
    bench.require_clean()?;
    // A plain directory lies in none of the pools that others lie in.
    let outside = Placement::exactly(&bench.dir().join("volumes/out")).ok_or("it has a name")?;
    let out = receive(&store, &stream, plain::NAME, &outside, None)?;
    same(&store, &volume, &out, "received in a plain directory")?;
    if bench.driver().capabilities().standalone {
        let back = send(&store, &out, None, None)?;
        let back = receive(&store, &back, bench.driver().name(), &bench.place("back"), None)?;
        same(&store, &volume, &back, "and back")?;
        require(store.inspect(&back)?.ours, "what was received is not ours")?;
        bench.write(&store, &back, "more", "x")?;
    }
    bench.require_clean()?;
    Ok(Verdict::Held)
}

fn usual(bench: &Bench) -> CaseResult {
    let store = bench.store();
    let volume = awkward(bench, &store)?;
    let snapshot = bench.snapshot_of(&store, &volume, "snapshot")?;
    for (from, name) in [(&volume, "v"), (&snapshot, "s")] {
        let stream = send(&store, from, None, None)?;
        let made = receive(&store, &stream, bench.driver().name(), &bench.place(name), None)?;
        same(&store, from, &made, name)?;
        let (sent, now) = (store.inspect(from)?.access, store.inspect(&made)?.access);
        // A tree becomes a volume like any that is made.
        let kept = sent == now || super::transfer::unsendable(bench, from).is_some();
        require(kept, format!("sent as {sent:?}, it is {now:?}"))?;
        bench.require_clean()?;
    }
    Ok(Verdict::Held)
}

fn damaged(bench: &Bench) -> CaseResult {
    let store = bench.store();
    let volume = bench.make(&store, "volume")?;
    let before = bench.visible()?;
    for format in [None, Some(TREE)] {
        let stream = send(&store, &volume, None, format)?;
        let last = stream.len() - 1;
        for i in 0..=16 {
            let at = last * i / 16;
            let into = receiver(bench);
            let cut = receive(&store, &stream[..at], into, &bench.place("d"), None);
            refused(cut, ErrorKind::Corrupt, &format!("cut off at byte {at} of {last}"))?;
            let mut flipped = stream.clone();
            flipped[at] ^= 0x20;
            let flipped = receive(&store, &flipped, into, &bench.place("d"), None);
            require(flipped.is_err(), format!("damaged at byte {at} of {last}, it was received"))?;
            bench.require_clean()?;
        }
        require(bench.visible()? == before, "something is left of a damaged stream")?;
    }
    Ok(Verdict::Held)
}

fn taken(bench: &Bench) -> CaseResult {
    let store = bench.store();
    let volume = bench.make(&store, "volume")?;
    let stream = send(&store, &volume, None, Some(TREE))?;
    let into = receiver(bench);
    let there = receive(&store, &stream, into, &bench.place("there"), None)?;
    let before = bench.content(&store, &there)?;
    let again = receive(&store, &stream, into, &bench.place("there"), None);
    refused(again, ErrorKind::AlreadyExists, "receiving where a volume is")?;
    require(bench.content(&store, &there)? == before, "the volume that was there has changed")?;
    bench.require_clean()?;
    Ok(Verdict::Held)
}

fn cancelled(bench: &Bench) -> CaseResult {
    let store = bench.store();
    let volume = bench.make(&store, "volume")?;
    let before = bench.visible()?;
    let stream = send(&store, &volume, None, None)?;
    let stop = |_: u64, _: u64| ControlFlow::Break(());
    let sent = store.send(&volume, None, None, &mut Vec::new(), &stop);
    refused(sent, ErrorKind::Cancelled, "sending, stopped")?;
    let mut from = &stream[..];
    let into = bench.driver().capabilities().standalone.then(|| bench.driver().name());
    if let Some(into) = into {
        let incoming = Incoming::read(&mut from, &stop)?;
        let received = store.receive(incoming, into, &bench.place("c"), &Reception::default());
        refused(received, ErrorKind::Cancelled, "receiving, stopped")?;
    }
    require(bench.visible()? == before, "something is left of what was cancelled")?;
    bench.require_clean()?;
    Ok(Verdict::Held)
}

fn impossible(bench: &Bench) -> CaseResult {
    let store = bench.store();
    let volume = bench.make(&store, "volume")?;
    let into = bench.driver().name();
    refused(
        send(&store, &volume, None, Some("no such format")),
        ErrorKind::Unsupported,
        "sending in a format that nobody has",
    )?;
    refused(
        send(&store, &volume, Some(&volume), Some(TREE)),
        ErrorKind::InvalidInput,
        "sending what is new as a tree",
    )?;
    let tree = send(&store, &volume, None, Some(TREE))?;
    refused(
        receive(&store, &tree, receiver(bench), &bench.place("i"), Some(&volume)),
        ErrorKind::InvalidInput,
        "receiving a whole tree as what is new",
    )?;
    refused(
        receive(&store, b"something else altogether", into, &bench.place("i"), None),
        ErrorKind::InvalidInput,
        "receiving what is no stream",
    )?;
    if !bench.driver().capabilities().standalone {
        let received = receive(&store, &tree, into, &bench.place("i"), None);
        refused(received, ErrorKind::Unsupported, "receiving in a store that only keeps changes")?;
    }
    let own = send(&store, &volume, None, None)?;
    if bench.driver().transfer().is_some_and(|facet| facet.can_send(&volume)) {
        let received = receive(&store, &own, plain::NAME, &bench.place("i"), None);
        let e = refused(received, ErrorKind::Unsupported, "receiving a stream of another store's")?;
        require(e.to_string().contains("--format tree"), format!("it says what to do: {e}"))?;
    } else if bench.driver().transfer().is_none() {
        refused(
            send(&store, &volume, Some(&volume), None),
            ErrorKind::Unsupported,
            "sending what is new from a store that cannot",
        )?;
    }
    let spec = VolumeSpec::default();
    let nowhere = Placement::exactly(&bench.dir().join("volumes/none/x")).ok_or("it has a name")?;
    if !bench.is_pooled() {
        let mut from = &tree[..];
        let incoming = Incoming::read(&mut from, &())?;
        let reception = Reception { spec, ..Reception::default() };
        let received = store.receive(incoming, receiver(bench), &nowhere, &reception);
        refused(received, ErrorKind::NotFound, "receiving in no directory")?;
    }
    bench.require_clean()?;
    Ok(Verdict::Held)
}

fn incremental(bench: &Bench) -> CaseResult {
    let store = bench.store();
    let volume = bench.make(&store, "volume")?;
    if let Some(verdict) = super::transfer::unsendable(bench, &volume) {
        return Ok(verdict);
    }
    if !bench.driver().transfer().is_some_and(hull_storage::Transfer::is_incremental) {
        return Ok(Verdict::DoesNotApply("its streams are whole".into()));
    }
    let first = bench.snapshot_of(&store, &volume, "first")?;
    bench.write(&store, &volume, "new", &"new ".repeat(100_000))?;
    let into = bench.driver().name();
    let base = receive(&store, &send(&store, &first, None, None)?, into, &bench.place("b1"), None)?;
    // The difference to the volume as it is now, not to a snapshot: one is made and is gone afterwards.
    let before = bench.visible()?;
    let stream = send(&store, &volume, Some(&first), None)?;
    require(bench.visible()? == before, "the snapshot that was sent is still there")?;
    refused(
        receive(&store, &stream, into, &bench.place("b2"), None),
        ErrorKind::InvalidInput,
        "receiving what is new on nothing",
    )?;
    refused(
        receive(&store, &stream, into, &bench.place("b2"), Some(&volume)),
        ErrorKind::InvalidInput,
        "receiving what is new on something else",
    )?;
    let next = receive(&store, &stream, into, &bench.place("b2"), Some(&base))?;
    same(&store, &volume, &next, "received on the first")?;
    require(store.inspect(&next)?.access == Access::ReadWrite, "sent writable, it cannot be written to")?;
    bench.require_clean()?;
    Ok(Verdict::Held)
}
