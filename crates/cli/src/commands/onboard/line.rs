//! A line that is being typed.

use super::keys::Key;

/// Letters, and the place between two of them where the next one goes.
pub(super) struct Line {
    letters: Vec<char>,
    at: usize,
}

impl Line {
    pub(super) fn new(text: &str) -> Self {
        let letters: Vec<char> = text.chars().collect();
        Self { at: letters.len(), letters }
    }

    pub(super) fn text(&self) -> String {
        self.letters.iter().collect()
    }

    pub(super) fn is(&self, text: &str) -> bool {
        self.text() == text
    }

    /// Does what a key means.
    pub(super) fn edit(&mut self, key: Key) {
        match key {
            Key::Letter(letter) => {
                self.letters.insert(self.at, letter);
                self.at += 1;
            }
            Key::Back if self.at > 0 => {
                self.at -= 1;
                self.letters.remove(self.at);
            }
            Key::Delete if self.at < self.letters.len() => {
                self.letters.remove(self.at);
            }
            Key::Clear => {
                self.letters.clear();
                self.at = 0;
            }
            Key::Left => self.at = self.at.saturating_sub(1),
            Key::Right => self.at = (self.at + 1).min(self.letters.len()),
            Key::Home | Key::Up => self.at = 0,
            Key::End | Key::Down => self.at = self.letters.len(),
            Key::Back | Key::Delete | Key::Enter | Key::Escape | Key::Quit | Key::Other => {}
        }
    }

    /// The part around the cursor that fits, and the cursor's column in it. A secret is stars.
    pub(super) fn window(&self, width: usize, secret: bool) -> (String, usize) {
        let first = (self.at + 1).saturating_sub(width);
        let seen = self.letters.iter().skip(first).take(width);
        let seen: String = if secret { seen.map(|_| '*').collect() } else { seen.collect() };
        (seen, self.at - first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_edited_where_the_cursor_is_and_shown_around_it() {
        let mut line = Line::new("ab");
        for key in [Key::Letter('c'), Key::Home, Key::Letter('é'), Key::Right, Key::Back, Key::Delete] {
            line.edit(key);
        }
        assert_eq!(line.text(), "éc");
        line.edit(Key::Clear);
        assert!(line.is(""));
        line.edit(Key::Back);
        let line = Line::new("0123456789");
        assert_eq!(line.window(4, false), ("789".to_owned(), 3));
        assert_eq!(line.window(20, true), ("*".repeat(10), 10));
    }
}
