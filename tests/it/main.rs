//! End-to-end tests: the binary as a user calls it, and the shape of the workspace.

mod layering;
