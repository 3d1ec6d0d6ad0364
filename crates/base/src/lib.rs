//! What every other crate may use and none of it knows our domain: replace a file, back off, hide a secret,
//! tell the time.

pub mod backoff;
pub mod clock;
pub mod file;
pub mod mask;
pub mod random;
pub mod secret;
pub mod text;

pub use backoff::Backoff;
pub use secret::Secret;
