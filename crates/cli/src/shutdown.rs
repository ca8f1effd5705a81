//! Ending or rebooting a running container, Hull's or stock LXC's.

use std::time::{Duration, Instant};

use hull_config::Config;
use hull_container::Container;
use hull_ipc::State;
use hull_runtime::stop::{self, Ended};

use crate::errors::Failure;

/// How a container shall end.
#[derive(Debug, Clone, Copy)]
pub(crate) enum How {
    /// At once.
    Kill,
    /// Its init is asked to halt.
    Halt {
        /// How long it may take; `None` is as long as it likes.
        patience: Option<Duration>,
        /// Whether it is killed when time is up.
        then_kill: bool,
    },
    /// Its init is asked to halt, and nobody waits.
    Ask,
    /// Its init is asked to reboot.
    Reboot {
        /// How long to wait for the new init; `None` is not at all.
        patience: Option<Duration>,
    },
}

/// How often a reboot is looked for.
const INTERVAL: Duration = Duration::from_millis(50);

/// Ends or reboots `container`, which runs. Fails when time is up.
pub(crate) fn shut_down(container: &Container<'_>, how: How) -> Result<(), Failure> {
    let (home, name) = (container.home(), container.name());
    let lxcpath = home.parent().unwrap_or(&home);
    let config = if container.is_defined() { container.config()? } else { Config::empty() };
    let failed = |e: hull_runtime::Error| Failure::new(e.to_string());
    match how {
        How::Kill => stop::kill(lxcpath, name, None).map(drop).map_err(failed),
        How::Ask => stop::shutdown(lxcpath, name, &config, Some(Instant::now())).map(drop).map_err(failed),
        How::Halt { patience, then_kill } => {
            let deadline = patience.and_then(|p| Instant::now().checked_add(p));
            match stop::shutdown(lxcpath, name, &config, deadline).map_err(failed)? {
                Ended::Yes => Ok(()),
                Ended::No if then_kill => stop::kill(lxcpath, name, None).map(drop).map_err(failed),
                Ended::No => {
                    Err(Failure::new(format!("{name} has not halted in time: give it longer, or kill it")))
                }
            }
        }
        How::Reboot { patience } => {
            let before = container.client().init_pid()?;
            stop::reboot(lxcpath, name, &config).map_err(failed)?;
            patience.map_or(Ok(()), |patience| await_reboot(container, before, patience))
        }
    }
}

/// Waits until another init than `before` runs.
fn await_reboot(container: &Container<'_>, before: Option<i32>, patience: Duration) -> Result<(), Failure> {
    let client = container.client();
    let deadline = Instant::now().checked_add(patience);
    while deadline.is_none_or(|d| Instant::now() < d) {
        let now = client.init_pid()?;
        if now.is_some() && now != before && client.state()? == State::Running {
            return Ok(());
        }
        std::thread::sleep(INTERVAL);
    }
    Err(Failure::new(format!("{} has not rebooted in time", container.name())))
}
