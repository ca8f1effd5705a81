//! `hull bench`: measures stores.

mod output;
mod starter;
mod stores;

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use hull_bench::{Cache, Listener, Options, Request, Results, Source};
use hull_sys::entry::ExitCode;
use indicatif::{ProgressBar, ProgressStyle};

use super::context::Context;
use crate::errors::{CANCELLED, Failure, Outcome};
use crate::progress::Progress;
use crate::session::default_store;

/// Measure stores, and compare them
///
/// Runs the same workloads on each store, in interleaved rounds, on a root file system, under names of its own, and
/// removes everything afterwards. Ctrl-C ends it early; what was measured by then is kept. `--list` says what the
/// workloads are.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A store: dir:/srv, btrfs:/mnt/b, zfs:tank/x, lvm:vg or lvm:vg/thinpool
    #[arg(short, long, value_name = "STORE:PLACE")]
    store: Vec<String>,
    /// Make scratch stores on loop devices: all that this machine can have, or those named (dir@xfs,btrfs)
    #[arg(long, value_name = "NAMES", num_args = 0..=1, require_equals = true, value_delimiter = ',')]
    scratch: Option<Vec<String>>,
    /// The root file system: an archive, a directory, or one that is made up, generate:files=N,bytes=M,seed=S
    #[arg(long, value_name = "ARCHIVE|DIR|generate:…")]
    rootfs: Option<String>,
    /// Small sizes and few rounds: minutes instead of most of an hour
    #[arg(short = 'k', long)]
    quick: bool,
    /// Samples of each row
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rounds: Option<u32>,
    /// Rounds before them that do not count
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(..=1000))]
    warmup: Option<u32>,
    /// Seed of the order in which stores take their turns
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// States of the cache to measure: warm, cold; cold takes root, and drops the whole machine's
    #[arg(long, value_name = "STATES", value_delimiter = ',', value_parser = cache)]
    caches: Vec<Cache>,
    /// Only these workloads
    #[arg(short, long, value_name = "WORKLOADS", value_delimiter = ',', value_parser = hull_bench::workload_ids())]
    only: Vec<String>,
    /// Directory for the archive, journals and scratch stores
    #[arg(long, value_name = "DIR", default_value = "/var/tmp")]
    work: PathBuf,
    /// Write the results to this file, as JSON
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// Write a report to look at to this file
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Say what is different from these results beyond noise
    #[arg(long, value_name = "FILE")]
    compare: Option<PathBuf>,
    /// Measure nothing: take the results from this file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["store", "scratch", "rootfs", "quick", "rounds", "warmup", "seed", "caches", "only", "save", "dry_run"])]
    from: Option<PathBuf>,
    /// Say what the workloads are, and do nothing
    #[arg(long)]
    list: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Print what would be done and do nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(args: &Args, context: &Context) -> Outcome {
    if args.list {
        return output::workloads(args.json);
    }
    // What is wrong with a file shall be known before an hour is spent.
    let old = args.compare.as_deref().map(read).transpose()?;
    let files = output::Files::prepare(args.save.as_deref(), args.html.as_deref())?;
    if let Some(path) = &args.from {
        let results = read(path)?;
        tell(&results, old.as_ref(), files, args.json)?;
        return Ok(ExitCode::SUCCESS);
    }
    let request = request(args, context)?;
    old.iter().try_for_each(|old| hull_bench::comparable(old, &request))?;
    if args.dry_run {
        crate::output::print(hull_bench::plan(&request)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let progress = Progress::new(context.quiet)?;
    let cancel = progress.flag();
    let privileged = request.privileged && isolated(&request, context)?;
    let request = Request { cancel: progress.flag(), privileged, ..request };
    let meter = Meter::new(context.quiet);
    let finished = hull_bench::run(request, &meter);
    drop(meter);
    let finished = finished.map_err(|e| match cancel.load(Ordering::Relaxed) {
        true => Failure::new("interrupted before anything was measured; nothing is left").code(CANCELLED),
        false => e.into(),
    })?;
    finished.leftovers.iter().for_each(|e| context.warn(&format!("left behind: {e}")));
    tell(&finished.results, old.as_ref(), files, args.json)?;
    match () {
        () if !finished.results.complete => Ok(ExitCode::from(CANCELLED)),
        () if finished.results.has_failures() => {
            Err(Failure::new("some workloads failed; the results say why"))
        }
        () if !finished.leftovers.is_empty() => Err(Failure::new("not everything could be removed")),
        () => Ok(ExitCode::SUCCESS),
    }
}

/// Gives this process mounts of its own; `false` where it may not mount, and need not.
fn isolated(request: &Request, context: &Context) -> Result<bool, Failure> {
    let Err(e) = hull_bench::isolate() else { return Ok(true) };
    let needs_it = request.stores.iter().any(|store| matches!(store.place, hull_bench::Place::Scratch(_)));
    let why = format!("this process may not mount, although it is root's ({e})");
    match needs_it {
        true => {
            Err(Failure::new(format!("{why}: scratch stores need CAP_SYS_ADMIN; name stores with --store")))
        }
        false => {
            context.warn(&format!("{why}: what needs a mount is not measured"));
            Ok(false)
        }
    }
}

fn tell(results: &Results, old: Option<&Results>, files: output::Files, json: bool) -> Result<(), Failure> {
    files.write(results)?;
    if json {
        crate::output::line(results.to_json())?;
    } else {
        crate::output::print(hull_bench::table(results))?;
    }
    let Some(old) = old else { return Ok(()) };
    let comparison = hull_bench::compare(old, results)?.table();
    if json {
        // The results alone are JSON.
        crate::output::complain(comparison.trim_end());
        return Ok(());
    }
    crate::output::print(format!("\nCompared with the run of {}:\n{comparison}", old.started))
}

fn request(args: &Args, context: &Context) -> Result<Request, Failure> {
    let mut options = if args.quick { Options::quick() } else { Options::full() };
    options.rounds = args.rounds.unwrap_or(options.rounds);
    options.warmup = args.warmup.unwrap_or(options.warmup);
    options.seed = args.seed.unwrap_or(options.seed);
    if !args.caches.is_empty() {
        options.caches.clone_from(&args.caches);
        options.caches.sort_unstable();
        options.caches.dedup();
    }
    let rootfs = match &args.rootfs {
        Some(text) => Source::parse(text, options.usual_shape())?,
        None => Source::Generated(options.usual_shape()),
    };
    let registry = hull_drivers::builtin();
    let settings = context.environment.settings();
    let chosen = stores::choose(&args.store, args.scratch.as_deref(), &registry, &settings)?;
    let work = args.work.canonicalize().map_err(|e| Failure::io("use", &args.work, &e))?;
    Ok(Request {
        stores: chosen.stores,
        left_out: chosen.left_out,
        base: default_store(&registry, &settings)?,
        registry,
        rootfs,
        options,
        only: args.only.clone(),
        starter: Some(Box::new(starter::Monitors::new(context.environment.clone(), &work))),
        work,
        durability: context.environment.durability()?,
        privileged: context.environment.privileged(),
        cancel: std::sync::Arc::default(),
    })
}

fn read(path: &Path) -> Result<Results, Failure> {
    let text = std::fs::read_to_string(path).map_err(|e| Failure::io("read", path, &e))?;
    Ok(Results::from_json(&path.display().to_string(), &text)?)
}

fn cache(text: &str) -> Result<Cache, String> {
    [Cache::Warm, Cache::Cold]
        .into_iter()
        .find(|cache| cache.word() == text)
        .ok_or_else(|| format!("a cache is warm or cold, not {text:?}"))
}

/// Shows on a terminal how far a run has come.
struct Meter {
    bar: ProgressBar,
}

impl Meter {
    fn new(quiet: bool) -> Self {
        let shown = !quiet && std::io::IsTerminal::is_terminal(&std::io::stderr());
        let bar = if shown { ProgressBar::new(0) } else { ProgressBar::hidden() };
        if let Ok(style) = ProgressStyle::with_template("{elapsed} {bar:24} {percent:>3} %  {wide_msg}") {
            bar.set_style(style);
        }
        Self { bar }
    }
}

impl Listener for Meter {
    fn step(&self, done: u64, total: u64, what: &str) {
        self.bar.set_length(total.max(1));
        self.bar.set_position(done);
        self.bar.set_message(what.to_owned());
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
