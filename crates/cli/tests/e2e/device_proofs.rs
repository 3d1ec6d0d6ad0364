//! What a device proves, seen from outside: its key in each writing, its signature in each version, the version that is
//! spoken, and what becomes of it while the gateway is killed or its secret changes.

use std::fs;

use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER};
use ring::digest::{SHA256, digest};
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};
use testkit::wire::{Refusal, connect_params};
use testkit::{Output, Wire};

use crate::scene::{Scene, TOKEN, until};

const READ: &str = "operator.read";
const ADMIN: &str = "operator.admin";

fn pair(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).expect("a seed")
}

fn id_of(key: &[u8]) -> String {
    HEXLOWER.encode(digest(&SHA256, key).as_ref())
}

/// Connects with what `sign` makes of `|…|TOKEN` and the nonce, and with the key as it is written there.
fn connect(
    scene: &Scene,
    pair: &Ed25519KeyPair,
    written: &str,
    auth: &Value,
    sign: impl Fn(&str, &str) -> Option<String>,
) -> Result<Wire, Refusal> {
    let wire = Wire::open(scene.gateway.port());
    let challenge = wire.challenge()["payload"].clone();
    let (at, nonce) = (challenge["ts"].clone(), challenge["nonce"].as_str().expect("a nonce").to_owned());
    let id = id_of(pair.public_key().as_ref());
    let token = ["token", "deviceToken"].iter().find_map(|it| auth[it].as_str()).unwrap_or_default();
    let signed = sign(&format!("|{id}|cli|cli|operator|{READ}|{at}|{token}"), &nonce);
    let mut params = connect_params(TOKEN);
    params["client"]["platform"] = json!(" Linux ");
    params["client"]["deviceFamily"] = json!("Desktop");
    params["scopes"] = json!([READ]);
    params["auth"] = auth.clone();
    let has_nonce = signed.as_ref().is_some_and(|it| !it.starts_with("v1"));
    let signature = pair.sign(signed.unwrap_or_default().as_bytes());
    let mut device = json!({
        "id": id, "publicKey": written, "signature": BASE64URL_NOPAD.encode(signature.as_ref()), "signedAt": at,
    });
    if has_nonce {
        device["nonce"] = json!(nonce);
    }
    params["device"] = device;
    wire.handshake(params)
}

fn v2(rest: &str, nonce: &str) -> Option<String> {
    Some(format!("v2{rest}|{nonce}"))
}

fn operator(scene: &Scene, pair: &Ed25519KeyPair, auth: &Value) -> Result<Wire, Refusal> {
    connect(scene, pair, &BASE64URL_NOPAD.encode(pair.public_key().as_ref()), auth, v2)
}

fn code(refusal: Result<Wire, Refusal>) -> String {
    match refusal {
        Ok(_) => "let in".to_owned(),
        Err(it) => it.error["details"]["code"].as_str().unwrap_or("none").to_owned(),
    }
}

#[test]
fn a_key_is_taken_in_each_writing_and_a_signature_in_each_version() {
    let scene = Scene::new();
    let (pair, auth) = (pair(1), json!({"token": TOKEN}));
    let raw = pair.public_key().as_ref();
    let envelope = [&[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00], raw].concat();
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", BASE64.encode(&envelope));
    for written in [BASE64URL_NOPAD.encode(raw), BASE64.encode(raw), pem.clone()] {
        assert_eq!(code(connect(&scene, &pair, &written, &auth, v2)), "let in", "{written}");
    }
    let cut = pem.replace("-----END", "----END");
    for written in ["", "AAAA", &cut, &BASE64URL_NOPAD.encode(&envelope)] {
        let found = code(connect(&scene, &pair, written, &auth, v2));
        assert_eq!(found, "DEVICE_AUTH_PUBLIC_KEY_INVALID", "{written}");
    }
    let key = BASE64URL_NOPAD.encode(raw);
    let with = |sign: &dyn Fn(&str, &str) -> Option<String>| code(connect(&scene, &pair, &key, &auth, sign));
    assert_eq!(with(&|rest, nonce| Some(format!("v3{rest}|{nonce}|linux|desktop"))), "let in");
    let wrong = "DEVICE_AUTH_SIGNATURE_INVALID";
    assert_eq!(with(&|rest, nonce| Some(format!("v3{rest}|{nonce}|Linux|desktop"))), wrong);
    assert_eq!(with(&|rest, nonce| Some(format!("v3{rest}|{nonce}|linux|phone"))), wrong);
    assert_eq!(with(&|rest, nonce| Some(format!("v2{rest}x|{nonce}"))), wrong);
    assert_eq!(with(&|rest, _| Some(format!("v2{rest}|another"))), wrong);
    // The oldest has no nonce, so that anybody who heard it once could say it again.
    assert_eq!(with(&|rest, _| Some(format!("v1{rest}"))), "DEVICE_AUTH_NONCE_REQUIRED");
}

#[test]
fn advisory_a_key_that_any_signature_fits_is_none() {
    let scene = Scene::new();
    let mut weak = vec![[0u8; 32], [0xff; 32]];
    weak[1][31] = 0x7f;
    weak[1][0] = 0xed;
    let mut one = [0u8; 32];
    one[0] = 1;
    weak.push(one);
    one[31] = 0x80;
    weak.push(one);
    for key in weak {
        let wire = Wire::open(scene.gateway.port());
        let challenge = wire.challenge()["payload"].clone();
        let mut params = connect_params(TOKEN);
        // For these a signature of nothing but such a point is good for every text.
        let signature = [one, [0; 32]].concat();
        params["device"] = json!({
            "id": id_of(&key), "publicKey": BASE64URL_NOPAD.encode(&key), "signedAt": challenge["ts"],
            "signature": BASE64URL_NOPAD.encode(&signature), "nonce": challenge["nonce"],
        });
        assert_eq!(code(wire.handshake(params)), "DEVICE_AUTH_PUBLIC_KEY_INVALID", "{key:?}");
    }
}

#[test]
fn a_kill_in_the_middle_of_an_approval_leaves_it_done_or_not_begun() {
    let mut scene = Scene::new();
    let mut outcomes = [0, 0];
    for seed in 10..22 {
        let pair = pair(seed);
        let refusal = operator(&scene, &pair, &json!({})).expect_err("it waits");
        let id = refusal.error["details"]["requestId"].clone();
        let mut admin = scene.person_with(|it| it["scopes"] = json!([ADMIN]));
        let sent = admin.wire.send("device.pair.approve", json!({"requestId": id}));
        // Earlier and earlier: at first after the answer, then without waiting for it.
        if seed % 3 == 0 {
            admin.wire.response(&sent).expect("approved");
        }
        scene.gateway.kill();
        scene.restart();
        let after = operator(&scene, &pair, &json!({}));
        let is_done = after.is_ok();
        if let Err(refusal) = after {
            assert_ne!(seed % 3, 0, "what was answered is lost");
            assert_eq!(refusal.error["details"]["code"], "PAIRING_REQUIRED", "{refusal:?}");
        }
        outcomes[usize::from(is_done)] += 1;
        let text = fs::read_to_string(scene.state().join("devices/devices.json")).unwrap_or("{}".to_owned());
        let _: Value = serde_json::from_str(&text).expect("the store is whole");
    }
    assert!(outcomes[1] >= 4, "{outcomes:?}");
}

#[test]
fn advisory_a_secret_that_was_changed_lets_no_device_in_and_closes_what_it_had_let_in() {
    let scene = Scene::new();
    let (first, second) = (pair(30), pair(31));
    let mut by_secret = operator(&scene, &first, &json!({"token": TOKEN})).expect("let in");
    let token = by_secret.hello()["auth"]["deviceToken"].as_str().expect("a token").to_owned();
    let own = json!({"deviceToken": token});
    let mut by_device = operator(&scene, &first, &own).expect("let in");
    let new = "another-token-of-the-test-0123456789";
    let _ = Output::of(scene.command(&["config", "set", "gateway.auth.token", new])).success();
    let close = by_secret.closed();
    assert_eq!(close.code, 4001, "{close:?}");
    let stale = operator(&scene, &second, &json!({"token": TOKEN}));
    assert_eq!(code(stale), "AUTH_TOKEN_MISMATCH");
    // A device's own token is no copy of the secret: it goes on.
    assert!(by_device.request("health", json!({})).is_ok());
    assert_eq!(code(operator(&scene, &first, &own)), "let in");
    assert_eq!(code(operator(&scene, &second, &json!({"token": new}))), "let in");
}

#[test]
fn a_device_is_rejected_renamed_and_removed() {
    let scene = Scene::new();
    let mut admin = scene.person_with(|it| it["scopes"] = json!([ADMIN]));
    let (phone, tablet) = (pair(40), pair(41));
    let refusal = operator(&scene, &phone, &json!({})).expect_err("it waits");
    let id = refusal.error["details"]["requestId"].clone();
    let gone = admin.wire.request("device.pair.reject", json!({"requestId": id})).expect("rejected");
    assert_eq!(gone["requestId"], id, "{gone}");
    let event = admin.wire.next_event(|it| it["event"] == "device.pair.resolved");
    assert_eq!((&event["payload"]["requestId"], &event["payload"]["decision"]), (&id, &json!("rejected")));
    assert!(admin.wire.request("device.pair.approve", json!({"requestId": id})).is_err());
    let again = operator(&scene, &phone, &json!({})).expect_err("it waits anew");
    assert_ne!(again.error["details"]["requestId"], id);

    let mut wire = operator(&scene, &tablet, &json!({"token": TOKEN})).expect("let in");
    let device = id_of(tablet.public_key().as_ref());
    let name = json!({"deviceId": device, "label": "Kitchen"});
    let _ = admin.wire.request("device.pair.rename", name).expect("renamed");
    let listed = admin.wire.request("device.pair.list", json!({})).expect("a list").to_string();
    assert!(listed.contains("Kitchen"), "{listed}");
    for label in ["", &"x".repeat(65)] {
        let params = json!({"deviceId": device, "label": label});
        assert!(admin.wire.request("device.pair.rename", params).is_err(), "{label}");
    }
    let _ = admin.wire.request("device.pair.remove", json!({"deviceId": device})).expect("removed");
    assert_eq!(wire.closed().code, 4001);
    until("the device is still listed", || {
        let listed = admin.wire.request("device.pair.list", json!({})).expect("a list").to_string();
        (!listed.contains("Kitchen")).then_some(())
    });
    assert_eq!(code(operator(&scene, &tablet, &json!({}))), "PAIRING_REQUIRED");
}

#[test]
fn the_version_is_the_highest_in_common_with_a_word_for_probes_and_nodes() {
    let scene = Scene::new();
    let spoken = |mode: &str, role: &str, min: u64, max: u64| {
        let mut params = connect_params(TOKEN);
        (params["minProtocol"], params["maxProtocol"]) = (json!(min), json!(max));
        (params["client"]["mode"], params["role"]) = (json!(mode), json!(role));
        if role == "node" {
            params["scopes"] = json!([]);
            params["client"]["id"] = json!("node-host");
        }
        let told = Wire::open(scene.gateway.port()).handshake(params);
        told.map(|it| it.hello()["protocol"].clone()).map_err(|it| (it.error, it.close.code))
    };
    for (range, expected) in [((3, 3), 3), ((3, 4), 4), ((4, 4), 4), ((1, 9), 4), ((4, 7), 4), ((2, 3), 3)] {
        assert_eq!(spoken("cli", "operator", range.0, range.1), Ok(json!(expected)), "{range:?}");
    }
    // A probe only wants to know whether somebody is there.
    assert_eq!(spoken("probe", "operator", 5, 6), Ok(json!(4)));
    for (mode, min, max) in [("cli", 1, 2), ("cli", 5, 6), ("probe", 1, 2)] {
        let (error, close) = spoken(mode, "operator", min, max).expect_err("refused");
        let details = &error["details"];
        assert_eq!((&error["message"], close), (&json!("protocol mismatch"), 1002), "{error}");
        assert_eq!(
            (&details["code"], &details["expectedProtocol"]),
            (&json!("PROTOCOL_MISMATCH"), &json!(4))
        );
        assert_eq!(
            (&details["clientMinProtocol"], &details["minimumProbeProtocol"]),
            (&json!(min), &json!(3))
        );
    }
}
