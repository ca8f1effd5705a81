//! Having fio(1) move the data.

use hull_command::{Runner, System, Tool, ToolCommand};
use hull_storage::{Error, ErrorKind, Result};
use serde::Deserialize;

use super::{Direction, Job, Pattern};

pub(crate) const FIO: Tool = Tool { program: "fio", package: "fio" };

pub(super) fn is_installed() -> bool {
    System.has(FIO)
}

/// How many seconds the calls of the job take by fio. Its own clock for a whole job has only milliseconds, and its
/// `end_fsync` has no other; so the times of the calls are added up, and the caller syncs.
pub(super) fn run(job: &Job<'_>) -> Result<f64> {
    let command = command(job);
    let output = System.run(&command)?;
    seconds(job, &output.text()).map_err(|why| {
        Error::new(ErrorKind::ToolFailed, format!("`{command}` gave no result that can be read: {why}"))
    })
}

fn command(job: &Job<'_>) -> ToolCommand {
    let kind = match (job.pattern, job.direction) {
        (Pattern::Sequential, Direction::Read) => "read",
        (Pattern::Sequential, Direction::Write) => "write",
        (Pattern::Random, Direction::Read) => "randread",
        (Pattern::Random, Direction::Write) => "randwrite",
    };
    let option = |name: &str, value: &dyn std::fmt::Display| format!("--{name}={value}");
    // A colon separates names in fio's filename.
    let path = job.path.display().to_string().replace(':', "\\:");
    ToolCommand::new(FIO).args([
        "--name=hull-bench".to_owned(),
        option("filename", &path),
        option("rw", &kind),
        option("bs", &job.block()),
        option("size", &job.size),
        option("io_size", &(job.calls() * job.block() as u64)),
        option("direct", &u8::from(job.direct)),
        // It takes 31 bits.
        option("randseed", &(job.seed & 0x7fff_ffff)),
        "--ioengine=psync".into(),
        "--thread".into(),
        // The caches are as they shall be.
        "--invalidate=0".into(),
        "--allow_file_create=0".into(),
        "--overwrite=1".into(),
        "--output-format=json".into(),
    ])
}

#[derive(Deserialize)]
struct Report {
    jobs: Vec<Jobs>,
}

#[derive(Deserialize)]
struct Jobs {
    error: i64,
    read: Side,
    write: Side,
}

#[derive(Deserialize)]
struct Side {
    lat_ns: Latency,
}

#[derive(Deserialize)]
struct Latency {
    mean: f64,
    #[serde(rename = "N")]
    calls: u64,
}

/// Reads fio's answer, before which there may be lines for people.
fn seconds(job: &Job<'_>, text: &str) -> std::result::Result<f64, String> {
    let begin = text.find('{').ok_or("it is not JSON")?;
    let report: Report = serde_json::from_str(&text[begin..]).map_err(|e| e.to_string())?;
    let done = report.jobs.first().ok_or("it names no job")?;
    if done.error != 0 {
        return Err(format!("its job ended with error {}", done.error));
    }
    let side = if job.direction == Direction::Read { &done.read } else { &done.write };
    if side.lat_ns.calls != job.calls() {
        return Err(format!("it made {} calls instead of {}", side.lat_ns.calls, job.calls()));
    }
    Ok(side.lat_ns.mean * side.lat_ns.calls as f64 / 1e9)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn job(pattern: Pattern, direction: Direction) -> Job<'static> {
        Job { path: Path::new("/a:b"), size: 8 << 20, pattern, direction, direct: true, seed: 3 }
    }

    #[test]
    fn the_command_says_everything() {
        let random = job(Pattern::Random, Direction::Write);
        let line = command(&random).to_string();
        for part in [
            "--filename=/a\\:b",
            "--rw=randwrite",
            "--bs=4096",
            "--size=8388608",
            "--io_size=8388608",
            "--direct=1",
        ] {
            assert!(line.contains(part), "{part} is not in {line}");
        }
        let large = Job { size: 1 << 30, ..random };
        assert!(command(&large).to_string().contains("--io_size=16777216"), "at most 4,096 calls");
    }

    #[test]
    fn answers_are_read() {
        let side = |mean: u32, calls: u32| format!("{{\"lat_ns\": {{\"mean\": {mean}, \"N\": {calls}}}}}");
        let answer = |error: u32, read: &str, write: &str| {
            format!(
                "note: about depth\n{{\"jobs\": [{{\"error\": {error}, \"read\": {read}, \"write\": {write}}}]}}"
            )
        };
        let sequential = job(Pattern::Sequential, Direction::Read);
        let text = answer(0, &side(1000, 8), &side(0, 0));
        assert_eq!(seconds(&sequential, &text).unwrap(), 8e-6);
        let random = job(Pattern::Random, Direction::Write);
        assert_eq!(seconds(&random, &answer(0, &side(0, 0), &side(2000, 2048))).unwrap(), 0.004_096);
        for wrong in [
            String::new(),
            "fio: it broke".into(),
            "{}".into(),
            "{\"jobs\": []}".into(),
            answer(5, &side(1000, 8), &side(0, 0)),
            answer(0, &side(1000, 7), &side(0, 0)),
        ] {
            assert!(seconds(&sequential, &wrong).is_err(), "{wrong}");
        }
    }
}
