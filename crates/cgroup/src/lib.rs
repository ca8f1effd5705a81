//! Places a container in cgroup v1 and v2 hierarchies and sets its limits.
