//! The ports of an instance: one pure plan from its base. The only place with a port number of ours.

use std::fmt;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

/// The base port of the instance without a profile.
pub const DEFAULT_BASE: u16 = 18789;
/// The base port of `--dev`.
pub const DEV_BASE: u16 = 19001;
/// What is kept between the bases that we propose.
pub const SPACING: u16 = 20;
/// The browser control service listens here, on loopback only.
const CONTROL: u16 = 2;
/// The canvas host listens here.
const CANVAS: u16 = 4;
/// Browsers are given ports from control + 9 to control + 108.
const CDP: RangeInclusive<u16> = CONTROL + 9..=CONTROL + 108;
/// What to do where a pinned port is somebody else's.
pub const PIN_ANOTHER: &str =
    "pin another port in browser.profiles.NAME.cdpPort or canvasHost.port, or none: one is found then";
/// From here on, the kernel hands ports to outgoing connections.
const EPHEMERAL: u16 = 32_768;

/// Everything an instance may listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The gateway: WebSocket and HTTP.
    pub base: u16,
    /// The browser control service.
    pub control: u16,
    /// The canvas host.
    pub canvas: u16,
    /// What browsers are given, those that others hold left out.
    pub cdp: RangeInclusive<u16>,
}

/// A base that leaves no room for the plan.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "port {0} cannot be a base port: the browser ports of the instance would end above 65535; \
     take one from 1 to {last}", last = u16::MAX - CDP.end()
)]
pub struct BadBase(pub u16);

impl Plan {
    /// The plan of a base port.
    ///
    /// # Errors
    /// When the base is 0, or so high that the last browser port would not exist.
    pub fn of(base: u16) -> Result<Self, BadBase> {
        let last = base.checked_add(*CDP.end()).filter(|_| base > 0).ok_or(BadBase(base))?;
        Ok(Self { base, control: base + CONTROL, canvas: base + CANVAS, cdp: base + CDP.start()..=last })
    }

    /// The ports that the instance needs as they are, with their roles: no other will do.
    pub fn fixed(&self) -> [(Role, u16); 3] {
        [(Role::Gateway, self.base), (Role::Control, self.control), (Role::Canvas, self.canvas)]
    }
}

/// What a port is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Role {
    /// The base port.
    Gateway,
    /// base + 2.
    Control,
    /// base + 4.
    Canvas,
    /// For a browser's debugger, as the allocator found it.
    Browser,
    /// For what the config pins: a browser's debugger, or the canvas host at another port.
    Pinned,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Gateway => "gateway port",
            Role::Control => "browser control port",
            Role::Canvas => "canvas port",
            Role::Browser => "browser port",
            Role::Pinned => "pinned port",
        })
    }
}

/// Another instance of this host, as far as ports go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbour {
    /// Its name.
    pub name: String,
    /// Its ports.
    pub plan: Plan,
    /// Ports that its config pins.
    pub pinned: Vec<u16>,
}

impl Neighbour {
    /// What it needs a port for; `None` where it can do without that port.
    pub fn role_of(&self, port: u16) -> Option<Role> {
        let fixed = self.plan.fixed().into_iter().find(|(_, it)| *it == port).map(|(role, _)| role);
        fixed.or_else(|| self.pinned.contains(&port).then_some(Role::Pinned))
    }
}

/// A port that two instances need as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Overlap {
    /// The base that was wished for.
    pub base: u16,
    /// The port.
    pub port: u16,
    /// What it would be.
    pub role: Role,
    /// The other instance.
    pub other: String,
    /// Its base.
    pub their_base: u16,
    /// What the port is there.
    pub their_role: Role,
    /// A base that overlaps nobody.
    pub better: Option<u16>,
}

impl fmt::Display for Overlap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Overlap { base, port, role, other, their_base, their_role, better } = self;
        if *role == Role::Pinned {
            let whose = format!("instance {other} (base port {their_base})");
            return write!(f, "pinned port {port} of the config is the {their_role} of {whose}");
        }
        write!(
            f,
            "base port {base} overlaps instance {other}, which has base port {their_base}: {port} would be the \
             {role} here, and is the {their_role} there"
        )?;
        better.map_or(Ok(()), |it| write!(f, "; the nearest good base port is {it}"))
    }
}

impl Overlap {
    /// What to do about it: another base does not help whoever pins a port.
    pub fn remedy(&self) -> &'static str {
        match self.role {
            Role::Browser | Role::Pinned => PIN_ANOTHER,
            _ => "choose another with --port; see the ports of all: openclaw fleet ports",
        }
    }
}

/// The first port that the plan, or what its config pins, has in common with what another needs as it is.
pub fn overlap(plan: &Plan, pinned: &[u16], others: &[Neighbour]) -> Option<Overlap> {
    let fixed = plan.fixed().into_iter();
    let wanted = fixed.chain(pinned.iter().map(|it| (Role::Pinned, *it)));
    wanted.into_iter().find_map(|(role, port)| {
        let (other, their_role) = others.iter().find_map(|it| Some((it, it.role_of(port)?)))?;
        let (base, other, their_base) = (plan.base, other.name.clone(), other.plan.base);
        Some(Overlap { base, port, role, other, their_base, their_role, better: None })
    })
}

/// Those whose base stands closer than [`SPACING`] without an overlap: safe, as browser ports are allocated around
/// what others need, but less than the distance that people count on.
pub fn near<'a>(plan: &Plan, others: &'a [Neighbour]) -> Vec<&'a Neighbour> {
    let is_near = |it: &&Neighbour| it.plan.base.abs_diff(plan.base) < SPACING;
    others.iter().filter(is_near).collect()
}

/// The good bases from `first` on, in steps of [`SPACING`], below the ports that the kernel hands out: no port of
/// the plan is needed by another or bound by anybody, and every other base is at least [`SPACING`] away.
pub fn free_bases(
    first: u16,
    others: &[Neighbour],
    bound: impl Fn(u16) -> bool,
) -> impl Iterator<Item = u16> {
    (first..EPHEMERAL - CDP.end())
        .step_by(usize::from(SPACING))
        .filter_map(|base| Plan::of(base).ok())
        .filter(move |plan| {
            near(plan, others).is_empty()
                && overlap(plan, &[], others).is_none()
                && !plan.fixed().iter().any(|(_, port)| bound(*port))
        })
        .map(|plan| plan.base)
}

/// The good base that is nearest to a wished one: among those that [`free_bases`] finds from the default on, and
/// among those in whole steps from the wish.
pub fn nearest(wished: u16, others: &[Neighbour], bound: impl Fn(u16) -> bool + Copy) -> Option<u16> {
    let lowest = DEFAULT_BASE.min(wished);
    let upwards = free_bases(wished, others, bound).next();
    let regular = free_bases(lowest, others, bound).min_by_key(|it| it.abs_diff(wished));
    upwards.into_iter().chain(regular).min_by_key(|it| it.abs_diff(wished))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plan_is_the_promised_one() {
        for (base, control, canvas, first, last) in [
            (18789, 18791, 18793, 18800, 18899),
            (19001, 19003, 19005, 19012, 19111),
            (65425, 65427, 65429, 65436, 65535),
        ] {
            let plan = Plan::of(base).expect("a good base");
            assert_eq!((plan.control, plan.canvas, plan.cdp), (control, canvas, first..=last));
        }
        assert_eq!(Plan::of(0), Err(BadBase(0)));
        assert_eq!(Plan::of(65426), Err(BadBase(65426)));
    }

    fn neighbour(base: u16, pinned: &[u16]) -> Neighbour {
        let plan = Plan::of(base).expect("good");
        Neighbour { name: format!("at-{base}"), plan, pinned: pinned.to_vec() }
    }

    #[test]
    fn bases_twenty_apart_need_no_port_of_each_other() {
        let all: Vec<_> = (0..10).map(|it| neighbour(DEFAULT_BASE + it * SPACING, &[])).collect();
        for (at, it) in all.iter().enumerate() {
            assert_eq!(overlap(&it.plan, &[], &all[at + 1..]), None);
            assert!(near(&it.plan, &all[at + 1..]).is_empty());
        }
    }

    #[test]
    fn an_overlap_names_the_port_and_both_sides() {
        for (base, pinned, other, expected) in [
            (20000, vec![], neighbour(20000, &[]), Some((20000, Role::Gateway, Role::Gateway))),
            (20002, vec![], neighbour(20000, &[]), Some((20002, Role::Gateway, Role::Control))),
            (19998, vec![], neighbour(20000, &[]), Some((20000, Role::Control, Role::Gateway))),
            (20001, vec![], neighbour(20000, &[]), None),
            (20500, vec![20004], neighbour(20000, &[]), Some((20004, Role::Pinned, Role::Canvas))),
            (20500, vec![], neighbour(20000, &[20502]), Some((20502, Role::Control, Role::Pinned))),
            (20500, vec![20600], neighbour(20000, &[20600]), Some((20600, Role::Pinned, Role::Pinned))),
            // Inside the other's browser range: the allocator goes around it.
            (20020, vec![], neighbour(20000, &[]), None),
        ] {
            let found = overlap(&Plan::of(base).expect("good"), &pinned, &[other]);
            let roles = found.as_ref().map(|it| (it.port, it.role, it.their_role));
            assert_eq!(roles, expected, "{base} {pinned:?}");
            let is_pinned =
                |it: &Overlap| it.remedy() == PIN_ANOTHER && it.to_string().starts_with("pinned port");
            assert_eq!(
                found.is_some_and(|it| is_pinned(&it)),
                expected.is_some_and(|it| it.1 == Role::Pinned)
            );
        }
        let near_by = [neighbour(20000, &[])];
        let one = Plan::of(20001).expect("good");
        assert_eq!(near(&one, &near_by).len(), 1);
        assert!(near(&Plan::of(20020).expect("good"), &near_by).is_empty());
    }

    #[test]
    fn proposes_the_lowest_that_nobody_needs_or_holds() {
        let first =
            |others: &[Neighbour], bound: fn(u16) -> bool| free_bases(DEFAULT_BASE, others, bound).next();
        assert_eq!(first(&[], |_| false), Some(18789));
        assert_eq!(first(&[neighbour(18789, &[])], |_| false), Some(18809));
        assert_eq!(first(&[neighbour(18795, &[])], |_| false), Some(18829));
        assert_eq!(first(&[neighbour(25000, &[18791])], |_| false), Some(18809));
        assert_eq!(first(&[neighbour(18789, &[])], |port| port == 18813), Some(18829));
        assert_eq!(first(&[], |_| true), None);
        assert_eq!(nearest(19002, &[neighbour(19001, &[])], |_| false), Some(19022));
        assert_eq!(nearest(19001, &[neighbour(19001, &[])], |_| false), Some(19021));
        assert_eq!(nearest(31000, &[neighbour(31000, &[])], |port| port > 31000), Some(30969));
    }
}
