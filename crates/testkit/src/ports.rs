//! Base ports that no other test, in this process or in another, uses at the same time.

use std::fs::{self, File, OpenOptions};
use std::net::{Ipv4Addr, TcpListener};
use std::process;

const FIRST: u16 = 20_000;
const STEP: u16 = 200;
const N_BASES: u16 = 50;
/// The ports of a base that an instance listens on, as distances from it.
const USED: [u16; 3] = [0, 2, 4];

/// A base port that is this test's alone until the value is dropped.
#[derive(Debug)]
#[must_use = "the port is given to another test as soon as this is dropped"]
pub struct Base {
    port: u16,
    /// Locked for as long as it is open.
    _claim: File,
}

/// Claims a base port from 20000 to 29800, a multiple of 200, whose ports +0, +2 and +4 can be bound now.
///
/// # Panics
/// When all fifty are taken.
pub fn free_base() -> Base {
    let folder = std::env::temp_dir().join("openclaw-testkit-ports");
    fs::create_dir_all(&folder).expect("the folder for temporary files is writable");
    // Each process begins elsewhere, so that a port that was just left is not the first to be tried again.
    let start = process::id() % u32::from(N_BASES);
    let start = u16::try_from(start).expect("the remainder is below fifty");
    let candidates = (0..N_BASES).map(|it| FIRST + (start + it) % N_BASES * STEP);
    for port in candidates {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(folder.join(port.to_string()))
            .expect("the folder for temporary files is writable");
        if file.try_lock().is_ok() && USED.iter().all(|it| is_free(port + it)) {
            return Base { port, _claim: file };
        }
    }
    panic!("all {N_BASES} base ports are taken: look for gateways that an aborted test left behind");
}

impl Base {
    /// The port to start an instance on.
    pub fn port(&self) -> u16 {
        self.port
    }
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bases_that_are_held_at_the_same_time_differ_and_are_free() {
        let bases: Vec<Base> = (0..4).map(|_| free_base()).collect();
        let mut ports: Vec<u16> = bases.iter().map(Base::port).collect();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 4);
        assert!(ports.iter().all(|it| (20_000..30_000).contains(it) && it % 200 == 0), "{ports:?}");
        assert!(ports.iter().all(|it| is_free(*it)));
    }

    #[test]
    fn a_base_whose_canvas_port_is_in_use_is_passed_over() {
        let first = free_base();
        let port = first.port();
        let held = TcpListener::bind((Ipv4Addr::LOCALHOST, port + 4)).expect("it was free");
        drop(first);
        let all: Vec<Base> = (0..3).map(|_| free_base()).collect();
        assert!(all.iter().all(|it| it.port() != port));
        drop(held);
    }
}
