//! Devices: what is proved, who is let in and by whom, and what becomes of a token.

use std::time::{Duration, Instant};

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use ring::digest::{SHA256, digest};
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};
use testkit::wire::{Refusal, connect_params};
use testkit::{Output, Wire};

use crate::scene::{Scene, TOKEN, write};

/// A device, by its seed.
struct Phone {
    pair: Ed25519KeyPair,
    id: String,
    key: String,
}

impl Phone {
    fn new(seed: u8) -> Phone {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).expect("a seed");
        let key = pair.public_key().as_ref().to_vec();
        let id = HEXLOWER.encode(digest(&SHA256, &key).as_ref());
        Phone { pair, id, key: BASE64URL_NOPAD.encode(&key) }
    }

    /// Connects, as what `auth` and `scopes` say.
    fn connect(&self, scene: &Scene, role: &str, auth: Value, scopes: &[&str]) -> Result<Wire, Refusal> {
        let wire = Wire::open(scene.gateway.port());
        let challenge = wire.challenge()["payload"].clone();
        let mut params = connect_params(TOKEN);
        let token = ["token", "deviceToken", "bootstrapToken"].iter().find_map(|it| auth[it].as_str());
        let (at, nonce) = (&challenge["ts"], challenge["nonce"].as_str().expect("a nonce"));
        let text = format!(
            "v2|{}|cli|cli|{role}|{}|{at}|{}|{nonce}",
            self.id,
            scopes.join(","),
            token.unwrap_or_default()
        );
        let signature = BASE64URL_NOPAD.encode(self.pair.sign(text.as_bytes()).as_ref());
        (params["role"], params["scopes"]) = (json!(role), json!(scopes));
        params["device"] = json!({
            "id": self.id, "publicKey": self.key, "signature": signature, "signedAt": at, "nonce": nonce,
        });
        params["auth"] = auth;
        wire.handshake(params)
    }

    #[track_caller]
    fn operator(&self, scene: &Scene, auth: Value, scopes: &[&str]) -> Wire {
        self.connect(scene, "operator", auth, scopes).unwrap_or_else(|it| panic!("refused: {it:?}"))
    }

    #[track_caller]
    fn refused(&self, scene: &Scene, auth: Value, scopes: &[&str], code: &str) -> Refusal {
        let refusal = self.connect(scene, "operator", auth, scopes).expect_err("it must be refused");
        assert_eq!(refusal.error["details"]["code"], code, "{refusal:?}");
        refusal
    }

    /// Pairs by the shared secret; the token that it is given.
    #[track_caller]
    fn pair(&self, scene: &Scene, scopes: &[&str]) -> String {
        let wire = self.operator(scene, json!({"token": TOKEN}), scopes);
        device_token(&wire)
    }
}

const READ: &str = "operator.read";
const WRITE: &str = "operator.write";
const ADMIN: &str = "operator.admin";
const PAIRING: &str = "operator.pairing";

#[track_caller]
fn device_token(wire: &Wire) -> String {
    wire.hello()["auth"]["deviceToken"].as_str().expect("a token").to_owned()
}

#[test]
fn a_strange_device_without_a_secret_waits_until_it_is_approved_and_is_given_its_token_once() {
    let scene = Scene::new();
    let mut admin = scene.person_with(|it| it["scopes"] = json!([ADMIN]));
    let phone = Phone::new(1);
    let refusal = phone.refused(&scene, json!({}), &[READ], "PAIRING_REQUIRED");
    let id = refusal.error["details"]["requestId"].as_str().expect("an id").to_owned();
    assert_eq!(refusal.error["code"], "NOT_PAIRED");
    let reason = format!("pairing required: device is not approved yet (requestId: {id})");
    assert_eq!((refusal.close.code, refusal.close.reason), (1008, reason));
    let event = admin.wire.next_event(|it| it["event"] == "device.pair.requested");
    assert_eq!(
        (&event["payload"]["requestId"], &event["payload"]["deviceId"]),
        (&json!(id), &json!(phone.id))
    );
    let again = phone.refused(&scene, json!({}), &[READ], "PAIRING_REQUIRED");
    assert_eq!(again.error["details"]["requestId"], json!(id), "one request a device");

    let _ = Output::of(scene.command(&["devices", "approve", "--latest"])).success();
    let wire = phone.operator(&scene, json!({}), &[READ]);
    let token = device_token(&wire);
    let file = std::fs::read_to_string(scene.state().join("devices/devices.json")).expect("a store");
    assert!(!file.contains(&token), "the token itself is on disk");
    let wire = phone.operator(&scene, json!({"deviceToken": token}), &[READ]);
    assert_eq!(wire.hello()["auth"]["method"], "device-token");
    assert!(wire.hello()["auth"]["deviceToken"].is_null());
    phone.refused(&scene, json!({}), &[READ], "PAIRING_REQUIRED");
}

#[test]
fn advisory_scopes_do_not_widen_on_reconnect() {
    let scene = Scene::new();
    let phone = Phone::new(2);
    let token = phone.pair(&scene, &[READ]);
    for scopes in [&[WRITE][..], &[ADMIN], &[READ, PAIRING]] {
        let refusal = phone.refused(&scene, json!({"deviceToken": token}), scopes, "AUTH_SCOPE_MISMATCH");
        assert_eq!(refusal.error["details"]["recommendedNextStep"], "review_auth_configuration");
    }
    let wire = phone.operator(&scene, json!({"token": token}), &[READ]);
    assert_eq!(wire.hello()["auth"]["scopes"], json!([READ]));
    let node = phone.connect(&scene, "node", json!({"token": TOKEN}), &[]).expect_err("an operator's device");
    assert_eq!(node.error["details"]["reason"], "role-upgrade", "{node:?}");
}

#[test]
fn advisory_nobody_approves_or_rotates_more_than_they_hold() {
    let scene = Scene::new();
    let (phone, other) = (Phone::new(3), Phone::new(4));
    let _ = phone.pair(&scene, &[READ, PAIRING]);
    let mut weak = phone.operator(&scene, json!({"token": TOKEN}), &[READ, PAIRING]);
    let refusal = other.refused(&scene, json!({}), &[ADMIN], "PAIRING_REQUIRED");
    let id = &refusal.error["details"]["requestId"];
    let error =
        weak.request("device.pair.approve", json!({"requestId": id})).expect_err("more than it holds");
    assert_eq!(
        (&error["code"], &error["message"]),
        (&json!("FORBIDDEN"), &json!("missing scope: operator.admin"))
    );
    other.pair(&scene, &[ADMIN]);
    let params = json!({"deviceId": other.id, "role": "operator"});
    let error = weak.request("device.token.rotate", params).expect_err("another's");
    assert_eq!(error["code"], "FORBIDDEN", "{error}");
    let params = json!({"deviceId": phone.id, "role": "operator", "scopes": [ADMIN]});
    assert!(weak.request("device.token.rotate", params).is_err(), "wider than approved");
}

#[test]
fn advisory_a_revoked_token_closes_open_sockets_and_opens_none() {
    let scene = Scene::new();
    let phone = Phone::new(5);
    let token = phone.pair(&scene, &[READ]);
    let mut wire = phone.operator(&scene, json!({"deviceToken": token}), &[READ]);
    let begin = Instant::now();
    let _ = Output::of(scene.command(&["devices", "revoke", "--device", &phone.id])).success();
    let close = wire.closed();
    assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
    assert_eq!((close.code, close.reason.as_str()), (4001, "client invalidated: device token revoked"));
    phone.refused(&scene, json!({"deviceToken": token}), &[READ], "AUTH_DEVICE_TOKEN_MISMATCH");
    phone.refused(&scene, json!({"token": token}), &[READ], "AUTH_DEVICE_TOKEN_MISMATCH");
}

#[test]
fn a_rotated_token_is_given_to_its_device_alone_and_the_old_one_ends_when_the_new_is_used() {
    let scene = Scene::new();
    let phone = Phone::new(6);
    let old = phone.pair(&scene, &[READ]);
    let rotated =
        Output::of(scene.command(&["devices", "rotate", "--device", &phone.id, "--json"])).success();
    let rotated = rotated.json();
    assert_eq!(
        (&rotated["tokenDelivery"], &rotated["token"]),
        (&json!("withheld-cross-device"), &Value::Null)
    );
    let new = device_token(&phone.operator(&scene, json!({"deviceToken": old}), &[READ]));
    phone.operator(&scene, json!({"deviceToken": old}), &[READ]);
    phone.operator(&scene, json!({"deviceToken": new}), &[READ]);
    phone.refused(&scene, json!({"deviceToken": old}), &[READ], "AUTH_DEVICE_TOKEN_MISMATCH");
}

#[test]
fn advisory_a_setup_code_is_good_once() {
    let scene = Scene::new();
    let code = Output::of(scene.command(&["qr", "--limited", "--setup-code-only"])).success().stdout;
    let code = BASE64URL_NOPAD.decode(code.trim().as_bytes()).expect("base64url");
    let code: Value = serde_json::from_slice(&code).expect("JSON");
    let auth = json!({"bootstrapToken": code["bootstrapToken"]});
    let wire = Phone::new(7).operator(&scene, auth.clone(), &[READ, ADMIN]);
    assert_eq!(wire.hello()["auth"]["scopes"], json!([READ]), "what it gives was fixed when it was made");
    assert_eq!(wire.hello()["auth"]["deviceTokens"].as_array().map(Vec::len), Some(2));
    Phone::new(8).refused(&scene, auth, &[READ], "AUTH_BOOTSTRAP_TOKEN_INVALID");
}

#[test]
fn advisory_a_wrong_credential_is_no_way_around_the_device_and_is_counted() {
    let scene = Scene::new();
    let phone = Phone::new(9);
    let token = phone.pair(&scene, &[READ]);
    let wrong = phone.refused(
        &scene,
        json!({"token": TOKEN, "deviceToken": "x"}),
        &[READ],
        "AUTH_DEVICE_TOKEN_MISMATCH",
    );
    assert_eq!(wrong.close.code, 1008);
    let other = Phone::new(10);
    let refusal = other.refused(&scene, json!({"token": "wrong"}), &[READ], "AUTH_TOKEN_MISMATCH");
    assert_eq!(refusal.error["details"]["canRetryWithDeviceToken"], true);
    other.refused(&scene, json!({"deviceToken": token}), &[READ], "AUTH_DEVICE_TOKEN_MISMATCH");
    for _ in 0..7 {
        phone.refused(&scene, json!({"deviceToken": "bogus"}), &[READ], "AUTH_DEVICE_TOKEN_MISMATCH");
    }
    phone.refused(&scene, json!({"deviceToken": token}), &[READ], "AUTH_RATE_LIMITED");
}

#[test]
fn advisory_a_broken_store_lets_nobody_in_and_stays_as_it_is() {
    let mut scene = Scene::new();
    let phone = Phone::new(11);
    let token = phone.pair(&scene, &[READ]);
    scene.gateway.kill();
    let path = scene.state().join("devices/devices.json");
    write(&path, "{\"version\": 1, \"devices\": {");
    scene.restart();
    let refusal =
        phone.connect(&scene, "operator", json!({"deviceToken": token}), &[READ]).expect_err("closed");
    assert_eq!(refusal.error["code"], "UNAVAILABLE", "{refusal:?}");
    phone.operator(&scene, json!({"token": TOKEN}), &[READ]);
    assert_eq!(std::fs::read_to_string(&path).expect("it is there"), "{\"version\": 1, \"devices\": {");
    let health = Output::of(scene.command(&["health", "--json"])).code(1).json();
    assert!(health["problems"].to_string().contains("devices.json"), "{health}");
}
