//! A device identity: an Ed25519 key that signs the challenge. One that is presented is checked; a wrong one is
//! refused and never ignored.

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use protocol::connect::{ConnectParams, Device};
use ring::digest::{SHA256, digest};
use ring::signature::{ED25519, UnparsedPublicKey};

/// How far a device's clock may be from ours.
const SKEW_MS: u64 = 2 * 60 * 1000;

/// Bytes of a key.
const KEY_BYTES: usize = 32;

/// What stands before an Ed25519 key in its envelope.
const ENVELOPE: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// The second coordinates of the eight points of small order: 0, 1, p - 1, two of order eight, and p and p + 1, which
/// stand for 0 and 1 where they are not reduced.
const WEAK: [[u8; KEY_BYTES]; 7] = [
    [0; KEY_BYTES],
    with_ends(1, 0, 0),
    with_ends(0xec, 0xff, 0x7f),
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5,
        0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a,
        0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ],
    with_ends(0xed, 0xff, 0x7f),
    with_ends(0xee, 0xff, 0x7f),
];

const fn with_ends(first: u8, middle: u8, last: u8) -> [u8; KEY_BYTES] {
    let mut bytes = [middle; KEY_BYTES];
    bytes[0] = first;
    bytes[KEY_BYTES - 1] = last;
    bytes
}

/// Why a device is refused: the words, and the code and reason that programs read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadDevice {
    /// For people.
    pub(crate) message: &'static str,
    /// `DEVICE_AUTH_…`.
    pub(crate) code: &'static str,
    /// `device-…`.
    pub(crate) reason: &'static str,
}

const fn bad(message: &'static str, code: &'static str, reason: &'static str) -> BadDevice {
    BadDevice { message, code, reason }
}

const KEY: BadDevice =
    bad("device public key invalid", "DEVICE_AUTH_PUBLIC_KEY_INVALID", "device-public-key");
const ID: BadDevice = bad("device identity mismatch", "DEVICE_AUTH_DEVICE_ID_MISMATCH", "device-id-mismatch");
const STALE: BadDevice =
    bad("device signature expired", "DEVICE_AUTH_SIGNATURE_EXPIRED", "device-signature-stale");
const NO_NONCE: BadDevice =
    bad("device nonce required", "DEVICE_AUTH_NONCE_REQUIRED", "device-nonce-missing");
const NONCE: BadDevice = bad("device nonce mismatch", "DEVICE_AUTH_NONCE_MISMATCH", "device-nonce-mismatch");
const SIGNATURE: BadDevice =
    bad("device signature invalid", "DEVICE_AUTH_SIGNATURE_INVALID", "device-signature");

/// Checks the device of a `connect`, in the protocol's order. `is_owner`: on the control socket an old client may sign
/// without the nonce, as nobody else can have heard it.
pub(crate) fn check(
    params: &ConnectParams,
    device: &Device,
    nonce: &str,
    now: u64,
    is_owner: bool,
) -> Result<(), BadDevice> {
    let key = raw_key(&device.public_key).filter(|it| !is_weak(it)).ok_or(KEY)?;
    if HEXLOWER.encode(digest(&SHA256, &key).as_ref()) != device.id {
        return Err(ID);
    }
    if now.abs_diff(device.signed_at) > SKEW_MS {
        return Err(STALE);
    }
    let signature = || decoded(&device.signature).ok_or(SIGNATURE);
    let key = UnparsedPublicKey::new(&ED25519, key);
    let v2 = signed(params, device, nonce);
    match device.nonce.as_deref() {
        None | Some("") if is_owner => {
            let v1 = format!(
                "v1{}",
                v2[2..].strip_suffix(nonce).and_then(|it| it.strip_suffix('|')).unwrap_or("|")
            );
            return key.verify(v1.as_bytes(), &signature()?).map_err(|_| SIGNATURE);
        }
        None | Some("") => return Err(NO_NONCE),
        Some(it) if it != nonce => return Err(NONCE),
        Some(_) => {}
    }
    let signature = signature()?;
    let client = &params.client;
    let family = client.device_family.as_deref().unwrap_or_default();
    let v3 = format!("v3{}|{}|{}", &v2[2..], plain(&client.platform), plain(family));
    let sound = [v3, v2].iter().any(|text| key.verify(text.as_bytes(), &signature).is_ok());
    sound.then_some(()).ok_or(SIGNATURE)
}

/// The string that a device signs, in its second version.
fn signed(params: &ConnectParams, device: &Device, nonce: &str) -> String {
    let auth = params.auth.clone().unwrap_or_default();
    let token = auth.token.or(auth.device_token).or(auth.bootstrap_token).unwrap_or_default();
    let role = params.role.as_deref().unwrap_or("operator");
    let (client, scopes) = (&params.client, params.scopes.join(","));
    let Device { id, signed_at, .. } = device;
    format!("v2|{id}|{}|{}|{role}|{scopes}|{signed_at}|{token}|{nonce}", client.id, client.mode)
}

fn plain(text: &str) -> String {
    text.trim().to_ascii_lowercase()
}

/// The key as the protocol writes it: raw, base64url without padding. As it was given where it is none.
pub(crate) fn plain_key(text: &str) -> String {
    raw_key(text).map_or_else(|| text.to_owned(), |it| BASE64URL_NOPAD.encode(&it))
}

/// A raw key, or one in the envelope that OpenSSL writes.
fn raw_key(text: &str) -> Option<Vec<u8>> {
    let Some(body) = text.trim().strip_prefix("-----BEGIN PUBLIC KEY-----") else {
        return decoded(text).filter(|it| it.len() == KEY_BYTES);
    };
    let body = body.strip_suffix("-----END PUBLIC KEY-----")?;
    let body: String = body.chars().filter(|it| !it.is_whitespace()).collect();
    let key = decoded(&body)?.strip_prefix(&ENVELOPE)?.to_vec();
    (key.len() == KEY_BYTES).then_some(key)
}

/// Whether a key is of small order: anything, or nearly so, is a good signature of such a one. The sign is in the last
/// bit, and each coordinate also has encodings that are not reduced.
fn is_weak(key: &[u8]) -> bool {
    WEAK.iter().any(|weak| {
        let last = KEY_BYTES - 1;
        key[..last] == weak[..last] && key[last] & 0x7f == weak[last] & 0x7f
    })
}

/// Base64url without padding is the rule; padded and standard base64 are taken too.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=').replace('+', "-").replace('/', "_");
    BASE64URL_NOPAD.decode(text.as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::connect::{Client, Credentials};
    use ring::signature::{Ed25519KeyPair, KeyPair};

    const NOW: u64 = 1_795_365_636_645;

    fn connect(
        sign: impl FnOnce(&ConnectParams, &Device) -> String,
        change: impl FnOnce(&mut Device),
    ) -> ConnectParams {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("a seed");
        let key = pair.public_key().as_ref().to_vec();
        let mut device = Device {
            id: HEXLOWER.encode(digest(&SHA256, &key).as_ref()),
            public_key: BASE64URL_NOPAD.encode(&key),
            signature: String::new(),
            signed_at: NOW,
            nonce: Some("n-1".into()),
        };
        let client = Client {
            id: "cli".into(),
            version: "1".into(),
            platform: " Linux".into(),
            mode: "cli".into(),
            display_name: None,
            device_family: None,
            model_identifier: None,
            instance_id: None,
        };
        let auth = Credentials { token: Some("t".into()), ..Credentials::default() };
        let mut params = ConnectParams {
            min_protocol: 3,
            max_protocol: 4,
            client,
            role: None,
            scopes: vec!["operator.read".into(), "operator.write".into()],
            caps: Vec::new(),
            commands: Vec::new(),
            permissions: serde_json::Map::new(),
            auth: Some(auth),
            device: None,
        };
        let text = sign(&params, &device);
        device.signature = BASE64URL_NOPAD.encode(pair.sign(text.as_bytes()).as_ref());
        change(&mut device);
        params.device = Some(device);
        params
    }

    fn v2(_: &ConnectParams, device: &Device) -> String {
        format!("v2|{}|cli|cli|operator|operator.read,operator.write|{NOW}|t|n-1", device.id)
    }

    fn v3(params: &ConnectParams, device: &Device) -> String {
        format!("v3{}|linux|", &v2(params, device)[2..])
    }

    #[track_caller]
    fn verdict(params: &ConnectParams) -> Result<(), BadDevice> {
        check(params, params.device.as_ref().expect("a device"), "n-1", NOW, false)
    }

    #[test]
    fn both_versions_of_the_signature_are_good() {
        assert_eq!(verdict(&connect(v2, |_| {})), Ok(()));
        assert_eq!(verdict(&connect(v3, |_| {})), Ok(()));
    }

    #[test]
    fn whatever_was_changed_is_refused_by_its_name() {
        assert_eq!(verdict(&connect(v2, |it| it.public_key = "x".into())), Err(KEY));
        assert_eq!(verdict(&connect(v2, |it| it.id = "0".into())), Err(ID));
        assert_eq!(verdict(&connect(v2, |it| it.signed_at -= SKEW_MS + 1)), Err(STALE));
        assert_eq!(verdict(&connect(v2, |it| it.nonce = None)), Err(NO_NONCE));
        assert_eq!(verdict(&connect(v2, |it| it.nonce = Some("n-2".into()))), Err(NONCE));
        assert_eq!(verdict(&connect(v2, |it| it.signed_at += 1)), Err(SIGNATURE));
        let mut widened = connect(v2, |_| {});
        widened.scopes.push("operator.admin".into());
        assert_eq!(verdict(&widened), Err(SIGNATURE));
    }
}
