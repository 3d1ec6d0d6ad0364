//! Ports for browsers: out of the range of the instance's plan, around everything that anybody else needs or has.
//!
//! The ranges of neighbours overlap: with bases 20 apart, one instance's range holds the base ports of the next four.
//! So no port is derived; each is looked for, claimed, and held until the browser has it.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with, sockopt};

use crate::claims::{Claim, Claims, Lease, Refused};
use crate::listener::{self, Listener};
use crate::ports::{Neighbour, Plan, Role};

/// A port for one browser. Dropping it gives the port back.
#[derive(Debug)]
pub struct CdpPort {
    port: u16,
    /// Keeps the port from being given out by the kernel, until the browser listens on it.
    placeholder: Option<OwnedFd>,
    _claim: Lease,
}

/// Every port of the range is somebody's.
#[derive(Debug, thiserror::Error)]
#[error(
    "no browser port is free from {first} to {last}: close a browser, or pin a port with browser.profiles.NAME.cdpPort"
)]
pub struct NoneFree {
    first: u16,
    last: u16,
}

/// Finds a port for a browser of the instance that `claims` belongs to, the lowest that is left. `own` are the ports
/// that the instance's own config pins.
///
/// # Errors
/// When none is left.
pub fn allocate(
    claims: &Claims,
    plan: &Plan,
    own: &[u16],
    others: &[Neighbour],
) -> Result<CdpPort, NoneFree> {
    let needed = |port: &u16| own.contains(port) || others.iter().any(|it| it.role_of(*port).is_some());
    let mut candidates = plan.cdp.clone().filter(|it| !needed(it));
    let none = NoneFree { first: *plan.cdp.start(), last: *plan.cdp.end() };
    candidates.find_map(|port| take(claims, port)).ok_or(none)
}

/// Takes the port that a config pins.
///
/// # Errors
/// When another gateway holds it.
pub fn pinned(claims: &Claims, port: u16) -> Result<CdpPort, Refused> {
    let claim = claims.lease(Claim::Port(Role::Pinned, port))?;
    Ok(CdpPort { port, placeholder: hold(port).ok(), _claim: claim })
}

fn take(claims: &Claims, port: u16) -> Option<CdpPort> {
    let claim = claims.lease(Claim::Port(Role::Browser, port)).ok()?;
    let placeholder = hold(port).ok()?;
    Some(CdpPort { port, placeholder: Some(placeholder), _claim: claim })
}

/// Binds the port without listening on it. Whoever binds with `SO_REUSEADDR`, as browsers do, may still listen; the
/// kernel hands it to nobody.
fn hold(port: u16) -> rustix::io::Result<OwnedFd> {
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    bind(&socket, &SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    Ok(socket)
}

impl CdpPort {
    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// To be called when the browser says that it listens: `is_browser` looks at who does. A stranger may have been
    /// quicker, and then this port is not to be used.
    ///
    /// # Errors
    /// Says who listens there instead; nobody is `None`.
    pub fn handed_over(&mut self, is_browser: impl Fn(&Listener) -> bool) -> Result<(), Option<Listener>> {
        match listener::who(self.port) {
            Some(it) if is_browser(&it) => {
                self.placeholder = None;
                Ok(())
            }
            other => Err(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::net::TcpListener;
    use std::path::Path;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Barrier, Mutex};

    use super::*;
    use crate::ports::SPACING;

    const INSTANCES: u16 = 10;
    const BROWSERS: usize = 8;

    fn claims(home: &Path, name: &str) -> Claims {
        Claims::new(&home.join("claims"), name, &home.join(name))
    }

    /// A first base with room for all instances, on which nothing listens now. Tests of other processes use others.
    fn first_base() -> u16 {
        let from = 10_000 + u16::try_from(std::process::id() % 16).expect("below 16") * 500;
        let range = |base: u16| base..base + INSTANCES * SPACING + 110;
        (0..4)
            .map(|it| from + it * 100)
            .find(|base| !range(*base).any(listener::is_bound))
            .expect("a few hundred ports in a row are free")
    }

    fn neighbours(first: u16, but: u16) -> Vec<Neighbour> {
        let others = (0..INSTANCES).filter(|it| *it != but);
        let plan = |it: u16| Plan::of(first + it * SPACING).expect("good");
        others.map(|it| Neighbour { name: it.to_string(), plan: plan(it), pinned: Vec::new() }).collect()
    }

    #[test]
    fn a_port_that_is_pinned_planned_claimed_or_bound_is_passed_over() {
        let home = tempfile::tempdir().expect("a folder");
        let first = first_base();
        let plan = Plan::of(first).expect("good");
        let range = *plan.cdp.start();
        let neighbour =
            Neighbour { name: "b".into(), plan: Plan::of(range + 1).expect("good"), pinned: vec![range + 2] };
        let stranger = TcpListener::bind((Ipv4Addr::LOCALHOST, range + 4)).expect("free");
        let (a, b) = (claims(home.path(), "a"), claims(home.path(), "b"));
        let theirs = b.lease(Claim::Port(Role::Browser, range + 6)).expect("free");
        // +1, +3 and +5 are the neighbour's own, +2 is what it pinned.
        let given: Vec<_> = (0..3)
            .map(|_| allocate(&a, &plan, &[range + 7], std::slice::from_ref(&neighbour)).expect("free"))
            .collect();
        let ports: Vec<_> = given.iter().map(CdpPort::port).collect();
        assert_eq!(ports, [range, range + 8, range + 9]);
        drop((stranger, theirs, given));
        let again = allocate(&a, &plan, &[], &[neighbour]).expect("free");
        assert_eq!(again.port(), range, "what is given back is free again");
    }

    #[test]
    fn a_stranger_who_was_quicker_is_told_from_the_browser() {
        let home = tempfile::tempdir().expect("a folder");
        let a = claims(home.path(), "a");
        let plan = Plan::of(first_base()).expect("good");
        let mut port = allocate(&a, &plan, &[], &[]).expect("free");
        assert_eq!(port.handed_over(|_| true), Err(None), "nobody listens yet");
        let browser =
            TcpListener::bind((Ipv4Addr::LOCALHOST, port.port())).expect("the placeholder gives way");
        let own = |it: &Listener| it.pid == Some(std::process::id());
        assert!(port.handed_over(|_| false).expect_err("a stranger").is_some());
        assert_eq!(port.handed_over(own), Ok(()));
        drop(browser);
    }

    /// Ten instances 20 apart start at once; each opens its fixed ports and eight browsers, while strangers take
    /// ports of the range at random.
    #[test]
    fn ten_instances_with_eight_browsers_each_never_collide() {
        let home = tempfile::tempdir().expect("a folder");
        let first = first_base();
        let (barrier, done) = (Barrier::new(usize::from(INSTANCES) + 1), AtomicBool::new(false));
        let all = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            let strangers = scope.spawn(|| {
                barrier.wait();
                strangers(first, &done)
            });
            let instances: Vec<_> = (0..INSTANCES)
                .map(|at| {
                    let (barrier, all, home) = (&barrier, &all, home.path());
                    scope.spawn(move || {
                        let sockets = instance(home, first, at, barrier);
                        all.lock().expect("no panic").extend(sockets);
                    })
                })
                .collect();
            let ended: Vec<_> = instances.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
            done.store(true, Ordering::Relaxed);
            let n_strangers = strangers.join().expect("strangers only take and leave");
            assert!(ended.into_iter().all(|it| it.is_ok()), "an instance found no port");
            assert!(n_strangers > 0, "nobody was in the way");
        });
        let all = all.into_inner().expect("no panic");
        let ports: BTreeSet<u16> = all.iter().map(|it: &(u16, TcpListener, _)| it.0).collect();
        assert_eq!(ports.len(), usize::from(INSTANCES) * (3 + BROWSERS), "all at once, each its own");
    }

    type Open = (u16, TcpListener, Option<CdpPort>);

    fn instance(home: &Path, first: u16, at: u16, barrier: &Barrier) -> Vec<Open> {
        let plan = Plan::of(first + at * SPACING).expect("good");
        let mut claims = claims(home, &at.to_string());
        let others = neighbours(first, at);
        // The fixed ports are held before anybody may take them at random: a gateway that runs has them.
        let fixed = plan.fixed().map(|(role, port)| {
            claims.take(Claim::Port(role, port)).expect("nobody else needs it");
            (port, TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("nobody else has it"), None)
        });
        barrier.wait();
        let mut open: Vec<Open> = fixed.into_iter().collect();
        while open.len() < 3 + BROWSERS {
            let mut port = allocate(&claims, &plan, &[], &others).expect("the range is large enough");
            // The browser: it may find that a stranger was quicker, and is then given another port.
            let Ok(browser) = TcpListener::bind((Ipv4Addr::LOCALHOST, port.port())) else { continue };
            port.handed_over(|it| it.pid == Some(std::process::id())).expect("it listens");
            open.push((port.port(), browser, Some(port)));
        }
        open
    }

    /// Takes ports of the whole range at random and leaves them again, until it is told to stop.
    fn strangers(first: u16, done: &AtomicBool) -> usize {
        let range = INSTANCES * SPACING + 110;
        let mut n_taken = 0;
        let mut held = Vec::new();
        while !done.load(Ordering::Relaxed) {
            let at = u16::from_str_radix(&base::random::hex::<2>(), 16).expect("hex") % range;
            if let Ok(socket) = TcpListener::bind((Ipv4Addr::LOCALHOST, first + at)) {
                n_taken += 1;
                held.push(socket);
            }
            if held.len() > 12 {
                held.clear();
            }
        }
        n_taken
    }
}
