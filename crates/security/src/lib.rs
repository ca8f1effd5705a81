//! What confines a container: capabilities, resource limits, security modules.

pub mod seccomp;
