//! What kind of machine this is: figures of one kind may be compared.

use crate::Result;

/// What tells one kind of machine from another.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Machine {
    /// As the compiler calls it: `x86_64`.
    architecture: String,
    /// The processor's model; empty where the kernel does not say.
    processor: String,
    /// How many processors are there for us.
    cores: usize,
    /// The kernel's release, as `uname -r` prints it.
    kernel: String,
}

impl Machine {
    /// This machine. Fails when the kernel does not say its release.
    pub(super) fn this() -> Result<Self> {
        let read = |path: &str| {
            std::fs::read_to_string(path).map_err(|error| format!("cannot read {path}: {error}; mount /proc"))
        };
        let cores = std::thread::available_parallelism().map_err(|error| {
            format!("the number of processors is not known: {error}; let this process ask for it")
        })?;
        Ok(Self {
            architecture: std::env::consts::ARCH.to_owned(),
            processor: processor(&read("/proc/cpuinfo")?).to_owned(),
            cores: cores.get(),
            kernel: read("/proc/sys/kernel/osrelease")?.trim().to_owned(),
        })
    }

    /// Its kind, as a file may be called: `x86_64-amd-epyc-2-6.18` is architecture, processor, number of processors,
    /// and the first two numbers of the kernel's release.
    pub(super) fn kind(&self) -> String {
        let processor = slug(&self.processor);
        let processor = if processor.is_empty() { "unknown" } else { &processor };
        format!("{}-{processor}-{}-{}", self.architecture, self.cores, series(&self.kernel))
    }
}

/// The model in a text of /proc/cpuinfo; x86 has a model name, arm only numbers (proc(5)).
fn processor(cpuinfo: &str) -> &str {
    let field = |name: &str| {
        let line = cpuinfo.lines().find(|line| line.split(':').next().is_some_and(|key| key.trim() == name));
        line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim())
    };
    field("model name").or_else(|| field("CPU part")).unwrap_or_default()
}

/// `text` with nothing but small letters, digits and single hyphens.
fn slug(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { ' ' };
    let words: String = text.chars().map(plain).collect();
    words.split_whitespace().collect::<Vec<_>>().join("-")
}

/// The first two numbers of a kernel's release.
fn series(release: &str) -> String {
    let numbers = release.split(['.', '-', '+']).take(2);
    numbers.map(slug).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::{Machine, processor};

    #[test]
    fn kinds_are_names_of_files() {
        for (architecture, processor, kernel, expected) in [
            ("x86_64", "AMD EPYC", "6.18.44-cloud-v6", "x86_64-amd-epyc-2-6.18"),
            ("x86_64", "Intel(R) Xeon(R) CPU @ 2.20GHz", "6.1.0", "x86_64-intel-r-xeon-r-cpu-2-20ghz-2-6.1"),
            ("aarch64", "0xd0c", "7.0-rc1", "aarch64-0xd0c-2-7.0"),
            ("riscv64", "", "6.12+deb13", "riscv64-unknown-2-6.12"),
            ("x86_64", "../../odd", "5/..", "x86_64-odd-2-5."),
        ] {
            let machine = Machine {
                architecture: architecture.into(),
                processor: processor.into(),
                cores: 2,
                kernel: kernel.into(),
            };
            assert_eq!(machine.kind(), expected);
        }
    }

    #[test]
    fn the_model_is_found_or_missing() {
        for (text, expected) in [
            ("processor\t: 0\nmodel\t\t: 17\nmodel name\t: Some CPU: x\nprocessor\t: 1\n", "Some CPU: x"),
            ("processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\n", "0xd0c"),
            ("", ""),
        ] {
            assert_eq!(processor(text), expected, "{text:?}");
        }
        assert!(Machine::this().is_ok_and(|machine| machine.cores > 0 && !machine.kernel.is_empty()));
    }
}
