//! Waiting for a container to reach a state.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::call::Call;
use super::{Client, Error, Result};
use crate::State;
use crate::wire::{Command, Event, Message, StateMask};

/// How often a container that is not running is looked for.
const INTERVAL: Duration = Duration::from_millis(50);

impl Client {
    /// Waits until the container is in one of `states`, and says which; `None` if `deadline` comes first.
    ///
    /// No `deadline` is for ever. A container whose monitor does not listen is [`State::Stopped`]. The
    /// client's timeout does not matter here, so a monitor that hangs is waited for, too.
    pub fn wait(&self, states: &[State], deadline: Option<Instant>) -> Result<Option<State>> {
        loop {
            match self.wait_once(states, deadline) {
                Ok(Some(state)) => return Ok(Some(state)),
                Ok(None) => {}
                Err(Error::Stopped(_)) if states.contains(&State::Stopped) => {
                    return Ok(Some(State::Stopped));
                }
                Err(Error::Stopped(_)) => {
                    let left = deadline.map(|d| d.saturating_duration_since(Instant::now()));
                    if left.is_some_and(|l| l.is_zero()) {
                        return Ok(None);
                    }
                    sleep(left.map_or(INTERVAL, |l| l.min(INTERVAL)));
                }
                Err(Error::TimedOut { .. }) => return Ok(None),
                Err(e) => return Err(e),
            }
        }
    }

    /// One registration with one monitor. `None`: it reported a state we did not ask for.
    fn wait_once(&self, states: &[State], deadline: Option<Instant>) -> Result<Option<State>> {
        let command = Command::AddStateClient;
        let call = Call::new(command).data(StateMask::any_of(states).encode().to_vec());
        let answer = self.exchange(&call, deadline)?;
        if let Some(state) = State::from_number(answer.header.code.into()) {
            return Ok(Some(state));
        }
        if answer.header.code < 0 {
            let errno = rustix::io::Errno::from_raw_os_error(answer.header.code.saturating_neg());
            return Err(Error::Refused { name: self.name.clone(), command, errno });
        }
        let mut bytes = [0; Message::SIZE];
        self.receive_all(&answer.socket, &mut bytes, &mut Vec::new(), command, deadline)?;
        match Message::decode(&bytes) {
            Some(Message { event: Event::State(state), .. }) => {
                Ok(Some(state).filter(|s| states.contains(s)))
            }
            _ => Err(self.protocol(command, "is no change of state")),
        }
    }
}
