//! Numbers for stories that are made up as they go: the same ones for the same seed.

/// What they are made from, unless this variable says otherwise.
pub(crate) const SEED: (&str, u64) = ("OPENCLAW_TEST_SEED", 20_000);

/// xorshift64, which is enough to pick deeds.
pub(crate) struct Random(u64);

impl Random {
    /// The numbers of this run, and its seed, which a failure must tell.
    #[expect(clippy::disallowed_methods, reason = "a test asks its own surroundings")]
    pub(crate) fn seeded() -> (Random, u64) {
        let seed = std::env::var(SEED.0).ok().and_then(|it| it.parse().ok()).unwrap_or(SEED.1);
        // Its first numbers tell little.
        (Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1), seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// A number below `limit`, which must not be 0.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        let limit = u64::try_from(limit).expect("small");
        usize::try_from(self.next() % limit).expect("small")
    }
}
