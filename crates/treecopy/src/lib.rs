//! Copies and removes file trees: every attribute kept, blocks shared where they can be.
