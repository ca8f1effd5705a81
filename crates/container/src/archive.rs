//! Unpacking a root file system from an archive.

use std::path::Path;
use std::process::{Command, Stdio};

use hull_storage::{Error, ErrorKind, Result};

/// Where tar is looked for; a caller's PATH does not count.
const TAR: [&str; 3] = ["/usr/bin/tar", "/bin/tar", "/usr/local/bin/tar"];

/// Unpacks `archive` into the directory `rootfs`: owners by number, modes, extended attributes with file
/// capabilities, ACLs, sparse files, device nodes. GNU tar (1.27 or later) does it; it knows the compression.
pub(crate) fn unpack(archive: &Path, rootfs: &Path) -> Result<()> {
    let program = TAR.iter().find(|p| Path::new(p).exists()).ok_or_else(|| {
        let text = format!("unpacking {} needs GNU tar, which is not installed", archive.display());
        Error::new(ErrorKind::ToolMissing, text)
    })?;
    let output = Command::new(program)
        .args(["--extract", "--preserve-permissions", "--numeric-owner", "--sparse", "--acls", "--xattrs"])
        .args(["--xattrs-include=*", "--delay-directory-restore", "--file"])
        .arg(archive)
        .arg("--directory")
        .arg(rootfs)
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .map_err(|e| Error::new(ErrorKind::ToolFailed, format!("{program} cannot be run")).because(e))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let first = said.lines().next().unwrap_or("it said nothing").to_owned();
    let text = format!("cannot unpack {}: {} ({first})", archive.display(), output.status);
    Err(Error::new(ErrorKind::ToolFailed, text))
}
