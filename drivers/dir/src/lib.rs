//! Hull storage driver: dir.
