//! LXC's command-socket protocol: client, server and discovery of running containers.
