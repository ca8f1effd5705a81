//! Processes and namespaces: clone3, setns, pidfd, id maps.
