//! The ports of an instance: one pure plan from its base. The only place with a port number of ours.

use std::fmt;
use std::ops::RangeInclusive;

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

    /// The ports that both plans need as they are.
    pub fn overlap(&self, other: &Plan) -> Vec<u16> {
        let theirs = other.fixed();
        self.fixed()
            .into_iter()
            .map(|(_, it)| it)
            .filter(|it| theirs.iter().any(|(_, that)| that == it))
            .collect()
    }
}

/// What a port is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The base port.
    Gateway,
    /// base + 2.
    Control,
    /// base + 4.
    Canvas,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Role::Gateway => "gateway port",
            Role::Control => "browser control port",
            Role::Canvas => "canvas port",
        })
    }
}

/// The lowest base that is free: from `first` on in steps of [`SPACING`], below the ports that the kernel hands
/// out, with no port of its plan needed by another (`planned`) or bound by anybody (`bound`).
pub fn propose(first: u16, planned: &[Plan], bound: impl Fn(u16) -> bool) -> Option<u16> {
    (first..EPHEMERAL - CDP.end())
        .step_by(usize::from(SPACING))
        .filter_map(|base| Plan::of(base).ok())
        .find(|plan| {
            let near = |it: &Plan| it.base.abs_diff(plan.base) < SPACING;
            !planned.iter().any(near) && !plan.fixed().iter().any(|(_, port)| bound(*port))
        })
        .map(|plan| plan.base)
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

    #[test]
    fn bases_twenty_apart_need_no_port_of_each_other() {
        let plans: Vec<_> = (0..10).map(|it| Plan::of(DEFAULT_BASE + it * SPACING).expect("good")).collect();
        for (at, plan) in plans.iter().enumerate() {
            assert!(plans.iter().skip(at + 1).all(|other| plan.overlap(other).is_empty()));
        }
        assert_eq!(Plan::of(100).and_then(|a| Ok(a.overlap(&Plan::of(102)?))), Ok(vec![102, 104]));
    }

    #[test]
    fn proposes_the_lowest_that_nobody_needs_or_holds() {
        let plan = |base| Plan::of(base).expect("good");
        assert_eq!(propose(DEFAULT_BASE, &[], |_| false), Some(18789));
        assert_eq!(propose(DEFAULT_BASE, &[plan(18789)], |_| false), Some(18809));
        assert_eq!(propose(DEFAULT_BASE, &[plan(18795)], |_| false), Some(18829));
        assert_eq!(propose(DEFAULT_BASE, &[plan(18789)], |port| port == 18813), Some(18829));
        assert_eq!(propose(DEFAULT_BASE, &[], |_| true), None);
    }
}
