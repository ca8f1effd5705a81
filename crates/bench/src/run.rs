//! Carries a run out: makes the sites, takes the samples in interleaved rounds, removes the sites.

mod collect;
mod open;

use std::sync::atomic::Ordering;
use std::time::Instant;

use hull_storage::{Error, ErrorKind, Result};

use crate::cache;
use crate::engine::Engine;
use crate::machine;
use crate::random::Random;
use crate::request::{Listener, Request};
use crate::results::{Cache, Reason, Results, SCHEMA, Settings, VERSION};
use crate::site::Site;
use crate::trial::Trial;
use crate::workload::{Bout, Definition, Fit, Tools, Workload};
use collect::Collector;

/// What became of a run.
#[derive(Debug)]
pub struct Finished {
    /// What it found.
    pub results: Results,
    /// What it could not remove.
    pub leftovers: Vec<Error>,
}

/// Carries `request` out. Interrupted, it returns what it has by then.
///
/// Fails, having removed what it made, for a request that cannot be meant, and when a store that was named cannot be
/// used or lacks the room. A workload that fails on one store is noted in the results, and the others go on.
pub fn run(mut request: Request, listener: &dyn Listener) -> Result<Finished> {
    request.validate()?;
    let workloads = request.workloads()?;
    let (started, begun) = (machine::now(), Instant::now());
    let mut notes = Vec::new();
    if request.options.caches.contains(&Cache::Cold) && !cache::can_be_dropped() {
        request.options.caches.retain(|cache| *cache != Cache::Cold);
        notes.push("cold caches were not measured: dropping caches takes root".to_owned());
        if request.options.caches.is_empty() {
            let text = "cold caches take root: measure with warm ones, or become root";
            return Err(Error::new(ErrorKind::PermissionDenied, text));
        }
    }
    let tools =
        Tools { engine: Engine::best(), starter: request.starter.take(), privileged: request.privileged };
    let machine = machine::look(tools.engine);
    let opened = open::all(&request, listener)?;
    let mut collector = Collector::default();
    let mut course = Course { request: &request, tools: &tools, listener, done: 0, total: 0 };
    course.total = course.parts(&workloads) * opened.sites.len() as u64;
    for workload in &workloads {
        course.measure(*workload, &opened.sites, &mut collector);
    }
    let interrupted = request.cancel.load(Ordering::Relaxed);
    listener.step(course.total, course.total, "cleaning up");
    let stores = opened.sites.iter().map(|site| site.facts.clone()).collect();
    let leftovers = opened.sites.into_iter().flat_map(Site::close).collect();
    let (measurements, absent) = collector.finish();
    let options = request.options;
    let results = Results {
        schema: SCHEMA.into(),
        version: VERSION,
        hull: env!("CARGO_PKG_VERSION").into(),
        complete: !interrupted,
        started,
        seconds: begun.elapsed().as_secs_f64(),
        machine,
        settings: Settings {
            rounds: options.rounds,
            warmup: options.warmup,
            seed: options.seed,
            quick: options.quick,
            caches: options.caches,
            durability: match request.durability {
                hull_storage::Durability::Crash => "crash".into(),
                hull_storage::Durability::Power => "power".into(),
            },
            data_engine: tools.engine.word().into(),
            sizes: options.sizes,
        },
        rootfs: opened.rootfs,
        stores,
        workloads: workloads.iter().map(|w| w.definition().facts()).collect(),
        measurements,
        absent,
        left_out: request.left_out,
        notes,
    };
    Ok(Finished { results, leftovers })
}

/// A run under way.
struct Course<'a> {
    request: &'a Request,
    tools: &'a Tools,
    listener: &'a dyn Listener,
    done: u64,
    total: u64,
}

/// A workload on one site, as long as it goes well.
struct Lane<'a> {
    site: &'a Site,
    bout: Box<dyn Bout + 'a>,
    /// How many volumes there were before.
    volumes: usize,
}

impl Course<'_> {
    /// In how many rounds `workloads` are measured on one store.
    fn parts(&self, workloads: &[&'static dyn Workload]) -> u64 {
        let caches = &self.request.options.caches;
        let rounds =
            |w: &&dyn Workload| caches.iter().map(|cache| self.rounds(*cache, w.definition())).sum::<u32>();
        workloads.iter().map(|w| u64::from(rounds(w))).sum()
    }

    /// The rounds with one state of the cache, those that do not count included.
    fn rounds(&self, cache: Cache, definition: &Definition) -> u32 {
        let options = &self.request.options;
        let counted = definition.rounds.of(options.rounds);
        match cache {
            Cache::Warm => counted + definition.rounds.warmup(options.warmup),
            // There is nothing to warm up.
            Cache::Cold if definition.has_cold() => counted,
            Cache::Cold => 0,
        }
    }

    fn is_interrupted(&self) -> bool {
        self.request.cancel.load(Ordering::Relaxed)
    }

    /// Measures one workload on all sites: rounds over the sites, in each in another order, so that whatever disturbs
    /// the machine for a while disturbs all alike.
    fn measure(&mut self, workload: &'static dyn Workload, sites: &[Site], into: &mut Collector) {
        let definition = workload.definition();
        let mut random = Random::new(self.request.options.seed ^ fnv(definition.id));
        let mut lanes = Vec::new();
        for site in sites {
            let absent = |into: &mut Collector, reason, why: String| {
                into.absent(definition.id, None, &site.facts.name, None, reason, why);
            };
            if self.is_interrupted() {
                absent(into, Reason::Interrupted, "interrupted before".into());
                continue;
            }
            self.tell(definition.title, &site.facts.name);
            let volumes = site.volumes();
            match workload.prepare(site, self.tools) {
                Ok(Fit::Ready(bout)) => lanes.push(Lane { site, bout, volumes }),
                Ok(Fit::Unfit(why)) => absent(into, Reason::NotApplicable, why),
                Err(e) => {
                    self.failed(definition.id, &site.facts.name, None, &e, into);
                    site.tidy(volumes);
                }
            }
        }
        let missing = sites.len() as u64 - lanes.len() as u64;
        self.done += missing * self.parts(&[workload]);
        for &cache in &self.request.options.caches {
            let counted = definition.rounds.of(self.request.options.rounds);
            let rounds = self.rounds(cache, definition);
            for round in 0..rounds {
                random.shuffle(&mut lanes);
                let seed = random.next();
                let mut going = Vec::new();
                for mut lane in lanes {
                    self.tell(definition.title, &lane.site.facts.name);
                    let mut trial =
                        Trial::new(lane.site, cache, seed, std::sync::Arc::clone(&self.request.cancel));
                    let sampled = lane.bout.sample(&mut trial);
                    self.done += 1;
                    match sampled {
                        Ok(()) => {
                            // Rounds that warm up come first.
                            let counts = round + counted >= rounds;
                            into.add(definition, &lane.site.facts.name, cache, trial.done(), counts);
                            going.push(lane);
                        }
                        Err(e) => {
                            self.failed(definition.id, &lane.site.facts.name, Some(cache), &e, into);
                            self.done += u64::from(rounds - round - 1);
                            lane.site.tidy(lane.volumes);
                        }
                    }
                }
                lanes = going;
            }
        }
        for mut lane in lanes {
            if let Err(e) = lane.bout.finish() {
                self.failed(definition.id, &lane.site.facts.name, None, &e, into);
                lane.site.tidy(lane.volumes);
            }
        }
    }

    fn failed(&self, workload: &str, store: &str, cache: Option<Cache>, error: &Error, into: &mut Collector) {
        // A program that was running gets the signal, too, and fails for it.
        let (reason, why) = match self.is_interrupted() || error.kind() == ErrorKind::Cancelled {
            true => (Reason::Interrupted, "interrupted meanwhile".to_owned()),
            false => (Reason::Failed, error.to_string()),
        };
        into.absent(workload, None, store, cache, reason, why);
    }

    fn tell(&self, title: &str, store: &str) {
        self.listener.step(self.done, self.total, &format!("{title}, {store}"));
    }
}

/// FNV-1a: each workload has an order of its own, whichever others run.
fn fnv(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}
