//! End-to-end tests of the installed commands.
