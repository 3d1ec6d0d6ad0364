//! Gzip as fast as the contents allow: what does not get smaller (pictures, archives, models) is stored as it is.
//!
//! One gzip member of deflate blocks that each stand alone and end at a byte, so that every block may be of either
//! kind.

use std::io::{self, Write};

use flate2::{Compress, Compression, Crc, FlushCompress};

/// What is compressed at once.
const BLOCK: usize = 256 * 1024;
/// Of each block, so much is tried.
const SAMPLE: usize = 16 * 1024;
/// A sample that does not get smaller than this many percent of itself is not worth it.
const WORTH: usize = 95;
/// No name, no time; fastest; made on Unix.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 3];
/// An empty deflate block that is the last.
const LAST: [u8; 2] = [3, 0];

/// Compresses what is written to it. Without [`Gzip::finish`] it is cut off.
pub(super) struct Gzip<W> {
    to: W,
    block: Vec<u8>,
    packed: Vec<u8>,
    fast: Compress,
    stored: Compress,
    sum: Crc,
}

impl<W: Write> Gzip<W> {
    /// Begins the stream.
    pub(super) fn begin(mut to: W) -> io::Result<Self> {
        to.write_all(&HEADER)?;
        Ok(Self {
            to,
            block: Vec::with_capacity(BLOCK),
            packed: Vec::with_capacity(BLOCK + BLOCK / 4),
            fast: Compress::new(Compression::fast(), false),
            stored: Compress::new(Compression::none(), false),
            sum: Crc::new(),
        })
    }

    /// Ends the stream.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.put()?;
        self.to.write_all(&LAST)?;
        self.to.write_all(&self.sum.sum().to_le_bytes())?;
        // The length that gzip notes is that modulo 2^32, which is what the sum counts.
        self.to.write_all(&self.sum.amount().to_le_bytes())?;
        Ok(self.to)
    }

    fn put(&mut self) -> io::Result<()> {
        if self.block.is_empty() {
            return Ok(());
        }
        self.sum.update(&self.block);
        let sample = &self.block[..SAMPLE.min(self.block.len())];
        pack(&mut self.fast, sample, &mut self.packed)?;
        let is_worth_it = self.packed.len() * 100 < sample.len() * WORTH;
        match (is_worth_it, sample.len() == self.block.len()) {
            (true, true) => {}
            (true, false) => pack(&mut self.fast, &self.block, &mut self.packed)?,
            (false, _) => pack(&mut self.stored, &self.block, &mut self.packed)?,
        }
        self.block.clear();
        self.to.write_all(&self.packed)
    }
}

impl<W: Write> Write for Gzip<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(BLOCK - self.block.len());
        self.block.extend_from_slice(&bytes[..taken]);
        if self.block.len() == BLOCK {
            self.put()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Deflates a block by itself, up to the end of a byte.
fn pack(how: &mut Compress, block: &[u8], packed: &mut Vec<u8>) -> io::Result<()> {
    how.reset();
    packed.clear();
    loop {
        packed.reserve(SAMPLE);
        let taken = usize::try_from(how.total_in()).map_err(io::Error::other)?;
        how.compress_vec(&block[taken..], packed, FlushCompress::Sync).map_err(io::Error::other)?;
        let is_taken = how.total_in() == block.len() as u64;
        // Room that is left says that all is out.
        if is_taken && packed.len() < packed.capacity() {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn any_mixture_comes_back_and_none_grows_by_much() {
        let mut state = 1_u64;
        let mut noise = |length: usize| -> Vec<u8> {
            let next = |_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                u8::try_from(state >> 56).expect("eight bits")
            };
            (0..length).map(next).collect()
        };
        let text = b"what gets smaller ".repeat(40_000);
        let mixed = [&noise(300_000)[..], &text, &noise(SAMPLE), b"end"].concat();
        for bytes in [&[][..], b"a", &noise(SAMPLE), &noise(2 * BLOCK), &text, &mixed] {
            let mut gzip = Gzip::begin(Vec::new()).expect("begins");
            gzip.write_all(bytes).expect("written");
            let packed = gzip.finish().expect("ends");
            let mut unpacked = Vec::new();
            let mut rest = flate2::bufread::GzDecoder::new(packed.as_slice());
            rest.read_to_end(&mut unpacked).expect("sound");
            assert!(unpacked == bytes && rest.into_inner().is_empty(), "{} bytes", bytes.len());
            assert!(
                packed.len() < bytes.len() + bytes.len() / 500 + 60,
                "{} of {}",
                packed.len(),
                bytes.len()
            );
        }
    }
}
