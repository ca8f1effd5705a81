//! Test support: builds awkward file trees and compares two trees.
