//! The mount calls of kernels 5.2 and later that rustix lacks.
