//! Has the programs bring their unwinder with them: one that runs for a millisecond spends a tenth of it on loading
//! `libgcc_s.so.1`, which it needs to print a backtrace.
//!
//! rustc asks the linker for `-lgcc_s`. A linker script of that name, found first, names the archive with the same functions
//! instead. Where the C compiler has none, all is as ever.

use std::path::PathBuf;
use std::process::Command;

fn main() -> std::io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    let target = std::env::var("TARGET").unwrap_or_default();
    // `cc` is the host's.
    if std::env::var("HOST").ok().as_deref() == Some(&target)
        && target.ends_with("-linux-gnu")
        && let Some(archive) = find("libgcc_eh.a")
        && let Some(scripts) = std::env::var_os("OUT_DIR").map(PathBuf::from)
    {
        std::fs::write(scripts.join("libgcc_s.so"), format!("INPUT({})\n", archive.display()))?;
        println!("cargo::rustc-link-search=native={}", scripts.display());
    }
    Ok(())
}

/// Where the C compiler has `archive`; it prints the bare name of one that it has not.
fn find(archive: &str) -> Option<PathBuf> {
    let printed = Command::new("cc").arg(format!("-print-file-name={archive}")).output().ok()?;
    let path = PathBuf::from(String::from_utf8(printed.stdout).ok()?.trim());
    path.is_file().then_some(path)
}
