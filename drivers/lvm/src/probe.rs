//! Whether logical volumes can be used here, for `hull doctor`.

use std::path::Path;

use hull_command::Runner;
use hull_storage::{Availability, ErrorKind, Settings};

use crate::report::{Group, percent};
use crate::{LvmDriver, tool};

/// How full, in hundredths of a percent, a pool may be before it is spoken of.
const NEARLY_FULL: u32 = 8000;

/// Looks for LVM's programs, the device mapper, the group and the pool.
pub(crate) fn probe(runner: std::sync::Arc<dyn Runner>, settings: &Settings) -> Availability {
    if !runner.has(tool::LVM) {
        return missing("the program lvm is not installed", "install lvm2");
    }
    if !Path::new("/sys/module/dm_mod").exists() && !has_device_mapper() {
        return missing(
            "this kernel has no device mapper (/proc/devices does not list it)",
            "load it with `modprobe dm_mod`, or boot a kernel that has CONFIG_BLK_DEV_DM",
        );
    }
    if !rustix::process::geteuid().is_root() {
        return missing("LVM's programs need root", "be root");
    }
    let driver = LvmDriver::new(runner, settings);
    look(&driver)
}

/// Looks at the group and the pool that new volumes would be made in.
fn look(driver: &LvmDriver) -> Availability {
    let (vg, pool) = (driver.vg(), driver.pool());
    let group = match driver.group(vg, &tool::with_pools(&[pool])) {
        Ok(group) => group,
        Err(e) if e.kind() == ErrorKind::NotFound => {
            return missing(
                &format!("there is no volume group {vg}"),
                &format!("make one with `vgcreate {vg} DEVICE`, or name another with lxc.bdev.lvm.vg"),
            );
        }
        Err(e) => return missing(&e.to_string(), "see what LVM says"),
    };
    let mut notes = pool_notes(vg, pool, &group, || extends_itself(&*driver.runner));
    notes.extend(hull_blockfs::missing(&*driver.runner));
    Availability::Ready { notes }
}

/// What is to be said of the pool, one line each.
fn pool_notes(vg: &str, pool: &str, group: &Group, extends_itself: impl FnOnce() -> bool) -> Vec<String> {
    let Some(row) = group.volume(pool).filter(|v| v.is_thin_pool()) else {
        return vec![format!(
            "there is no thin pool {vg}/{pool}: volumes are thick and clones of them need their source; make one with \
             `lvcreate --type thin-pool --size SIZE --name {pool} {vg}` ({} are free)",
            group.free
        )];
    };
    let mut notes = Vec::new();
    if row.has_failed {
        notes.push(format!(
            "the thin pool {vg}/{pool} has failed, as one does whose disk fails (see `dmesg`): once it works, have it checked \
             by `vgchange --activate n {vg}` and `vgchange --activate y {vg}`"
        ));
    }
    let (data, metadata) = (row.data.unwrap_or(0), row.metadata.unwrap_or(0));
    let limit = u32::from(tool::FULL) * 100;
    if data >= NEARLY_FULL {
        let state = if data >= limit { "too full for new volumes" } else { "nearly full" };
        notes.push(format!(
            "the thin pool {vg}/{pool} of {} is {state} ({} in use, {} free in its group): make it larger with \
             `lvextend --size +SIZE {vg}/{pool}`, and let containers give up what they no longer use with fstrim(8)",
            row.size,
            percent(data),
            group.free
        ));
    }
    if metadata >= NEARLY_FULL * 3 / 4 {
        notes.push(format!(
            "the metadata of the thin pool {vg}/{pool} are {} full: make them larger with `lvextend \
             --poolmetadatasize +SIZE {vg}/{pool}`",
            percent(metadata)
        ));
    }
    if row.discards == "ignore" {
        notes.push(format!(
            "the thin pool {vg}/{pool} ignores discards, so what containers delete stays taken: `lvchange --discards \
             passdown {vg}/{pool}`"
        ));
    }
    if !extends_itself() {
        notes.push(format!(
            "the thin pool {vg}/{pool} does not become larger by itself: set \
             activation/thin_pool_autoextend_threshold in lvm.conf below 100"
        ));
    }
    notes
}

/// Whether LVM makes pools larger before they are full. What cannot be found out is not complained of.
fn extends_itself(runner: &dyn Runner) -> bool {
    let Ok(output) = runner.run(&tool::extension_threshold()) else { return true };
    let text = output.text();
    let threshold = text.trim().rsplit('=').next().and_then(|number| number.parse::<u32>().ok());
    threshold.is_none_or(|percent| percent < 100)
}

fn has_device_mapper() -> bool {
    let known = std::fs::read_to_string("/proc/devices").unwrap_or_default();
    known.lines().any(|line| line.split_whitespace().next_back() == Some("device-mapper"))
}

fn missing(why: &str, remedy: &str) -> Availability {
    Availability::Missing { why: why.into(), remedy: remedy.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{self, tests as rows};

    fn notes(pool: &[(&str, &str)], extends: bool) -> Vec<String> {
        let usual = [("lv_layout", "thin,pool"), ("lv_role", "private"), ("discards", "passdown")];
        let fields: Vec<_> = pool.iter().copied().chain(usual).collect();
        let group = report::read(rows::group(&[rows::row("lxc", &fields)]).as_bytes()).unwrap().unwrap();
        pool_notes("vg", "lxc", &group, || extends)
    }

    #[test]
    fn what_is_wrong_is_said_with_figures_and_remedy() {
        assert_eq!(notes(&[("data_percent", "10.00"), ("metadata_percent", "5.00")], true), [""; 0]);
        for (pool, says) in [
            (
                &[("data_percent", "85.31"), ("metadata_percent", "5.00")][..],
                ["nearly full (85.3 % in use", "lvextend --size"],
            ),
            (
                &[("data_percent", "97.00"), ("metadata_percent", "5.00")],
                ["too full for new volumes", "fstrim"],
            ),
            (
                &[("data_percent", "1.00"), ("metadata_percent", "61.00")],
                ["61.0 % full", "--poolmetadatasize"],
            ),
            (
                &[("data_percent", "1.00"), ("discards", "ignore")],
                ["ignores discards", "lvchange --discards"],
            ),
            (
                &[("data_percent", ""), ("lv_health_status", "failed")],
                ["has failed", "vgchange --activate y vg"],
            ),
            (&[("lv_layout", "linear")], ["no thin pool vg/lxc", "lvcreate --type thin-pool"]),
        ] {
            let notes = notes(pool, true);
            assert_eq!(notes.len(), 1, "{notes:?}");
            assert!(says.iter().all(|part| notes[0].contains(part)) && !notes[0].contains('\n'), "{notes:?}");
        }
        assert!(notes(&[("data_percent", "1.00")], false)[0].contains("thin_pool_autoextend_threshold"));
    }
}
