//! The same line again and again: written once, then only how often.

use super::record::Record;

/// Milliseconds after which a repetition is told at the next that comes.
const PAUSE: u64 = 60_000;

/// What has been written last, and how often it came again.
#[derive(Debug, Default)]
pub(super) struct Fold {
    last: Option<Last>,
}

#[derive(Debug)]
struct Last {
    record: Record,
    since: u64,
    told_at: u64,
    repeated: u64,
    told: u64,
}

impl Fold {
    /// What is to be written in the place of a record: nothing, how often the last one came, the record, or both.
    pub(super) fn push(&mut self, record: Record, now: u64) -> Vec<Record> {
        if let Some(last) = self.last.as_mut().filter(|it| it.record == record) {
            last.repeated += 1;
            let is_due = now.saturating_sub(last.told_at) >= PAUSE;
            let is_told = is_due || is_power_of_ten(last.repeated);
            return if is_told { last.tell(now).into_iter().collect() } else { Vec::new() };
        }
        let mut records: Vec<_> = self.end(now).into_iter().collect();
        records.push(record.clone());
        self.last = Some(Last { record, since: now, told_at: now, repeated: 0, told: 0 });
        records
    }

    /// What is yet to be told of the last record, which is then forgotten.
    pub(super) fn end(&mut self, now: u64) -> Option<Record> {
        self.last.take()?.tell(now)
    }
}

impl Last {
    fn tell(&mut self, now: u64) -> Option<Record> {
        if self.repeated == self.told {
            return None;
        }
        self.told = self.repeated;
        self.told_at = now;
        let mut record = self.record.clone();
        record.repeated = Some((self.repeated, self.since));
        Some(record)
    }
}

/// From ten on.
fn is_power_of_ten(count: u64) -> bool {
    count >= 10 && 10_u64.checked_pow(count.ilog10()) == Some(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Level;

    fn record(message: &str) -> Record {
        Record::new(Level::INFO, "a", message)
    }

    #[test]
    fn a_flood_is_a_line_at_each_power_of_ten_and_one_at_its_end() {
        let mut fold = Fold::default();
        let mut told = Vec::new();
        for _ in 0..=12_345 {
            told.extend(fold.push(record("no"), 0));
        }
        for now in [1000, 1000, 70_000] {
            told.extend(fold.push(record("yes"), now));
        }
        told.extend(fold.end(70_000));
        assert_eq!(fold.end(70_000), None);
        let no = |times: u32| format!("[a] no (repeated {times} times since 1970-01-01T00:00:00Z)");
        let expected = [
            "[a] no".to_owned(),
            no(10),
            no(100),
            no(1000),
            no(10_000),
            no(12_345),
            "[a] yes".to_owned(),
            "[a] yes (repeated 2 times since 1970-01-01T00:00:01Z)".to_owned(),
        ];
        assert_eq!(told.iter().map(Record::line).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn another_level_is_another_line() {
        let mut fold = Fold::default();
        for (level, written) in [(Level::WARN, 1), (Level::INFO, 1), (Level::INFO, 0), (Level::WARN, 2)] {
            assert_eq!(fold.push(Record::new(level, "a", "x"), 0).len(), written);
        }
        assert_eq!(fold.end(0), None);
    }
}
