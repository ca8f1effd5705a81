//! Every storage driver of this build, in detection order.
