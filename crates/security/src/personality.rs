//! The execution domain that goes with an architecture's name: personality(2).

/// `PER_LINUX`: what programs of the machine's own word size see.
pub const NATIVE: u64 = 0;
/// `PER_LINUX32`: `uname -m` names the 32-bit architecture.
pub const LINUX32: u64 = 8;

/// The execution domain for an architecture by any of its usual names (`x86_64`, `amd64`, `i686`, `armhf` …);
/// no such architecture gives `None`.
pub fn of_architecture(name: &str) -> Option<u64> {
    const NARROW: [&str; 21] = [
        "arm", "armel", "armhf", "armv7", "armv7l", "athlon", "i386", "i486", "i586", "i686", "linux32",
        "mips", "mipsel", "mips32", "ppc", "powerpc", "riscv32", "s390", "sparc", "x86", "armv6l",
    ];
    const WIDE: [&str; 19] = [
        "amd64",
        "arm64",
        "aarch64",
        "linux64",
        "loongarch64",
        "mips64",
        "mips64el",
        "powerpc64",
        "ppc64",
        "ppc64el",
        "ppc64le",
        "riscv64",
        "s390x",
        "sparc64",
        "x86_64",
        "x86-64",
        "ia64",
        "alpha",
        "hppa64",
    ];
    if NARROW.contains(&name) {
        return Some(LINUX32);
    }
    WIDE.contains(&name).then_some(NATIVE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn architectures_by_word_size() {
        assert_eq!(of_architecture("i686"), Some(LINUX32));
        assert_eq!(of_architecture("x86_64"), Some(NATIVE));
        assert_eq!(of_architecture("pdp11"), None);
    }
}
