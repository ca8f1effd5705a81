//! Streams of volumes and the trees in them: reading never panics and gives one-line errors, and what a tree in a
//! stream makes stays in its directory.

#![no_main]

use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;

use hull_storage::stream::Incoming;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut stream = data;
    if let Err(error) = Incoming::read(&mut stream, &()) {
        let message = error.to_string();
        assert!(!message.is_empty() && !message.chars().any(char::is_control), "{message:?}");
    }
    let top = Path::new("/dev/shm").join(format!("hull-fuzz-{}", std::process::id()));
    let target = top.join("target");
    std::fs::create_dir_all(&target).expect("a directory in memory");
    let mut tree = data;
    if let Err(error) = hull_treecopy::unpack_tree(&mut tree, File::open(&target).expect("it is there").as_fd(), &()) {
        let message = error.to_string();
        assert!(!message.is_empty() && !message.chars().any(char::is_control), "{message:?}");
    }
    let entries = std::fs::read_dir(&top).expect("it is there").count();
    assert_eq!(entries, 1, "something was made beside the target");
    let options = hull_treecopy::RemoveOptions::default();
    let removed = hull_treecopy::remove_tree(File::open(&top).expect("it is there").as_fd(), "target".as_ref(), &options);
    removed.expect("what was made can be removed");
});
