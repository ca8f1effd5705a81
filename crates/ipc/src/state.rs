//! What a container can be doing, by LXC's names and numbers.

use std::fmt;
use std::str::FromStr;

/// The state of a container. The numbers are LXC's and go over the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum State {
    /// No monitor runs.
    Stopped = 0,
    /// The monitor prepares the container.
    Starting = 1,
    /// Its init runs.
    Running = 2,
    /// Its init has ended; the monitor cleans up.
    Stopping = 3,
    /// The start failed; the monitor cleans up.
    Aborting = 4,
    /// Its processes are being frozen.
    Freezing = 5,
    /// Its processes are frozen.
    Frozen = 6,
    /// Its processes were just thawed; what lasts is [`State::Running`].
    Thawed = 7,
}

impl State {
    /// All states, in order of their numbers.
    pub const ALL: [Self; 8] = [
        Self::Stopped,
        Self::Starting,
        Self::Running,
        Self::Stopping,
        Self::Aborting,
        Self::Freezing,
        Self::Frozen,
        Self::Thawed,
    ];

    /// The state with LXC's number `number`.
    pub fn from_number(number: i64) -> Option<Self> {
        usize::try_from(number).ok().and_then(|i| Self::ALL.get(i)).copied()
    }

    /// LXC's number.
    pub fn number(self) -> i32 {
        self as i32
    }

    /// LXC's name, in capitals.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stopped => "STOPPED",
            Self::Starting => "STARTING",
            Self::Running => "RUNNING",
            Self::Stopping => "STOPPING",
            Self::Aborting => "ABORTING",
            Self::Freezing => "FREEZING",
            Self::Frozen => "FROZEN",
            Self::Thawed => "THAWED",
        }
    }

    /// The state to remember after a change to this one: [`State::Thawed`] is only announced.
    #[must_use]
    pub fn lasting(self) -> Self {
        if self == Self::Thawed { Self::Running } else { self }
    }

    pub(crate) fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for State {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|s| s.name() == text).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("{text:?} is not a state of a container; the states are {names}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_lead_back() {
        for (number, state) in (0..).zip(State::ALL) {
            assert_eq!(state.number(), number);
            assert_eq!(State::from_number(i64::from(number)), Some(state));
            assert_eq!(state.name().parse(), Ok(state));
        }
        assert_eq!(State::from_number(8), None);
        assert_eq!(State::from_number(-1), None);
        assert!("running".parse::<State>().is_err());
    }
}
