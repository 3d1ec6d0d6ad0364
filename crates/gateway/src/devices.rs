//! Paired devices, those that wait to be let in, and setup codes: one store, read when the first device comes.

mod book;
mod settle;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use base::file;
use protocol::connect::{Client, Device};
use protocol::devices::Pending;
use protocol::{Role, Scopes};

pub(crate) use book::{Book, Lack};
pub(crate) use settle::{Hand, No};

use crate::audience::Ending;
use crate::limits::{PAIRING_MS, PENDING, PENDING_OF_ADDRESS, SETUP_CODES, SETUP_MS};

/// A device that has proved that it holds its key, and what it asks for.
#[derive(Debug, Clone)]
pub(crate) struct Asking {
    pub(crate) device: String,
    pub(crate) public_key: String,
    pub(crate) role: Role,
    /// What a node asks for is nothing.
    pub(crate) scopes: Scopes,
    pub(crate) display_name: Option<String>,
    pub(crate) platform: Option<String>,
    pub(crate) device_family: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_mode: String,
    pub(crate) address: Option<IpAddr>,
}

impl Asking {
    /// Out of a `connect` whose signature was checked.
    pub(crate) fn new(
        device: &Device,
        client: &Client,
        role: Role,
        asked: &Scopes,
        address: Option<IpAddr>,
    ) -> Self {
        let line = |it: &str| Some(base::text::line(it, 80)).filter(|it| !it.is_empty());
        Self {
            device: device.id.clone(),
            public_key: crate::device::plain_key(&device.public_key),
            role,
            scopes: if role == Role::Operator { asked.clone() } else { Scopes::default() },
            display_name: client.display_name.as_deref().and_then(line),
            platform: line(&client.platform.to_ascii_lowercase()),
            device_family: client
                .device_family
                .as_deref()
                .map(str::to_ascii_lowercase)
                .and_then(|it| line(&it)),
            client_id: client.id.clone(),
            client_mode: client.mode.clone(),
            address,
        }
    }
}

/// The store cannot be used; who comes by it is not let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Broken(pub(crate) String);

/// The store of one gateway.
#[derive(Debug, Clone)]
pub(crate) struct Devices(Arc<Mutex<Store>>);

/// What it holds. The book is on disk, all else ends with the gateway.
#[derive(Debug)]
pub(crate) struct Store {
    path: PathBuf,
    book: Option<Book>,
    waiting: VecDeque<Waiting>,
    codes: VecDeque<Code>,
    leashes: HashMap<(String, Role), Ending>,
}

/// A request that waits for a person.
#[derive(Debug, Clone)]
pub(crate) struct Waiting {
    pub(crate) id: String,
    pub(crate) asking: Asking,
    pub(crate) lack: Lack,
    pub(crate) is_repair: bool,
    pub(crate) ts: u64,
}

impl Waiting {
    /// As it is listed.
    pub(crate) fn told(&self) -> Pending {
        let it = &self.asking;
        Pending {
            request_id: self.id.clone(),
            device_id: it.device.clone(),
            public_key: it.public_key.clone(),
            display_name: it.display_name.clone(),
            platform: it.platform.clone(),
            device_family: it.device_family.clone(),
            client_id: Some(it.client_id.clone()),
            client_mode: Some(it.client_mode.clone()),
            role: it.role,
            roles: vec![it.role],
            scopes: it.scopes.names(),
            remote_ip: it.address.map(|it| it.to_string()),
            is_repair: self.is_repair,
            ts: self.ts,
        }
    }
}

/// A setup code: what it gives is fixed when it is made.
#[derive(Debug, Clone)]
pub(crate) struct Code {
    pub(crate) id: String,
    pub(crate) roles: Vec<Role>,
    pub(crate) scopes: Scopes,
    pub(crate) expires: u64,
    pub(crate) used_by: Option<String>,
    hash: String,
}

impl Devices {
    /// The store of a state folder. Nothing is read yet.
    pub(crate) fn new(state_dir: &Path) -> Self {
        Self(Arc::new(Mutex::new(Store {
            path: state_dir.join("devices").join("devices.json"),
            book: None,
            waiting: VecDeque::new(),
            codes: VecDeque::new(),
            leashes: HashMap::new(),
        })))
    }

    /// Does something with the store, where waiting for the disk holds nobody up. It is done to its end also where
    /// whoever asked for it has gone.
    pub(crate) async fn with<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Store) -> T + Send + 'static,
    ) -> Result<T, Broken> {
        let store = self.0.clone();
        let done = tokio::task::spawn_blocking(move || {
            let mut store = store.lock().unwrap_or_else(PoisonError::into_inner);
            act(&mut store)
        });
        done.await.map_err(|error| Broken(format!("the store of paired devices failed: {error}")))
    }
}

impl Store {
    /// The book, read when it is first wanted. One that cannot be read is tried again each time, and never replaced.
    pub(crate) fn book(&mut self) -> Result<&mut Book, Broken> {
        if self.book.is_none() {
            self.book = Some(read(&self.path)?);
        }
        Ok(self.book.as_mut().expect("it was just read"))
    }

    /// What is wrong with the book, as far as anybody has looked.
    pub(crate) fn trouble(&mut self) -> Option<String> {
        self.book().err().map(|it| it.0)
    }

    /// Changes the book: on disk first, and not at all where the disk refuses.
    pub(crate) fn change<T>(&mut self, change: impl FnOnce(&mut Book) -> T) -> Result<T, Broken> {
        let mut next = self.book()?.clone();
        let done = change(&mut next);
        let text = serde_json::to_vec_pretty(&next).expect("a book always writes");
        let folder = self.path.parent().expect("it is below the state folder");
        let written = file::private_folder(folder).and_then(|()| file::replace(&self.path, &text));
        written.map_err(|error| Broken(format!("paired devices: {}", base::text::chain(&error))))?;
        self.book = Some(next);
        Ok(done)
    }

    /// Those that wait, the newest first.
    pub(crate) fn waiting(&mut self, now: u64) -> Vec<Waiting> {
        self.forget(now);
        self.waiting.iter().rev().cloned().collect()
    }

    /// Takes a request out.
    pub(crate) fn take(&mut self, id: &str, now: u64) -> Option<Waiting> {
        self.forget(now);
        let at = self.waiting.iter().position(|it| it.id == id)?;
        self.waiting.remove(at)
    }

    /// Puts one back that could not be served.
    pub(crate) fn put_back(&mut self, waiting: Waiting) {
        self.waiting.push_back(waiting);
    }

    /// A request of this device: the one that waits already where it asks for the same, else a new one in its place.
    pub(crate) fn request(&mut self, asking: &Asking, lack: Lack, now: u64) -> Waiting {
        self.forget(now);
        let before = self.waiting.iter().position(|it| it.asking.device == asking.device);
        let before = before.and_then(|at| self.waiting.remove(at));
        let same = |it: &Waiting| it.asking.role == asking.role && it.asking.scopes == asking.scopes;
        let id = before.filter(same).map_or_else(|| uuid::Uuid::new_v4().to_string(), |it| it.id);
        // One address cannot push out what others wait for.
        let from_there = |it: &Waiting| it.asking.address == asking.address;
        if self.waiting.iter().filter(|it| from_there(it)).count() >= PENDING_OF_ADDRESS {
            let oldest = self.waiting.iter().position(from_there);
            oldest.and_then(|at| self.waiting.remove(at));
        }
        if self.waiting.len() >= PENDING {
            self.waiting.pop_front();
        }
        let is_repair = self.book().is_ok_and(|it| it.devices.contains_key(&asking.device));
        let waiting = Waiting { id, asking: asking.clone(), lack, is_repair, ts: now };
        self.waiting.push_back(waiting.clone());
        waiting
    }

    /// A new setup code: the code, and the secret in it.
    pub(crate) fn issue(&mut self, roles: Vec<Role>, scopes: Scopes, now: u64) -> (Code, String) {
        self.forget(now);
        let (secret, hash) = book::new_token();
        let id = uuid::Uuid::new_v4().to_string();
        let code = Code { id, roles, scopes, expires: now + SETUP_MS, used_by: None, hash };
        if self.codes.len() >= SETUP_CODES {
            self.codes.pop_front();
        }
        self.codes.push_back(code.clone());
        (code, secret)
    }

    /// A setup code by its id, also one that was used or has ended.
    pub(crate) fn code(&self, id: &str) -> Option<&Code> {
        self.codes.iter().find(|it| it.id == id)
    }

    fn open_code(&mut self, secret: &str, now: u64) -> Option<&mut Code> {
        let hash = book::fingerprint(secret);
        let open = |it: &&mut Code| it.used_by.is_none() && now < it.expires && book::same(&it.hash, &hash);
        self.codes.iter_mut().find(open)
    }

    /// What ends the connections of a device in a role.
    fn leash(&mut self, device: &str, role: Role) -> Ending {
        self.leashes.entry((device.to_owned(), role)).or_default().clone()
    }

    /// Ends the connections of a device, in one role or in all, that were let in before now. They close as soon as what
    /// is returned is told so.
    pub(crate) fn cut(&mut self, device: &str, role: Option<Role>) -> Vec<Ending> {
        let roles = [Role::Operator, Role::Node].into_iter().filter(|it| role.is_none_or(|role| role == *it));
        roles.filter_map(|it| self.leashes.remove(&(device.to_owned(), it))).collect()
    }

    fn forget(&mut self, now: u64) {
        self.waiting.retain(|it| now.saturating_sub(it.ts) < PAIRING_MS);
    }
}

fn read(path: &Path) -> Result<Book, Broken> {
    let broken = |words: String| Broken(format!("paired devices: {}: {words}", path.display()));
    let text = match std::fs::read(path) {
        Ok(it) => it,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Book::default()),
        Err(error) => return Err(broken(format!("cannot be read: {error}"))),
    };
    // What is wrong is told by its place: the words of the reader may quote the file.
    let book: Book = serde_json::from_slice(&text).map_err(|error| {
        broken(format!(
            "is damaged at line {}, column {}; correct it, put a good copy there, or move it away to pair all devices anew",
            error.line(),
            error.column()
        ))
    })?;
    if book.version != book::VERSION {
        return Err(broken(format!(
            "is of version {}, and this program knows {}",
            book.version,
            book::VERSION
        )));
    }
    Ok(book)
}
