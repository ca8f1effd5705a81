//! Results as a run could have them, made up.

use crate::random::Random;
use crate::results::{
    Absent, Cache, LeftOut, Machine, Measurement, Program, Reason, Results, Rootfs, SCHEMA, Settings,
    StoreFacts, VERSION,
};
use crate::units::Unit;
use crate::{stats, workload};

/// Three stores, every workload, both caches, some of everything that can be amiss.
pub(crate) fn sample() -> Results {
    let stores = ["dir@ext4", "union@ext4", "pool"];
    let mut random = Random::new(5);
    let mut measurements = Vec::new();
    for row in workload::ALL.iter().flat_map(|w| w.definition().rows) {
        for (at, store) in stores.into_iter().enumerate() {
            if store.starts_with("union") && row.id == "create" {
                continue;
            }
            let size = match row.unit {
                Unit::Seconds => 0.000_5,
                Unit::Bytes => 20_000.0,
                Unit::BytesPerSecond => 1e8,
                Unit::OperationsPerSecond => 5e4,
            } * [100.0, 2.0, 5.0][at];
            let mut add = |cache: Cache, x: Option<u64>| {
                let samples: Vec<f64> = (0..11)
                    .map(|n| size * (1.0 + random.below(100) as f64 / 1000.0 + f64::from(n == 3)))
                    .collect();
                let summary = stats::summarise(&samples).expect("there are samples");
                measurements.push(Measurement {
                    row: row.id.into(),
                    store: store.into(),
                    cache,
                    x,
                    samples,
                    summary,
                });
            };
            match row.axis {
                Some(_) => workload::points(30).into_iter().for_each(|x| add(Cache::Warm, Some(x))),
                None => add(Cache::Warm, None),
            }
            if row.cold {
                add(Cache::Cold, None);
            }
        }
    }
    let absent = |workload: &str, store: &str, reason, why: &str| Absent {
        workload: workload.into(),
        row: None,
        store: store.into(),
        cache: None,
        reason,
        why: why.into(),
    };
    Results {
        schema: SCHEMA.into(),
        version: VERSION,
        hull: "0.1.0".into(),
        complete: true,
        started: "2026-11-26T08:00:00Z".into(),
        seconds: 754.2,
        machine: Machine {
            processor: "A processor".into(),
            processors: 2,
            memory_bytes: 8 << 30,
            kernel: "Linux 6.18.0".into(),
            architecture: "x86_64".into(),
            distribution: "Debian GNU/Linux 12".into(),
            load: "0.10 0.20 0.30 1/100 42".into(),
            programs: vec![Program { name: "tar".into(), version: "tar (GNU tar) 1.34".into() }],
        },
        settings: Settings {
            rounds: 11,
            warmup: 2,
            seed: 1,
            quick: false,
            caches: vec![Cache::Warm, Cache::Cold],
            durability: "crash".into(),
            data_engine: "built-in".into(),
            sizes: crate::Options::full().sizes,
        },
        rootfs: Rootfs {
            kind: "generated".into(),
            description: crate::Shape::default().to_string(),
            entries: 4333,
            bytes: 100 << 20,
        },
        stores: stores
            .map(|name| StoreFacts {
                name: name.into(),
                driver: name.split('@').next().unwrap_or(name).into(),
                scratch: true,
                filesystem: "ext4".into(),
                mount_options: "rw,relatime".into(),
                clones_by: "clone (cost: constant)".into(),
                notes: Vec::new(),
            })
            .to_vec(),
        workloads: workload::ALL.iter().map(|w| w.definition().facts()).collect(),
        measurements,
        absent: vec![
            absent("create", "union@ext4", Reason::NotApplicable, "it always needs another one"),
            absent("fan-out", "dir@ext4", Reason::Truncated, "ends at 100 clones"),
        ],
        left_out: vec![LeftOut { name: "loop@xfs".into(), why: "no mkfs.xfs".into() }],
        notes: Vec::new(),
    }
}
