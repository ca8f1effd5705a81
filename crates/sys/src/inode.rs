//! Inode flags, project ids and generation.
