//! One instance in one file, and back.
