//! Single keys of a terminal. The terminal is as it was whenever nobody waits for a key, whatever ends the process.

use std::io;
use std::sync::{Mutex, PoisonError};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{
    LocalModes, OptionalActions, QueueSelector, SpecialCodeIndex, Termios, tcflush, tcgetattr, tcsetattr,
};

/// How long the rest of a key's code may take after its first byte: longer, and it was the Esc key.
const REST: Timespec = Timespec { tv_sec: 0, tv_nsec: 40_000_000 };

/// The terminal as it was, while it is otherwise.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// A key that was pressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Letter(char),
    Enter,
    Back,
    Delete,
    Clear,
    Escape,
    Up,
    Down,
    Left,
    Right,
    Home,
    End,
    /// Ctrl-C, Ctrl-D, or the terminal is gone.
    Quit,
    Other,
}

/// The terminal while keys are read one by one.
pub(super) struct Raw(());

impl Raw {
    /// Takes the terminal; `None` where there is none.
    pub(super) fn take() -> Option<Self> {
        let stdin = io::stdin();
        let before = tcgetattr(&stdin).ok()?;
        let mut raw = before.clone();
        raw.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG | LocalModes::IEXTEN);
        raw.special_codes[SpecialCodeIndex::VMIN] = 1;
        raw.special_codes[SpecialCodeIndex::VTIME] = 0;
        *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
        tcsetattr(&stdin, OptionalActions::Now, &raw).ok()?;
        Some(Self(()))
    }

    /// Takes the terminal while nobody is asked: what is typed meanwhile is neither shown nor an answer to whatever is
    /// asked next. Ctrl-C ends the process.
    pub(super) fn quiet() -> Option<Self> {
        let raw = Self::take()?;
        let mut quiet = tcgetattr(io::stdin()).ok()?;
        quiet.local_modes.insert(LocalModes::ISIG);
        tcsetattr(io::stdin(), OptionalActions::Now, &quiet).ok()?;
        Some(raw)
    }

    /// Waits for a key.
    pub(super) fn key(&self) -> Key {
        let Some(first) = byte() else { return Key::Quit };
        match first {
            b'\r' | b'\n' => Key::Enter,
            0x03 | 0x04 => Key::Quit,
            0x7f | 0x08 => Key::Back,
            0x15 => Key::Clear,
            0x01 => Key::Home,
            0x05 => Key::End,
            0x0e => Key::Down,
            0x10 => Key::Up,
            0x1b => escape(),
            0x00..=0x1f => Key::Other,
            _ => letter(first),
        }
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        restore();
    }
}

/// Forgets what was typed and not read.
pub(super) fn forget() {
    let _ = tcflush(io::stdin(), QueueSelector::IFlush);
}

/// Puts the terminal back as it was, where it is not.
pub(super) fn restore() {
    if let Some(before) = BEFORE.lock().unwrap_or_else(PoisonError::into_inner).take() {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &before);
    }
}

fn byte() -> Option<u8> {
    let mut one = [0_u8];
    loop {
        match rustix::io::read(io::stdin(), &mut one) {
            Ok(1) => return Some(one[0]),
            Err(rustix::io::Errno::INTR) => {}
            _ => return None,
        }
    }
}

fn soon() -> Option<u8> {
    let stdin = io::stdin();
    let ready = poll(&mut [PollFd::new(&stdin, PollFlags::IN)], Some(&REST)).ok()?;
    if ready == 0 { None } else { byte() }
}

fn escape() -> Key {
    let Some(b'[' | b'O') = soon() else { return Key::Escape };
    let mut last = soon();
    let first = last;
    // Parameters come before the letter that ends the code.
    while last.is_some_and(|it| it.is_ascii_digit() || it == b';') {
        last = soon();
    }
    match (first, last) {
        (_, Some(b'A')) => Key::Up,
        (_, Some(b'B')) => Key::Down,
        (_, Some(b'C')) => Key::Right,
        (_, Some(b'D')) => Key::Left,
        (_, Some(b'H')) | (Some(b'1' | b'7'), Some(b'~')) => Key::Home,
        (_, Some(b'F')) | (Some(b'4' | b'8'), Some(b'~')) => Key::End,
        (Some(b'3'), Some(b'~')) => Key::Delete,
        _ => Key::Other,
    }
}

fn letter(first: u8) -> Key {
    let more = match first {
        0xc0..=0xdf => 1,
        0xe0..=0xef => 2,
        0xf0..=0xf7 => 3,
        _ => 0,
    };
    let mut bytes = vec![first];
    bytes.extend((0..more).map_while(|_| soon()));
    std::str::from_utf8(&bytes).ok().and_then(|it| it.chars().next()).map_or(Key::Other, Key::Letter)
}
