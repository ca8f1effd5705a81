//! LXC container configuration: parse, query, change and write, comments kept.
