//! The key of an instance, by which it can be known again wherever it answers. Made when somebody first asks for it.

use std::io::Read;
use std::path::Path;

use base::{file, random};
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use ring::digest::{SHA256, digest};
use ring::signature::{Ed25519KeyPair, KeyPair};

/// Where it is kept. The folder is a secret for snapshots, and no clone gets it.
const FILE: &str = "identity/gateway.key";
/// Bytes of the seed.
const SEED: usize = 32;

/// What others may know of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// SHA-256 of the public key, in hexadecimal.
    pub(crate) device_id: String,
    /// Base64url without padding.
    pub(crate) public_key: String,
}

/// That of a state folder.
///
/// # Errors
/// For people, when it cannot be kept or read.
pub(crate) fn of(state_dir: &Path) -> Result<Identity, String> {
    let path = state_dir.join(FILE);
    let tell = |why: &str| format!("the identity of this instance at {}: {why}", path.display());
    let folder = path.parent().unwrap_or(state_dir);
    file::private_folder(folder).map_err(|it| tell(&base::text::chain(&it)))?;
    let seed = HEXLOWER.encode(&random::bytes::<SEED>());
    // Of two that make it at once, one wins, and both read what is there.
    file::create_if_missing(&path, seed.as_bytes()).map_err(|it| tell(&base::text::chain(&it)))?;
    let mut text = String::new();
    let read = std::fs::File::open(&path).and_then(|it| it.take(256).read_to_string(&mut text));
    read.map_err(|it| tell(&it.to_string()))?;
    let seed = HEXLOWER.decode(text.trim().as_bytes()).map_err(|_| tell("it is no key; put it aside"))?;
    let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_| tell("it is no key; put it aside"))?;
    let key = pair.public_key().as_ref();
    Ok(Identity {
        device_id: HEXLOWER.encode(digest(&SHA256, key).as_ref()),
        public_key: BASE64URL_NOPAD.encode(key),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn is_made_once_and_is_the_owners_alone() {
        let state = tempfile::tempdir().expect("a folder");
        let first = of(state.path()).expect("made");
        assert_eq!(of(state.path()), Ok(first.clone()));
        let mode = std::fs::metadata(state.path().join(FILE)).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let other = tempfile::tempdir().expect("a folder");
        assert_ne!(of(other.path()).expect("made"), first);
        file::replace(&state.path().join(FILE), b"nonsense").expect("written");
        assert!(of(state.path()).expect_err("no key").contains("it is no key"));
    }
}
