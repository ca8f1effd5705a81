//! Loading and attaching BPF programs for the devices of a cgroup: bpf(2), `BPF_PROG_TYPE_CGROUP_DEVICE` (Linux 4.15).

use rustix::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::{Error, Result, fd};

/// One instruction, `struct bpf_insn`. Only what device programs need can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    code: u8,
    /// Destination in the low, source in the high half.
    registers: u8,
    offset: i16,
    value: i32,
}

// The classes and operations of linux/bpf_common.h and linux/bpf.h, put together.
const LOAD_WORD: u8 = 0x61;
const MOVE32_REGISTER: u8 = 0xbc;
const MOVE64_VALUE: u8 = 0xb7;
const AND32_VALUE: u8 = 0x54;
const SHIFT_RIGHT32_VALUE: u8 = 0x74;
const JUMP_EQUAL_VALUE: u8 = 0x15;
const JUMP_NOT_EQUAL_VALUE: u8 = 0x55;
const EXIT: u8 = 0x95;

impl Instruction {
    /// `to = *(u32 *)(from + offset)`
    pub fn load_word(to: u8, from: u8, offset: i16) -> Self {
        Self { offset, ..Self::new(LOAD_WORD, to, from, 0) }
    }

    /// `to = from`, 32 bits.
    pub fn move_register(to: u8, from: u8) -> Self {
        Self::new(MOVE32_REGISTER, to, from, 0)
    }

    /// `to = value`
    pub fn move_value(to: u8, value: i32) -> Self {
        Self::new(MOVE64_VALUE, to, 0, value)
    }

    /// `to &= value`, 32 bits.
    pub fn and(to: u8, value: i32) -> Self {
        Self::new(AND32_VALUE, to, 0, value)
    }

    /// `to >>= bits`, 32 bits.
    pub fn shift_right(to: u8, bits: i32) -> Self {
        Self::new(SHIFT_RIGHT32_VALUE, to, 0, bits)
    }

    /// Skips the next `over` instructions if `register == value`.
    pub fn jump_equal(register: u8, value: i32, over: i16) -> Self {
        Self { offset: over, ..Self::new(JUMP_EQUAL_VALUE, register, 0, value) }
    }

    /// Skips the next `over` instructions if `register != value`.
    pub fn jump_not_equal(register: u8, value: i32, over: i16) -> Self {
        Self { offset: over, ..Self::new(JUMP_NOT_EQUAL_VALUE, register, 0, value) }
    }

    /// Ends with register 0 as result.
    pub fn exit() -> Self {
        Self::new(EXIT, 0, 0, 0)
    }

    /// As bytes, as an interpreter reads it on this machine.
    pub fn to_bytes(self) -> [u8; 8] {
        let mut bytes = [self.code, self.registers, 0, 0, 0, 0, 0, 0];
        bytes[2..4].copy_from_slice(&self.offset.to_ne_bytes());
        bytes[4..].copy_from_slice(&self.value.to_ne_bytes());
        bytes
    }

    fn new(code: u8, to: u8, from: u8, value: i32) -> Self {
        // On big-endian machines the bit fields lie the other way round.
        let registers = if cfg!(target_endian = "little") { to | from << 4 } else { to << 4 | from };
        Self { code, registers, offset: 0, value }
    }
}

const PROG_LOAD: i32 = 5;
const PROG_ATTACH: i32 = 8;
const PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const CGROUP_DEVICE: u32 = 6;
const ALLOW_MULTI: u32 = 2;
const REPLACE: u32 = 4;

/// The part of `union bpf_attr` that loading reads.
#[repr(C)]
struct Load {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; 16],
    prog_ifindex: u32,
    expected_attach_type: u32,
}

/// The part of `union bpf_attr` that attaching reads.
#[repr(C)]
struct Attach {
    target_fd: u32,
    attach_bpf_fd: u32,
    attach_type: u32,
    attach_flags: u32,
    replace_bpf_fd: u32,
}

/// Has the kernel verify and load a device program: `bpf(BPF_PROG_LOAD)`. Requires CAP_BPF or root.
///
/// A program the kernel rejects fails with `EINVAL` or `EACCES` and its verifier's last words.
pub fn load_device_program(program: &[Instruction]) -> Result<OwnedFd> {
    match load(program, &mut []) {
        Ok(fd) => Ok(fd),
        // Once more for the verifier's log, which is off for speed and for its size limit at first.
        Err(first) if matches!(first.errno(), rustix::io::Errno::INVAL | rustix::io::Errno::ACCESS) => {
            let mut log = vec![0; 64 << 10];
            let _ = load(program, &mut log);
            let text = String::from_utf8_lossy(&log);
            let said = text.trim_end_matches('\0').trim_end().lines().next_back().unwrap_or_default();
            Err(Error::new(format!("{} [{said}]", first.call()), first.errno()))
        }
        Err(e) => Err(e),
    }
}

/// Attaches `program` to the cgroup (version 2) beside other programs, or in place of `replaced`:
/// `bpf(BPF_PROG_ATTACH)`; replacing needs Linux 5.6.
pub fn attach_device_program(
    cgroup: impl AsFd,
    program: impl AsFd,
    replaced: Option<BorrowedFd<'_>>,
) -> Result<()> {
    let number =
        |fd: BorrowedFd<'_>| u32::try_from(fd.as_raw_fd()).expect("a borrowed descriptor is not negative");
    let attr = Attach {
        target_fd: number(cgroup.as_fd()),
        attach_bpf_fd: number(program.as_fd()),
        attach_type: CGROUP_DEVICE,
        attach_flags: if replaced.is_some() { ALLOW_MULTI | REPLACE } else { ALLOW_MULTI },
        replace_bpf_fd: replaced.map_or(0, number),
    };
    // SAFETY: `attr` is live, has the size given and holds descriptors that are open during the call.
    let result = unsafe { libc::syscall(libc::SYS_bpf, PROG_ATTACH, &raw const attr, size_of::<Attach>()) };
    if result == 0 {
        return Ok(());
    }
    Err(Error::last(format!("bpf(BPF_PROG_ATTACH, {}, BPF_CGROUP_DEVICE)", fd::name(cgroup))))
}

fn load(program: &[Instruction], log: &mut [u8]) -> Result<OwnedFd> {
    let license = c"Dual MIT/GPL";
    let attr = Load {
        prog_type: PROG_TYPE_CGROUP_DEVICE,
        insn_cnt: u32::try_from(program.len()).unwrap_or(u32::MAX),
        insns: program.as_ptr() as u64,
        license: license.as_ptr() as u64,
        log_level: u32::from(!log.is_empty()),
        log_size: u32::try_from(log.len()).unwrap_or(u32::MAX),
        log_buf: if log.is_empty() { 0 } else { log.as_mut_ptr() as u64 },
        kern_version: 0,
        prog_flags: 0,
        prog_name: *b"hull_devices\0\0\0\0",
        prog_ifindex: 0,
        expected_attach_type: CGROUP_DEVICE,
    };
    // SAFETY: `attr` is live and has the size given; its pointers are to `program`, `license` and `log` with
    // their true lengths, and the kernel writes only to `log`.
    let result = unsafe { libc::syscall(libc::SYS_bpf, PROG_LOAD, &raw const attr, size_of::<Load>()) };
    match i32::try_from(result) {
        // SAFETY: the kernel just made this descriptor (close-on-exec) for us.
        Ok(number @ 0..) => Ok(unsafe { OwnedFd::from_raw_fd(number) }),
        _ => Err(Error::last(format!("bpf(BPF_PROG_LOAD, {} instructions)", program.len()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_program_says_why() {
        if !rustix::process::getuid().is_root() {
            eprintln!("skipped: needs root to load programs");
            return;
        }
        // Register 0 is never set.
        let error = load_device_program(&[Instruction::exit()]).unwrap_err();
        assert!(error.to_string().contains("bpf(BPF_PROG_LOAD, 1 instructions) ["), "{error}");
        let good = [Instruction::move_value(0, 1), Instruction::exit()];
        load_device_program(&good).unwrap();
    }
}
