//! Whether a device comes in: what it has in hand against what is in the book.

use protocol::Scopes;
use protocol::connect::Issued;
use protocol::{Role, devices::Resolved};

use super::book::Worth;
use super::{Asking, Broken, Lack, Store, Waiting};
use crate::audience::Ending;

/// What a device came with. The shared secret was looked at before; one that is wrong never gets here.
#[derive(Clone, Default)]
pub(crate) struct Hand {
    /// The method of who knows the shared secret, or is the owner on the control socket.
    pub(crate) authority: Option<&'static str>,
    /// What may be the device's token, and whether the client itself calls it so.
    pub(crate) tokens: Vec<(String, bool)>,
    /// A setup code.
    pub(crate) code: Option<String>,
}

/// It comes in.
pub(crate) struct Yes {
    /// How it was known.
    pub(crate) method: &'static str,
    /// What it may do.
    pub(crate) scopes: Scopes,
    /// Tokens that it is to keep; the first is that of its role.
    pub(crate) issued: Vec<Issued>,
    /// Ends its connection where it is let in no longer.
    pub(crate) leash: Ending,
    /// What those who may pair are told.
    pub(crate) resolved: Option<Resolved>,
}

/// It does not.
#[derive(Debug)]
pub(crate) enum No {
    /// The token is none of this device; whether the client calls it a device's token, or it was one once.
    Token { is_device_token: bool },
    /// The setup code is none, or no longer.
    Code,
    /// The token is good, but not for so much; a request waits.
    Scopes(Box<Waiting>),
    /// A person must let it in.
    Pairing { lack: Lack, waiting: Box<Waiting>, roles: Vec<Role>, scopes: Vec<String> },
    /// The store cannot be used.
    Broken(String),
}

impl From<Broken> for No {
    fn from(broken: Broken) -> Self {
        Self::Broken(broken.0)
    }
}

impl Store {
    /// Decides. Everything that is in the hand must be right: a good credential does not excuse a bad one beside it.
    pub(crate) fn settle(&mut self, asking: &Asking, hand: &Hand, now: u64) -> Result<Yes, No> {
        let (device, role) = (asking.device.as_str(), asking.role);
        let mut worth = None;
        for (token, says_so) in &hand.tokens {
            match self.book()?.worth(device, role, token, now) {
                Worth::Nothing => {
                    let paired = self.book()?.devices.get(device);
                    let revoked = paired.is_some_and(|it| it.tokens.contains_key(&role)) && !says_so;
                    return Err(No::Token { is_device_token: *says_so || revoked });
                }
                good => worth = Some(good),
            }
        }
        if let Some(secret) = &hand.code {
            return self.redeem(asking, secret, now);
        }
        if let Some(method) = hand.authority {
            return self.by_authority(asking, method, now);
        }
        let book = self.book()?;
        let may_come = worth.is_some() || book.waits_for_token(device, role);
        match book.lack(asking) {
            _ if worth.is_some() && !covers(book.token_scopes(device, role), asking) => {
                Err(No::Scopes(Box::new(self.request(asking, Lack::Scopes, now))))
            }
            None if may_come => {
                let token = hand.tokens.first().map(|it| it.0.as_str());
                self.come(asking, "device-token", token, now)
            }
            lack => Err(self.must_wait(asking, lack.unwrap_or(Lack::NotPaired), now)),
        }
    }

    /// Who knows the shared secret, or is the owner, pairs without being asked. A device that is one of an operator does
    /// not become a node by it.
    fn by_authority(&mut self, asking: &Asking, method: &'static str, now: u64) -> Result<Yes, No> {
        let lack = match self.book() {
            Ok(book) => book.lack(asking),
            // The secret is enough to come in; what is broken is not touched.
            Err(_) => return Ok(self.unrecorded(asking, method)),
        };
        match lack {
            None => self.come(asking, method, None, now),
            Some(Lack::Role) if asking.role == Role::Node => Err(self.must_wait(asking, Lack::Role, now)),
            Some(_) => {
                let via = if method == "local" { "owner" } else { "silent" };
                if !self.change(|it| it.pair(asking, via, None, now))? {
                    return Ok(self.unrecorded(asking, method));
                }
                let mut yes = self.come(asking, method, None, now)?;
                let before = self.waiting.iter().position(|it| it.asking.device == asking.device);
                let before = before.and_then(|at| self.waiting.remove(at));
                let request_id = before.map_or_else(|| uuid::Uuid::new_v4().to_string(), |it| it.id);
                yes.resolved = Some(Resolved {
                    request_id,
                    device_id: asking.device.clone(),
                    decision: "approved".to_owned(),
                    ts: now,
                });
                Ok(yes)
            }
        }
    }

    fn unrecorded(&mut self, asking: &Asking, method: &'static str) -> Yes {
        let leash = self.leash(&asking.device, asking.role);
        Yes { method, scopes: asking.scopes.clone(), issued: Vec::new(), leash, resolved: None }
    }

    /// A code is used once, whatever becomes of the connection; what it gives was fixed when it was made.
    fn redeem(&mut self, asking: &Asking, secret: &str, now: u64) -> Result<Yes, No> {
        self.book()?;
        let code =
            self.open_code(secret, now).filter(|it| it.roles.contains(&asking.role)).ok_or(No::Code)?;
        code.used_by = Some(asking.device.clone());
        let (roles, given) = (code.roles.clone(), code.scopes.clone());
        let mut issued = self.change(|book| {
            let mut issued = Vec::new();
            for role in &roles {
                let scopes = if *role == Role::Operator { given.clone() } else { Scopes::default() };
                let asking = Asking { role: *role, scopes, ..asking.clone() };
                if book.pair(&asking, "setup-code", None, now) {
                    let token = book.mint(&asking.device, *role, now);
                    issued.extend(token.map(|it| issue(it, *role, &asking.scopes, now)));
                }
            }
            issued
        })?;
        issued.sort_by_key(|it| it.role != asking.role);
        let leash = self.leash(&asking.device, asking.role);
        Ok(Yes {
            method: "bootstrap-token",
            scopes: given.granted(&asking.scopes),
            issued,
            leash,
            resolved: None,
        })
    }

    /// It comes in, and is handed a new token where one waits for it.
    fn come(
        &mut self,
        asking: &Asking,
        method: &'static str,
        token: Option<&str>,
        now: u64,
    ) -> Result<Yes, No> {
        let (device, role) = (asking.device.as_str(), asking.role);
        let mut issued = Vec::new();
        if self.book()?.waits_for_token(device, role) {
            let token = self.change(|it| it.mint(device, role, now))?;
            let scopes = self.book()?.token_scopes(device, role);
            issued.extend(token.map(|it| issue(it, role, &scopes, now)));
        }
        let mut seen = self.book()?.clone();
        if seen.used(asking, token, now) {
            self.change(|it| it.used(asking, token, now))?;
        } else {
            self.book = Some(seen);
        }
        let leash = self.leash(device, role);
        Ok(Yes { method, scopes: asking.scopes.clone(), issued, leash, resolved: None })
    }

    fn must_wait(&mut self, asking: &Asking, lack: Lack, now: u64) -> No {
        let record = self.book.as_ref().and_then(|it| it.devices.get(&asking.device));
        let (roles, scopes) =
            record.map(|it| (it.tokens.keys().copied().collect(), it.scopes.clone())).unwrap_or_default();
        let waiting = Box::new(self.request(asking, lack, now));
        No::Pairing { lack, waiting, roles, scopes }
    }
}

fn covers(token: Scopes, asking: &Asking) -> bool {
    asking.role == Role::Node || token.cover(&asking.scopes)
}

fn issue(device_token: String, role: Role, scopes: &Scopes, now: u64) -> Issued {
    Issued { device_token, role, scopes: scopes.names(), issued_at_ms: now }
}
