//! Bytes that nobody can guess, as text.

use std::fmt::Write;

/// `N` random bytes as lower-case hex, `2 * N` characters long.
///
/// # Panics
/// When the system has no random source; nothing secret can be made then.
pub fn hex<const N: usize>() -> String {
    hex_of(&bytes::<N>())
}

/// `N` random bytes.
///
/// # Panics
/// As [`hex`].
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0_u8; N];
    getrandom::fill(&mut bytes).expect("the system's random source answers");
    bytes
}

/// Bytes as lower-case hex.
pub fn hex_of(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn is_as_long_as_asked_and_never_twice_the_same() {
        assert_eq!(super::hex::<24>().len(), 48);
        assert_ne!(super::hex::<24>(), super::hex::<24>());
        assert_eq!(super::hex_of(&[0, 255, 16]), "00ff10");
    }
}
