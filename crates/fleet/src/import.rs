//! Takes over what the original left in its state folder.
