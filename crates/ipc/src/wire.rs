//! The messages of the command socket as bytes: LXC's C structs in native byte order.
//!
//! Reading takes any bytes and answers `None` to what is not such a message; it never panics.

use crate::State;

/// Bytes of a request's and of a response's fixed part.
pub const HEADER_SIZE: usize = 16;
/// The most bytes of data a request may carry.
pub const LARGEST_DATA: usize = 8192;
/// Number of states; as an answer to [`Command::AddStateClient`] it means "wait for a [`Message`]".
pub const STATE_COUNT: i32 = 8;
/// Descriptors a [`CgroupContext`] can carry.
pub const CGROUP_CONTEXT_FDS: usize = 20;

/// The requests, by LXC's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i32)]
#[expect(missing_docs, reason = "the names are LXC's; `server::Handler` says what each does")]
pub enum Command {
    GetTtyFd = 0,
    TerminalWinch = 1,
    Stop = 2,
    GetState = 3,
    GetInitPid = 4,
    GetCloneFlags = 5,
    GetCgroup = 6,
    GetConfigItem = 7,
    GetName = 8,
    GetLxcpath = 9,
    AddStateClient = 10,
    ConsoleLog = 11,
    ServeStateClients = 12,
    SeccompNotifyAddListener = 13,
    AddBpfDeviceCgroup = 14,
    Freeze = 15,
    Unfreeze = 16,
    GetCgroup2Fd = 17,
    GetInitPidfd = 18,
    GetLimitCgroup = 19,
    GetLimitCgroup2Fd = 20,
    GetDevptsFd = 21,
    GetSeccompNotifyFd = 22,
    GetCgroupContext = 23,
    GetCgroupFd = 24,
    GetLimitCgroupFd = 25,
    GetSystemdScope = 26,
}

impl Command {
    /// All commands, in order of their numbers.
    pub const ALL: [Self; 27] = [
        Self::GetTtyFd,
        Self::TerminalWinch,
        Self::Stop,
        Self::GetState,
        Self::GetInitPid,
        Self::GetCloneFlags,
        Self::GetCgroup,
        Self::GetConfigItem,
        Self::GetName,
        Self::GetLxcpath,
        Self::AddStateClient,
        Self::ConsoleLog,
        Self::ServeStateClients,
        Self::SeccompNotifyAddListener,
        Self::AddBpfDeviceCgroup,
        Self::Freeze,
        Self::Unfreeze,
        Self::GetCgroup2Fd,
        Self::GetInitPidfd,
        Self::GetLimitCgroup,
        Self::GetLimitCgroup2Fd,
        Self::GetDevptsFd,
        Self::GetSeccompNotifyFd,
        Self::GetCgroupContext,
        Self::GetCgroupFd,
        Self::GetLimitCgroupFd,
        Self::GetSystemdScope,
    ];

    /// The command with this number.
    pub fn from_number(number: i32) -> Option<Self> {
        usize::try_from(number).ok().and_then(|i| Self::ALL.get(i)).copied()
    }

    /// LXC's number.
    pub fn number(self) -> i32 {
        self as i32
    }
}

/// The fixed part of requests (`code` is the command) and of responses (`code` is 0 or a negative errno,
/// or the answer itself for [`Command::AddStateClient`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Command or result.
    pub code: i32,
    /// Bytes of data that follow.
    pub length: i32,
    /// A number, when no data follows; else a pointer of the sender's, without meaning here.
    pub scalar: u64,
}

impl Header {
    /// As bytes.
    pub fn encode(self) -> [u8; HEADER_SIZE] {
        let mut bytes = [0; HEADER_SIZE];
        bytes[..4].copy_from_slice(&self.code.to_ne_bytes());
        bytes[4..8].copy_from_slice(&self.length.to_ne_bytes());
        bytes[8..].copy_from_slice(&self.scalar.to_ne_bytes());
        bytes
    }

    /// From bytes.
    pub fn decode(bytes: &[u8; HEADER_SIZE]) -> Self {
        Self {
            code: int(bytes, 0).unwrap_or_default(),
            length: int(bytes, 4).unwrap_or_default(),
            scalar: long(bytes, 8).unwrap_or_default(),
        }
    }

    /// The number in `scalar` as C's `int`, as `PTR_TO_INT` would have it.
    pub fn int(self) -> i32 {
        self.scalar as u32 as i32
    }
}

/// `number` as it rides in [`Header::scalar`]: sign-extended.
pub fn scalar(number: i32) -> u64 {
    i64::from(number) as u64
}

/// Which states a client waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateMask(pub [Wanted; 8]);

/// Whether a state is waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(i32)]
pub enum Wanted {
    /// It is not.
    #[default]
    No = 0,
    /// It is, and the current state counts.
    Yes = 1,
    /// The next change to it is, and the client outlives a reboot.
    OnChange = 2,
}

impl StateMask {
    /// Waits for any of `states`.
    pub fn any_of(states: &[State]) -> Self {
        let mut mask = Self([Wanted::No; 8]);
        for state in states {
            mask.0[state.index()] = Wanted::Yes;
        }
        mask
    }

    /// How `state` is wanted.
    pub fn wants(&self, state: State) -> Wanted {
        self.0[state.index()]
    }

    /// As bytes.
    pub fn encode(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (slot, wanted) in bytes.chunks_exact_mut(4).zip(self.0) {
            slot.copy_from_slice(&(wanted as i32).to_ne_bytes());
        }
        bytes
    }

    /// From exactly 32 bytes. Numbers other than 0 and 2 count as 1, as in LXC's tests for non-zero.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != 32 {
            return None;
        }
        let mut mask = Self([Wanted::No; 8]);
        for (i, wanted) in mask.0.iter_mut().enumerate() {
            *wanted = match int(bytes, 4 * i)? {
                0 => Wanted::No,
                2 => Wanted::OnChange,
                _ => Wanted::Yes,
            };
        }
        Some(mask)
    }
}

/// What a message to a state client or to `lxc-monitord` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The container changed to this state.
    State(State),
    /// Its init ended with this `wait(2)` status.
    Exit(i32),
}

/// `struct lxc_msg`, sent once to each state client and written to the FIFO of `lxc-monitord`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The container.
    pub name: String,
    /// What happened.
    pub event: Event,
}

impl Message {
    /// Bytes of a message.
    pub const SIZE: usize = 264;

    /// As bytes; a name longer than 255 bytes is cut there.
    pub fn encode(&self) -> [u8; Self::SIZE] {
        let (kind, value) = match self.event {
            Event::State(state) => (0, state.number()),
            Event::Exit(status) => (2, status),
        };
        let mut bytes = [0; Self::SIZE];
        bytes[..4].copy_from_slice(&i32::to_ne_bytes(kind));
        let name = self.name.as_bytes();
        let length = name.len().min(255);
        bytes[4..4 + length].copy_from_slice(&name[..length]);
        bytes[260..].copy_from_slice(&value.to_ne_bytes());
        bytes
    }

    /// From exactly 264 bytes.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != Self::SIZE {
            return None;
        }
        let value = int(bytes, 260)?;
        let event = match int(bytes, 0)? {
            0 => Event::State(State::from_number(value.into())?),
            2 => Event::Exit(value),
            _ => return None,
        };
        let name = bytes[4..260].split(|b| *b == 0).next()?;
        Some(Self { name: String::from_utf8_lossy(name).into_owned(), event })
    }
}

/// What to do with the console's ring buffer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConsoleLogRequest {
    /// Empty it (after reading).
    pub clear: bool,
    /// Answer with its content.
    pub read: bool,
    /// At most so many bytes; 0 is all.
    pub read_max: u64,
    /// Write the content to the log file.
    pub write_logfile: bool,
}

impl ConsoleLogRequest {
    /// As bytes.
    pub fn encode(&self) -> [u8; 24] {
        let mut bytes = [0; 24];
        bytes[0] = self.clear.into();
        bytes[1] = self.read.into();
        bytes[8..16].copy_from_slice(&self.read_max.to_ne_bytes());
        bytes[16] = self.write_logfile.into();
        bytes
    }

    /// From exactly 24 bytes.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != 24 {
            return None;
        }
        Some(Self {
            clear: bytes[0] != 0,
            read: bytes[1] != 0,
            read_max: long(bytes, 8)?,
            write_logfile: bytes[16] != 0,
        })
    }
}

/// A rule for the device controller, added while the container runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceRule {
    /// `a`, `b` or `c`.
    pub kind: u8,
    /// Major number, -1 for all.
    pub major: i32,
    /// Minor number, -1 for all.
    pub minor: i32,
    /// Which of `r`, `w`, `m`; unused places are 0.
    pub access: [u8; 4],
    /// 1 allows, 0 denies; -1 is LXC's mark for "deny list".
    pub allow: i32,
}

impl DeviceRule {
    /// As bytes.
    pub fn encode(&self) -> [u8; 40] {
        let mut bytes = [0; 40];
        bytes[0] = self.kind;
        bytes[4..8].copy_from_slice(&self.major.to_ne_bytes());
        bytes[8..12].copy_from_slice(&self.minor.to_ne_bytes());
        bytes[12..16].copy_from_slice(&self.access);
        bytes[16..20].copy_from_slice(&self.allow.to_ne_bytes());
        bytes
    }

    /// From exactly 40 bytes, whose last 16 are pointers of the sender's.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != 40 {
            return None;
        }
        Some(Self {
            kind: bytes[0],
            major: int(bytes, 4)?,
            minor: int(bytes, 8)?,
            access: bytes[12..16].try_into().ok()?,
            allow: int(bytes, 16)?,
        })
    }
}

/// How the host's cgroup hierarchies are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum CgroupLayout {
    /// LXC could not tell.
    Unknown = -1,
    /// Version 1 only.
    Legacy = 0,
    /// Version 1 with a version 2 hierarchy beside it.
    Hybrid = 1,
    /// Version 2 only.
    Unified = 2,
}

impl CgroupLayout {
    fn from_number(number: i32) -> Self {
        match number {
            0 => Self::Legacy,
            1 => Self::Hybrid,
            2 => Self::Unified,
            _ => Self::Unknown,
        }
    }
}

/// The directories a process must be put in to be in the container: `struct cgroup_ctx` without its descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CgroupContext {
    /// How the hierarchies are laid out.
    pub layout: CgroupLayout,
    /// Bits: 1 the devices, 2 the freezer of version 2 can be used.
    pub utilities: u32,
    /// Descriptors that come along.
    pub count: u32,
}

impl CgroupContext {
    /// Bytes of the struct.
    pub const SIZE: usize = 96;

    /// As bytes. The descriptor numbers within mean nothing to the receiver and are zero.
    pub fn encode(&self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        bytes[..4].copy_from_slice(&(self.layout as i32).to_ne_bytes());
        bytes[4..8].copy_from_slice(&self.utilities.to_ne_bytes());
        bytes[8..12].copy_from_slice(&self.count.to_ne_bytes());
        bytes
    }

    /// From at least the 12 bytes before the descriptors: the struct may grow or shrink.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        Some(Self {
            layout: CgroupLayout::from_number(int(bytes, 0)?),
            utilities: int(bytes, 4)? as u32,
            count: int(bytes, 8)? as u32,
        })
    }
}

/// One hierarchy of a container: `struct cgroup_fd` without its descriptor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CgroupFd {
    /// How the hierarchies are laid out.
    pub layout: CgroupLayout,
    /// As in [`CgroupContext::utilities`].
    pub utilities: u32,
    /// The file system's magic number: [`CGROUP_MAGIC`] or [`CGROUP2_MAGIC`].
    pub magic: i32,
    /// The controller asked for.
    pub controller: String,
}

/// `statfs(2)`'s type of cgroup version 1.
pub const CGROUP_MAGIC: i32 = 0x0027_e0eb;
/// `statfs(2)`'s type of cgroup version 2.
pub const CGROUP2_MAGIC: i32 = 0x6367_7270;

impl CgroupFd {
    /// Bytes of the struct.
    pub const SIZE: usize = 80;

    /// A question for `controller`, at most 63 bytes.
    pub fn question(controller: &str) -> Self {
        Self { layout: CgroupLayout::Legacy, utilities: 0, magic: 0, controller: controller.into() }
    }

    /// As bytes; a controller longer than 63 bytes is cut there.
    pub fn encode(&self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        bytes[..4].copy_from_slice(&(self.layout as i32).to_ne_bytes());
        bytes[4..8].copy_from_slice(&self.utilities.to_ne_bytes());
        bytes[8..12].copy_from_slice(&self.magic.to_ne_bytes());
        bytes[12..16].copy_from_slice(&(-9i32).to_ne_bytes());
        let length = self.controller.len().min(63);
        bytes[16..16 + length].copy_from_slice(&self.controller.as_bytes()[..length]);
        bytes
    }

    /// From exactly 80 bytes with a NUL within the controller's 64.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != Self::SIZE {
            return None;
        }
        let end = bytes[16..].iter().position(|b| *b == 0)?;
        Some(Self {
            layout: CgroupLayout::from_number(int(bytes, 0)?),
            utilities: int(bytes, 4)? as u32,
            magic: int(bytes, 8)?,
            controller: std::str::from_utf8(&bytes[16..16 + end]).ok()?.to_owned(),
        })
    }
}

/// `text` as LXC sends strings: with a NUL at its end.
pub fn encode_text(text: &str) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    bytes.push(0);
    bytes
}

/// A string that ends in the one NUL it contains.
pub fn decode_text(bytes: &[u8]) -> Option<&str> {
    let (0, text) = bytes.split_last()? else { return None };
    if text.contains(&0) {
        return None;
    }
    std::str::from_utf8(text).ok()
}

fn int(bytes: &[u8], at: usize) -> Option<i32> {
    Some(i32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn long(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}
