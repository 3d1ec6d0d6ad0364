//! Pauses between tries: each twice the last, up to a bound.

use std::time::Duration;

/// An endless series of growing pauses. Deterministic: who needs jitter adds it.
#[derive(Debug, Clone)]
pub struct Backoff {
    next: Duration,
    longest: Duration,
}

impl Backoff {
    /// Starts at `first` and doubles up to `longest`.
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self { next: first.min(longest), longest }
    }

    /// The pause to take now. A server's own wish (`retry-after`) goes before our plan when it is longer.
    pub fn pause(&mut self, wished: Option<Duration>) -> Duration {
        let planned = self.next;
        self.next = (planned * 2).min(self.longest);
        wished.map_or(planned, |it| it.max(planned))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_the_bound_and_yields_to_a_longer_wish() {
        let mut it = Backoff::new(Duration::from_millis(100), Duration::from_millis(300));
        let pauses: Vec<_> = (0..4).map(|_| it.pause(None).as_millis()).collect();
        assert_eq!(pauses, [100, 200, 300, 300]);
        assert_eq!(it.pause(Some(Duration::from_secs(2))).as_millis(), 2000);
        assert_eq!(it.pause(Some(Duration::from_millis(1))).as_millis(), 300);
    }
}
