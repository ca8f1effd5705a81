//! How far a copy has come, and stopping one.

use std::io::IsTerminal;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use hull_storage::Bytes;
use hull_treecopy::Observer;
use indicatif::{ProgressBar, ProgressStyle};

use crate::errors::Failure;

/// Copies that take less time than this show nothing.
const PATIENCE: Duration = Duration::from_secs(1);

/// Shows on a terminal what takes longer than a second, and ends it at the first Ctrl-C: the operation is then
/// undone and fails with [`hull_storage::ErrorKind::Cancelled`]. A second Ctrl-C ends the process; the next
/// command undoes what it left.
#[derive(Debug)]
pub(crate) struct Progress {
    cancelled: Arc<AtomicBool>,
    began: OnceLock<Instant>,
    bar: OnceLock<ProgressBar>,
    shown: bool,
}

impl Progress {
    /// Watches for SIGINT and SIGTERM from now on. Nothing is shown with `quiet` or when stderr is no terminal.
    pub(crate) fn new(quiet: bool) -> Result<Self, Failure> {
        let cancelled = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            let watch = signal_hook::flag::register_conditional_shutdown(signal, 130, cancelled.clone())
                .and_then(|_| signal_hook::flag::register(signal, cancelled.clone()));
            watch.map_err(|e| Failure::new(format!("cannot watch for signal {signal}: {e}")))?;
        }
        Ok(Self {
            cancelled,
            began: OnceLock::new(),
            bar: OnceLock::new(),
            shown: !quiet && std::io::stderr().is_terminal(),
        })
    }

    /// Whether Ctrl-C has been pressed, for those who wait in system calls.
    pub(crate) fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.cancelled)
    }

    fn show(&self, entries: u64, bytes: u64) {
        let elapsed = self.began.get_or_init(Instant::now).elapsed();
        if !self.shown || elapsed < PATIENCE {
            return;
        }
        let bar = self.bar.get_or_init(|| {
            let bar = ProgressBar::new_spinner().with_elapsed(elapsed);
            if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed} {msg}") {
                bar.set_style(style);
            }
            bar
        });
        // A store's own stream has no files that could be counted.
        let files = if entries > 0 { format!("{entries} files, ") } else { String::new() };
        bar.set_message(format!("{files}{}", Bytes(bytes)));
        bar.tick();
    }
}

impl Observer for Progress {
    fn progress(&self, entries: u64, bytes: u64) -> ControlFlow<()> {
        if self.cancelled.load(Ordering::Relaxed) {
            return ControlFlow::Break(());
        }
        self.show(entries, bytes);
        ControlFlow::Continue(())
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = self.bar.get() {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_interrupt_cancels() {
        let progress = Progress::new(true).unwrap();
        assert_eq!(progress.progress(1, 1), ControlFlow::Continue(()));
        signal_hook::low_level::raise(signal_hook::consts::SIGINT).unwrap();
        assert_eq!(progress.progress(2, 2), ControlFlow::Break(()));
    }
}
