//! Constants with their docs, read from their source: what the documents say of bounds and codes is what is compiled.

use anyhow::Context as _;

/// A constant: its name, what its doc says, and its value as it is written.
pub(super) struct Constant {
    pub(super) name: String,
    pub(super) about: String,
    value: String,
}

/// The documented constants of a source that others see, in their order.
pub(super) fn constants(source: &str) -> Vec<Constant> {
    let mut about = String::new();
    let mut found = Vec::new();
    for line in source.lines().map(str::trim) {
        if let Some(words) = line.strip_prefix("///") {
            about = format!("{about} {}", words.trim()).trim().to_owned();
            continue;
        }
        let constant = line.strip_prefix("pub").and_then(|it| it.split_once("const ")?.1.split_once(": "));
        if let Some((name, rest)) = constant
            && let Some(value) = rest.split_once(" = ").and_then(|it| it.1.strip_suffix(';'))
        {
            found.push(Constant { name: name.to_owned(), about: about.clone(), value: value.to_owned() });
        }
        about.clear();
    }
    found
}

impl Constant {
    /// Its value with its unit, as a person reads it.
    ///
    /// # Errors
    /// When it is written in a way that this does not read.
    pub(super) fn shown(&self) -> anyhow::Result<String> {
        let unknown = || format!("{} is {}, which nobody here reads", self.name, self.value);
        let time =
            self.value.strip_prefix("Duration::from_").and_then(|it| it.strip_suffix(')')?.split_once('('));
        if let Some((unit, number)) = time {
            let number = product(number).with_context(unknown)?;
            return Ok(match unit {
                "micros" => format!("{number} µs"),
                "millis" => milliseconds(number),
                _ => milliseconds(number * 1000),
            });
        }
        let number = product(&self.value).with_context(unknown)?;
        Ok(match self.name.rsplit('_').next() {
            Some("MS") => milliseconds(number),
            Some("BYTES" | "UNREAD") => bytes(number),
            _ => number.to_string(),
        })
    }
}

fn product(text: &str) -> Option<u64> {
    text.split('*').map(|it| it.trim().replace('_', "").parse::<u64>().ok()).product()
}

fn milliseconds(it: u64) -> String {
    match it {
        _ if it.is_multiple_of(60_000) => format!("{} min", it / 60_000),
        _ if it.is_multiple_of(1000) => format!("{} s", it / 1000),
        _ => format!("{it} ms"),
    }
}

fn bytes(it: u64) -> String {
    const MIB: u64 = 1024 * 1024;
    match it {
        _ if it.is_multiple_of(MIB) => format!("{} MiB", it / MIB),
        _ if it.is_multiple_of(1024) => format!("{} KiB", it / 1024),
        _ => format!("{it} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_is_read_with_its_doc_and_its_unit() {
        let source = "/// One\n/// thing.\npub(crate) const A_BYTES: usize = 20 * 1024 * 1024;\n\n/// Not told.\nconst B: u8 = 1;\n\
                      /// A while.\npub const C: Duration = Duration::from_secs(10 * 60);\npub const D: u16 = 4_001;\n\
                      /// Soon.\npub const E_MS: u64 = 1500;\n/// Odd.\npub const F: X = X { y: 1 };";
        let found = constants(source);
        let told: Vec<_> = found.iter().map(|it| (it.about.as_str(), it.shown().ok())).collect();
        let some = |it: &str| Some(it.to_owned());
        assert_eq!(
            told,
            [
                ("One thing.", some("20 MiB")),
                ("A while.", some("10 min")),
                ("", some("4001")),
                ("Soon.", some("1500 ms")),
                ("Odd.", None)
            ]
        );
    }
}
