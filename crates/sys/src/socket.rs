//! Passing descriptors and credentials over unix sockets.
