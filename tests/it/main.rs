//! End-to-end tests: the binary as a user calls it, and the shape of the workspace.

mod bad_input;
mod interrupted;
mod journey;
mod layering;
mod outcome;
mod sandbox;
mod slt;
mod wine;
