//! Builds an overlayfs mount of any number of layers whose paths may hold any byte.
//!
//! Layers are given as descriptors (`FSCONFIG_SET_FD`, Linux 6.13): no escaping, no length limit, nothing
//! that can be swapped between check and use. Older kernels get text, where `:` `,` and `\` are escaped the
//! way `ovl_parse_layer` reads them, or, where fsconfig would not take that, `/proc/self/fd` names.

use hull_sys::mount::FsContext;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::detached::{open_dir, refuse_mapping, set_data};
use crate::{Result, UpperDir};

/// The layers, opened.
struct Layers {
    lower: Vec<OwnedFd>,
    upper: Option<(OwnedFd, Option<OwnedFd>)>,
}

/// Builds the mount.
///
/// Owners cannot be mapped: overlayfs has no idmapped mounts, and on layers that are, the mounter himself, who makes
/// the work directory, would have no owner there.
pub(crate) fn build(
    lower: &[PathBuf],
    upper: Option<&UpperDir>,
    data: &[String],
    attributes: MountAttrFlags,
    userns: Option<BorrowedFd<'_>>,
) -> Result<OwnedFd> {
    refuse_mapping("overlay", userns)?;
    let layers = Layers::open(lower, upper)?;
    match by_descriptor(&layers, data, attributes) {
        // EINVAL is how a kernel before 6.13 answers to an option that is a descriptor, and EOPNOTSUPP one before 6.5.
        Err(e) if matches!(e.errno(), Errno::INVAL | Errno::OPNOTSUPP) => {
            by_text(lower, upper, &layers, data, attributes).map_err(|_| e)
        }
        other => other,
    }
}

impl Layers {
    fn open(lower: &[PathBuf], upper: Option<&UpperDir>) -> Result<Self> {
        let lower = lower.iter().map(|l| open_dir(l)).collect::<Result<Vec<_>>>()?;
        let upper = match upper {
            Some(dirs) => Some((open_dir(&dirs.upper)?, dirs.work.as_deref().map(open_dir).transpose()?)),
            None => None,
        };
        Ok(Self { lower, upper })
    }
}

fn by_descriptor(layers: &Layers, data: &[String], attributes: MountAttrFlags) -> Result<OwnedFd> {
    let context = FsContext::open("overlay")?;
    context.set("source", OsStr::new("overlay"))?;
    layers.lower.iter().try_for_each(|l| context.set_fd("lowerdir+", l))?;
    if let Some((upper, work)) = &layers.upper {
        context.set_fd("upperdir", upper)?;
        work.iter().try_for_each(|w| context.set_fd("workdir", w))?;
    }
    set_data(&context, data)?;
    context.mount(attributes)
}

fn by_text(
    lower: &[PathBuf],
    upper: Option<&UpperDir>,
    layers: &Layers,
    data: &[String],
    attributes: MountAttrFlags,
) -> Result<OwnedFd> {
    let context = FsContext::open("overlay")?;
    context.set("source", OsStr::new("overlay"))?;
    let short = |path: &Path, fd: BorrowedFd<'_>| -> OsString {
        let escaped = escape(path.as_os_str());
        if fits(&escaped) { escaped } else { hull_sys::fd::proc_path(fd).into_os_string() }
    };
    let all: Vec<OsString> = lower.iter().map(|l| escape(l.as_os_str())).collect();
    let mut text = all.join(OsStr::new(":"));
    if !fits(&text) {
        let named: Vec<OsString> =
            layers.lower.iter().map(|l| hull_sys::fd::proc_path(l).into_os_string()).collect();
        text = named.join(OsStr::new(":"));
    }
    context.set("lowerdir", &text)?;
    if let (Some(dirs), Some((upper, work))) = (upper, &layers.upper) {
        context.set("upperdir", &short(&dirs.upper, upper.as_fd()))?;
        if let (Some(path), Some(fd)) = (&dirs.work, work) {
            context.set("workdir", &short(path, fd.as_fd()))?;
        }
    }
    set_data(&context, data)?;
    context.mount(attributes)
}

/// Whether fsconfig(2) takes the value: at most 255 bytes, and before Linux 6.5, where it made one text of all options,
/// no comma.
fn fits(value: &OsStr) -> bool {
    value.len() < 256 && !value.as_bytes().contains(&b',')
}

/// Puts a backslash before what overlayfs reads as a separator in a layer list.
fn escape(path: &OsStr) -> OsString {
    let escaped = path.as_bytes().iter().flat_map(|&b| {
        let guard = matches!(b, b':' | b',' | b'\\').then_some(b'\\');
        guard.into_iter().chain([b])
    });
    OsString::from_vec(escaped.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_are_escaped() {
        assert_eq!(escape(OsStr::new("/a:b,c\\d e")), OsStr::new("/a\\:b\\,c\\\\d e"));
    }
}
