//! Starts, supervises and enters containers.
