//! Descriptors: names for messages, reopening.
