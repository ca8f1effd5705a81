//! Which security modules the running kernel enforces.

/// Whether the kernel runs AppArmor. Reads `/sys/module/apparmor/parameters/enabled`.
pub fn has_apparmor() -> bool {
    std::fs::read("/sys/module/apparmor/parameters/enabled").is_ok_and(|text| text.first() == Some(&b'Y'))
}

/// Whether the kernel runs SELinux: it is then a file system type, and its file system shows an `enforce` file
/// where it has been mounted.
pub fn has_selinux() -> bool {
    std::path::Path::new("/sys/fs/selinux/enforce").exists()
}
