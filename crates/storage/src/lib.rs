//! Volumes on any backing store: clone, snapshot and mount, safe against crashes at any point.
