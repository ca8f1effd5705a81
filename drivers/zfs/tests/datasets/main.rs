//! What only zfs has, beyond the suite.

mod on_a_pool;
