//! A stream that only a passphrase opens. The module above documents its bytes.

use std::io::{self, Read, Write};
use std::num::NonZeroU32;

use base::{Secret, random};
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use ring::pbkdf2;

const MAGIC: &[u8; 8] = b"OCsecret";
const FORMAT: u8 = 1;
const CIPHER: u8 = 1;
const HEADER: usize = 36;
const CHUNK: usize = 64 * 1024;
const TAG: usize = 16;

/// Rounds for what is sealed now, as is advised for PBKDF2 with SHA-256.
const ROUNDS: u32 = 600_000;
/// Fewer were never written; more than these would keep a person waiting for nothing.
const ROUNDS_READ: std::ops::RangeInclusive<u32> = ROUNDS..=10_000_000;

/// Why a stream does not open.
#[derive(Debug)]
pub(super) enum Unopened {
    /// With another passphrase it might.
    Passphrase,
    /// It is none of ours, or cannot be read.
    Broken(String),
}

/// Seals what is written to it. Without [`Sealer::finish`] nobody opens it.
pub(super) struct Sealer<W> {
    to: W,
    keys: Keys,
    chunk: Vec<u8>,
}

/// Reads what was sealed.
pub(super) struct Opener<R> {
    from: R,
    keys: Keys,
    chunk: Vec<u8>,
    at: usize,
    is_last: bool,
}

struct Keys {
    key: LessSafeKey,
    header: [u8; HEADER],
    number: u64,
}

impl Keys {
    fn of(header: [u8; HEADER], passphrase: &Secret) -> Result<Self, String> {
        let rounds = u32::from_be_bytes(header[10..14].try_into().expect("four bytes"));
        if &header[..8] != MAGIC || header[8] != FORMAT || header[9] != CIPHER {
            return Err("it is sealed in a way that this version does not know".to_owned());
        }
        let rounds = NonZeroU32::new(rounds)
            .filter(|it| ROUNDS_READ.contains(&it.get()))
            .ok_or_else(|| format!("it asks for {rounds} rounds"))?;
        let mut key = [0; 32];
        let text = passphrase.expose().as_bytes();
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, &header[14..30], text, &mut key);
        let key = UnboundKey::new(&CHACHA20_POLY1305, &key).expect("the cipher's keys have 32 bytes");
        Ok(Self { key: LessSafeKey::new(key), header, number: 0 })
    }

    /// Each number once: the key is another for each stream, as its salt is.
    fn nonce(&mut self, is_last: bool) -> Nonce {
        let mut nonce = [0; 12];
        nonce[..6].copy_from_slice(&self.header[30..]);
        nonce[6..11].copy_from_slice(&self.number.to_be_bytes()[3..]);
        nonce[11] = u8::from(is_last);
        self.number += 1;
        Nonce::assume_unique_for_key(nonce)
    }
}

impl<W: Write> Sealer<W> {
    /// Begins a stream that this passphrase opens.
    pub(super) fn begin(mut to: W, passphrase: &Secret) -> io::Result<Self> {
        let mut header = [0; HEADER];
        header[..8].copy_from_slice(MAGIC);
        header[8..10].copy_from_slice(&[FORMAT, CIPHER]);
        header[10..14].copy_from_slice(&ROUNDS.to_be_bytes());
        header[14..].copy_from_slice(&random::bytes::<22>());
        to.write_all(&header)?;
        let keys = Keys::of(header, passphrase).map_err(io::Error::other)?;
        Ok(Self { to, keys, chunk: Vec::with_capacity(CHUNK + TAG) })
    }

    /// Ends the stream.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.put(true)?;
        Ok(self.to)
    }

    fn put(&mut self, is_last: bool) -> io::Result<()> {
        let nonce = self.keys.nonce(is_last);
        let header = Aad::from(self.keys.header);
        let sealed = self.keys.key.seal_in_place_append_tag(nonce, header, &mut self.chunk);
        sealed.map_err(|_| io::Error::other("the cipher takes no more"))?;
        self.to.write_all(&self.chunk)?;
        self.chunk.clear();
        Ok(())
    }
}

impl<W: Write> Write for Sealer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(CHUNK - self.chunk.len());
        self.chunk.extend_from_slice(&bytes[..taken]);
        if self.chunk.len() == CHUNK {
            self.put(false)?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<R: Read> Opener<R> {
    /// Opens the stream up to its first chunk, which tells whether the passphrase is right.
    pub(super) fn begin(mut from: R, passphrase: &Secret) -> Result<Self, Unopened> {
        let mut header = [0; HEADER];
        from.read_exact(&mut header).map_err(|it| Unopened::Broken(it.to_string()))?;
        let keys = Keys::of(header, passphrase).map_err(Unopened::Broken)?;
        let mut opener = Self { from, keys, chunk: Vec::new(), at: 0, is_last: false };
        opener.next().map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => Unopened::Passphrase,
            _ => Unopened::Broken(error.to_string()),
        })?;
        Ok(opener)
    }

    fn next(&mut self) -> io::Result<()> {
        self.chunk.clear();
        self.at = 0;
        (&mut self.from).take((CHUNK + TAG) as u64).read_to_end(&mut self.chunk)?;
        self.is_last = self.chunk.len() < CHUNK + TAG;
        let nonce = self.keys.nonce(self.is_last);
        let header = Aad::from(self.keys.header);
        let opened = self.keys.key.open_in_place(nonce, header, &mut self.chunk);
        let length = opened.map(|it| it.len());
        let length =
            length.map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "a chunk does not open"))?;
        self.chunk.truncate(length);
        Ok(())
    }
}

impl<R: Read> Read for Opener<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.at == self.chunk.len() {
            if self.is_last {
                return Ok(0);
            }
            self.next()?;
        }
        let taken = into.len().min(self.chunk.len() - self.at);
        into[..taken].copy_from_slice(&self.chunk[self.at..self.at + taken]);
        self.at += taken;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text).expect("not empty")
    }

    fn sealed(bytes: &[u8]) -> Vec<u8> {
        let mut sealer = Sealer::begin(Vec::new(), &secret("right")).expect("begins");
        sealer.write_all(bytes).expect("written");
        sealer.finish().expect("ends")
    }

    fn open(sealed: &[u8], passphrase: &str) -> Result<Vec<u8>, Unopened> {
        let mut opener = Opener::begin(sealed, &secret(passphrase))?;
        let mut bytes = Vec::new();
        opener.read_to_end(&mut bytes).map_err(|it| Unopened::Broken(it.to_string()))?;
        Ok(bytes)
    }

    #[test]
    fn comes_back_at_every_length_and_only_with_its_passphrase() {
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK] {
            let bytes: Vec<u8> = (0..length).map(|it| u8::try_from(it % 251).expect("small")).collect();
            assert_eq!(open(&sealed(&bytes), "right").expect("opens"), bytes, "{length}");
        }
        let sealed = sealed(b"hunter2");
        assert!(matches!(open(&sealed, "wrong"), Err(Unopened::Passphrase)));
        assert!(!sealed.windows(7).any(|it| it == b"hunter2"));
    }

    #[test]
    fn nothing_can_be_changed_cut_or_weakened() {
        let whole = sealed(&vec![7; 2 * CHUNK]);
        for at in [10, 14, 30, HEADER, HEADER + CHUNK + TAG, whole.len() - 1] {
            let mut altered = whole.clone();
            altered[at] ^= 1;
            assert!(open(&altered, "right").is_err(), "byte {at}");
        }
        for length in [0, HEADER, HEADER + CHUNK, HEADER + CHUNK + TAG, whole.len() - TAG, whole.len() - 1] {
            assert!(open(&whole[..length], "right").is_err(), "cut to {length}");
        }
        let mut weak = whole;
        weak[10..14].copy_from_slice(&1_u32.to_be_bytes());
        assert!(matches!(open(&weak, "right"), Err(Unopened::Broken(_))));
    }
}
