//! Machines beside each other: each is told the next program when it has ended one, until none is left.

use std::collections::VecDeque;
use std::io::Write;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::boot::{Line, Machine, Running};
use super::lane::shown;
use super::report::{Heard, Report, did_not_run};
use super::targets::Program;
use crate::Result;
use crate::test::results::Results;

/// From the start of QEMU until the guest can run tests. Far more than the ten seconds it takes on two free
/// processors: on a busy machine a minute has been seen.
const BOOT: Duration = Duration::from_secs(300);

/// For a program to be stopped and the guest to say so, beyond the program's own time.
const GRACE: Duration = Duration::from_secs(90);

/// For the guest to power off.
const SHUTDOWN: Duration = Duration::from_secs(60);

/// What a guest is told when nothing is left.
const OFF: &str = "off";

/// Runs the programs, none longer than `limit`. What one machine cannot run any more, another does.
pub(super) fn run(machines: &[Machine], programs: &[Program], limit: Duration) -> Result<Results> {
    let queue = Queue(Mutex::new((0..programs.len()).collect()));
    let told = |number: usize, machine: &Machine| {
        let mut running = machine.start()?;
        let voice = Voice { machine: number };
        let (results, why) = listen(&mut running, programs, &queue, limit, voice)?;
        if let Some(why) = why {
            voice.say(&format!("{why}; the guest's last words on its console:\n{}", running.last_words()));
        }
        Ok(results)
    };
    let told = &told;
    let all: Vec<Result<Results>> = std::thread::scope(|scope| {
        let crew = machines.iter().enumerate();
        let crew: Vec<_> =
            crew.map(|(number, machine)| scope.spawn(move || told(number + 1, machine))).collect();
        crew.into_iter()
            .map(|one| one.join().unwrap_or_else(|_| Err("the thread of a machine panicked".into())))
            .collect()
    });
    let mut results = Results::default();
    for one in all {
        match one {
            Ok(more) => results.add(more),
            Err(why) => results.failed.push(format!("the VM lane: {why}")),
        }
    }
    while let Some(number) = queue.next() {
        results.failed.push(did_not_run(&programs[number], "no machine was left"));
    }
    Ok(results)
}

/// The programs that no machine has yet.
#[derive(Debug)]
struct Queue(Mutex<VecDeque<usize>>);

impl Queue {
    fn next(&self) -> Option<usize> {
        // Who panicked holding it had only taken a number.
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).pop_front()
    }
}

/// What is said of a machine, each line with its number.
#[derive(Debug, Clone, Copy)]
struct Voice {
    machine: usize,
}

impl Voice {
    fn say(self, text: &str) {
        // A closed stdout of ours is no reason to stop counting results.
        let _ = writeln!(std::io::stdout(), "vm {}: {text}", self.machine);
    }
}

/// Tells the machine what to run and shows what comes, until nothing is left. With the results comes why the machine
/// did not reach its end, if so.
fn listen(
    running: &mut Running,
    programs: &[Program],
    queue: &Queue,
    limit: Duration,
    voice: Voice,
) -> Result<(Results, Option<String>)> {
    let mut report = Report::new(programs);
    let begun = Instant::now();
    let mut until = begun + BOOT;
    let mut what = "the guest did not boot";
    loop {
        let line = match running.line(until) {
            Line::Text(line) => line,
            Line::Late => {
                running.kill();
                let why = format!("{what} in its time, and was killed");
                return Ok((report.finish(&why)?, Some(why)));
            }
            Line::Off => {
                let why = "the guest went off before its end".to_owned();
                return Ok((report.finish(&why)?, Some(why)));
            }
        };
        let heard = report.take(&line)?;
        match heard {
            Heard::Ready => {
                voice.say(&format!("ready after {}", shown(begun.elapsed())));
                what = "the guest hung: it had not run all";
            }
            Heard::Begun(number) => {
                let program = &programs[number];
                voice.say(&format!("{}, tests to run: {}", program.target.name(), program.cases.len()));
                until = Instant::now() + limit + GRACE;
            }
            Heard::Text(text) => voice.say(text),
            Heard::Ended(seconds) => voice.say(&format!("ended after {seconds} s")),
            Heard::Noise => {}
            Heard::Done => break,
        }
        if matches!(heard, Heard::Ready | Heard::Ended(_)) {
            until = Instant::now() + GRACE;
            match queue.next() {
                Some(number) => {
                    report.asked(number);
                    running.say(&number.to_string());
                }
                None => running.say(OFF),
            }
        }
    }
    // All results are there; a guest that cannot power off has lost nothing, but something is wrong in it.
    if !running.is_off_within(SHUTDOWN) {
        running.kill();
        let why = format!("the guest ran everything and then did not power off within {}", shown(SHUTDOWN));
        let mut results = report.finish(&why)?;
        results.failed.push(format!("the VM lane: {why}"));
        return Ok((results, Some(why)));
    }
    voice.say(&format!("the guest was on for {}", shown(begun.elapsed())));
    Ok((report.finish("")?, None))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::Queue;

    #[test]
    fn each_program_is_handed_out_once_and_in_order() {
        let queue = Queue(Mutex::new((0..3).collect()));
        let taken: Vec<usize> = std::iter::from_fn(|| queue.next()).collect();
        assert_eq!(taken, [0, 1, 2]);
    }
}
