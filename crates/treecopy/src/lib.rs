//! Copies and removes file trees: every attribute kept, blocks shared where they can be.
//!
//! [`copy_tree`] copies what `rsync -aHAXS --numeric-ids` preserves, and file capabilities, without
//! following a symlink or resolving a path from outside the two directories it is given. [`remove_tree`]
//! removes a tree with all that can lie in its way, and [`measure_tree`] says how large one is. [`copy_image`] copies
//! the blocks of a file system image or device. [`pack_tree`] writes a tree to a pipe, and [`unpack_tree`] makes one of it.
//! [`set_tree_project`] charges one to a project quota.
//!
//! ```
//! use std::ffi::OsStr;
//! use std::fs::File;
//! use std::ops::ControlFlow;
//! use std::os::fd::AsFd;
//!
//! use hull_treecopy::{CopyOptions, RemoveOptions, copy_tree, measure_tree, remove_tree};
//!
//! # let top = tempfile::tempdir()?;
//! # let top = top.path();
//! # std::fs::create_dir_all(top.join("from/etc"))?;
//! # std::fs::write(top.join("from/etc/hostname"), "hull")?;
//! # std::fs::create_dir(top.join("to"))?;
//! let (from, to) = (File::open(top.join("from"))?, File::open(top.join("to"))?);
//! let total = measure_tree(from.as_fd())?.entries;
//! let show = |entries: u64, bytes: u64| {
//!     eprintln!("{entries} of {total} entries, {bytes} bytes");
//!     ControlFlow::Continue(())
//! };
//! let copied = copy_tree(from.as_fd(), to.as_fd(), &CopyOptions { observer: &show, ..Default::default() })?;
//! assert_eq!((copied.entries, copied.bytes), (2, 4));
//!
//! let top = File::open(top)?;
//! remove_tree(top.as_fd(), OsStr::new("to"), &RemoveOptions::default())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # How it stays small
//!
//! A tree is walked depth first on a stack of levels of which at most 32 per thread are open, fewer when
//! RLIMIT_NOFILE is low. A level that falls out of this window remembers its position, and is opened again
//! through `..` of the level below, which must lead to the same inode. A level takes some 400 bytes, a thread half a
//! megabyte. Hard links take no memory: see `links.rs`. There are two exceptions: [`measure_tree`] keeps a
//! table of inodes some of whose links were not met yet, and [`draft_tree`] one of all inodes, of bounded size.
//!
//! # A tree that changes
//!
//! Its owner may be hostile. Every entry is opened without following symlinks, examined through the
//! descriptor, and only then read; fifos and devices are never opened for reading. So what is copied was
//! in the tree, and what is removed was there too. An entry that vanished is counted and skipped. A directory that
//! is moved while a deep walk is below it ends the operation with [`ErrorKind::Changed`].
//!
//! A tree that is in use is copied in two passes: [`draft_tree`] while it changes, which leaves out what it cannot get, and
//! [`update_tree`] while it is still, which copies what changed.
//!
//! # What it does not do
//!
//! It keeps no inode flags, project ids, birth or change times, and fills no holes that were allocated but
//! not written. It syncs nothing. It does not continue an interrupted copy. It does not clear the read-only
//! property of a nested btrfs subvolume.
mod attributes;
mod copy;
mod crew;
mod data;
mod descend;
mod dir;
mod draft;
mod entry;
mod error;
mod idshift;
mod image;
mod large;
mod limits;
mod links;
mod measure;
mod observe;
mod pack;
mod project;
mod record;
mod remove;
mod renew;
mod unlock;
mod unpack;
mod update;
mod walk;
mod xattr;

pub use copy::{Copied, CopyOptions, Keep, copy_tree};
pub use draft::{Draft, draft_tree};
pub use error::{Error, ErrorKind, Result};
pub use idshift::{IdRange, IdShift, InvalidIdShift};
pub use image::{ImageOptions, copy_image, image_size};
pub use measure::{Measured, measure_tree};
pub use observe::Observer;
pub use pack::{Packed, pack_tree};
pub use project::set_tree_project;
pub use remove::{RemoveOptions, Removed, remove_tree};
pub use unpack::unpack_tree;
pub use update::{Updated, update_tree};
