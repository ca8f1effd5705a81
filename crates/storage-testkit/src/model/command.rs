//! What may happen, and how it is drawn.

use proptest::prelude::*;

/// A place for a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    /// On its own.
    Slot(u8),
    /// In a home of its own.
    Home(u8),
}

impl Name {
    /// All places.
    pub const ALL: [Self; 7] = [
        Self::Slot(0),
        Self::Slot(1),
        Self::Slot(2),
        Self::Slot(3),
        Self::Home(0),
        Self::Home(1),
        Self::Home(2),
    ];

    pub(super) fn index(self) -> usize {
        Self::ALL.iter().position(|n| *n == self).unwrap_or_default()
    }

    /// The file name of the volume, or of its home.
    pub fn text(self) -> String {
        match self {
            Self::Slot(n) => format!("slot{n}"),
            Self::Home(n) => format!("home{n}"),
        }
    }
}

/// One operation. Where homes are named, the operation is one on the home with its volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Makes a volume.
    Create(Name),
    /// Makes the cheapest writable copy.
    Clone(Name, Name),
    /// Makes the cheapest copy that may only be read.
    Snapshot(Name, Name),
    /// Puts a clone of the first where the second is.
    Restore(Name, Name),
    /// Renames.
    Rename(Name, Name),
    /// Deletes.
    Destroy(Name),
    /// Writes a file.
    Write(Name, u8, u8),
    /// Runs the command in a process that dies after so many effects, and recovers.
    Dying(usize, Box<Self>),
}

/// A sequence of at most `length` commands.
pub(super) fn sequence(length: usize) -> impl Strategy<Value = Vec<Command>> {
    proptest::collection::vec(command(), 1..=length)
}

fn command() -> impl Strategy<Value = Command> {
    let whole = prop_oneof![
        3 => name().prop_map(Command::Create),
        4 => (name(), name()).prop_map(|(a, b)| Command::Clone(a, b)),
        2 => (name(), name()).prop_map(|(a, b)| Command::Snapshot(a, b)),
        3 => (name(), name()).prop_map(|(a, b)| Command::Restore(a, b)),
        3 => (name(), name()).prop_map(|(a, b)| Command::Rename(a, b)),
        3 => name().prop_map(Command::Destroy),
    ];
    let write = (name(), 0..3u8, any::<u8>()).prop_map(|(a, file, text)| Command::Write(a, file, text));
    let dying = (0..22usize, whole.clone().boxed()).prop_map(|(n, c)| Command::Dying(n, Box::new(c)));
    prop_oneof![2 => whole, 2 => dying, 1 => write]
}

fn name() -> impl Strategy<Value = Name> + Clone {
    proptest::sample::select(Name::ALL.to_vec())
}
