//! What must hold whatever a peer sends: for the fuzzers, and for the test that replays what they came to.

pub mod bodies;
pub mod connect;
pub mod frames;
