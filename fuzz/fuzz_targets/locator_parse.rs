//! Locators: reading never panics and looks at nothing but bare paths; what is read prints as it was, survives the
//! journal's spelling, and the pure functions of every driver agree with one another about it.

#![no_main]

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use hull_storage::{Locator, Settings, TxId};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let registry = hull_drivers::builtin();
    let text = OsStr::from_bytes(data);
    // A bare path would be looked up on this machine.
    if data.first() == Some(&b'/') {
        return;
    }
    let at = match registry.locate(text) {
        Ok(at) => at,
        Err(error) => {
            let message = error.to_string();
            assert!(!message.is_empty() && !message.chars().any(char::is_control), "{message:?}");
            return;
        }
    };
    let again = registry.locate(&at.to_os_string()).expect("what is printed can be read");
    assert_eq!(at, again);
    let spelled = String::from(at.clone());
    assert_eq!(Locator::try_from(spelled).expect("what is spelled can be read"), at);
    let Ok(registration) = registry.resolve(at.driver().as_str()) else { return };
    let driver = (registration.open)(&Settings::default());
    // None of these looks at anything; none may panic.
    let tx = TxId(7);
    if let Ok(place) = driver.placement(&at) {
        for to in [place.staged(tx), place.doomed(tx)] {
            if let Ok(layout) = driver.new_layout(&to, None) {
                assert!(layout.parts.iter().all(|part| part.carries(tx)), "staged names prove whose they are");
            }
        }
    }
    if let Ok(moved) = driver.rebased(&at, Path::new("/lxc/c1"), Path::new("/lxc/c2")) {
        driver.rebased(&moved, Path::new("/lxc/c2"), Path::new("/lxc/c1")).expect("a rebased locator can be rebased");
    }
});
