//! A volume group and a zfs pool where LXC looks for them when nothing is configured.

use std::path::Path;

use crate::command::plain;

/// What LXC calls its volume group, the thin pool in it, and the root of its datasets.
const NAME: &str = "lxc";

/// A pool on an image. Dropping it destroys it, if it was made: what stood in its way is somebody's.
pub(crate) struct Pool {
    kind: &'static str,
    device: Option<String>,
    made: bool,
}

impl Pool {
    /// Makes it on the sparse file `image`. Fails when there is one of this name: it may be somebody's.
    pub(crate) fn new(kind: &'static str, image: &Path) -> Result<Self, String> {
        let taken = if kind == "zfs" { format!("zpool list {NAME}") } else { format!("vgs {NAME}") };
        if plain(&taken).is_ok() {
            return Err(format!("there is a pool called {NAME} for {kind}: the comparison needs the name"));
        }
        let mut pool = Self { kind, device: None, made: false };
        if kind == "zfs" {
            let options = "-O mountpoint=none -O xattr=sa -O acltype=posix";
            plain(&format!("zpool create {options} {NAME} {}", image.display()))?;
            pool.made = true;
            return Ok(pool);
        }
        let attached = std::process::Command::new("losetup").args(["--find", "--show"]).arg(image).output();
        let attached = attached.map_err(|e| format!("losetup: {e}"))?;
        if !attached.status.success() {
            return Err(format!("losetup: {}", String::from_utf8_lossy(&attached.stderr).trim()));
        }
        let device = String::from_utf8_lossy(&attached.stdout).trim().to_owned();
        pool.device = Some(device.clone());
        plain(&format!("vgcreate --quiet {NAME} {device}"))?;
        pool.made = true;
        plain(&format!("lvcreate --quiet --type thin-pool --size 10g --name {NAME} {NAME}"))?;
        Ok(pool)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let destroy = match self.kind {
            "zfs" => format!("zpool destroy -f {NAME}"),
            _ => format!("vgremove --quiet --yes --force {NAME}"),
        };
        let detach = self.device.as_ref().map(|device| format!("losetup -d {device}"));
        let lines = self.made.then_some(destroy).into_iter().chain(detach);
        for line in lines {
            if let Err(why) = plain(&line) {
                eprintln!("the pool for {} stays: {why}", self.kind);
            }
        }
    }
}
