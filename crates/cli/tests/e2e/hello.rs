//! The handshake: who comes in, as what, and how everybody else is told that they do not.

use serde_json::{Value, json};
use testkit::wire::{Refusal, connect_params};
use testkit::{Output, Wire, free_base};

use crate::scene::{MAIN, Scene, TOKEN, configure};
use crate::support::sandbox;

/// The public key of the first test in RFC 8032, and the id that belongs to it: the SHA-256 of the key.
const DEVICE_KEY: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
const DEVICE_ID: &str = "21fe31dfa154a261626bf854046fd2271b7bed4b6abe45aa58877ef47f9721b9";

const MISMATCH: &str =
    "unauthorized: gateway token mismatch (use this gateway's gateway.auth.token or pair the device)";

/// Connects with changed parameters, which must be refused.
#[track_caller]
fn refused(scene: &Scene, change: impl FnOnce(&mut Value)) -> Refusal {
    let mut params = connect_params(TOKEN);
    change(&mut params);
    let refusal = Wire::try_connect(scene.gateway.port(), params).expect_err("it must be refused");
    check_close(&refusal);
    refusal
}

/// The close says what the response said before, as far as a close frame has room.
#[track_caller]
fn check_close(refusal: &Refusal) {
    let message = refusal.error["message"].as_str().expect("a response before the close");
    assert!(refusal.close.reason.len() <= 120, "{refusal:?}");
    let whole = message.len() <= 120;
    assert!(message.starts_with(&refusal.close.reason), "{refusal:?}");
    assert_eq!(whole, message == refusal.close.reason, "{refusal:?}");
}

#[test]
fn the_challenge_is_the_first_frame_and_new_each_time() {
    let scene = Scene::new();
    let challenges = [(); 2].map(|()| Wire::open(scene.gateway.port()).challenge().clone());
    for challenge in &challenges {
        assert!(challenge["payload"]["ts"].is_u64(), "{challenge}");
        assert!(challenge["payload"]["nonce"].as_str().is_some_and(|it| it.len() >= 16), "{challenge}");
        assert!(challenge.get("seq").is_none(), "{challenge}");
    }
    assert_ne!(challenges[0]["payload"]["nonce"], challenges[1]["payload"]["nonce"]);
}

#[test]
fn the_hello_says_who_answers_and_what_there_is() {
    let scene = Scene::new();
    let person = scene.person();
    let hello = person.wire.hello();
    assert_eq!((&hello["type"], &hello["protocol"]), (&json!("hello-ok"), &json!(4)));
    let policy = json!({"maxPayload": 26_214_400, "maxBufferedBytes": 52_428_800, "tickIntervalMs": 30_000});
    assert_eq!(hello["policy"], policy);
    let scopes = json!(["operator.admin", "operator.read", "operator.write"]);
    assert_eq!(hello["auth"], json!({"method": "token", "role": "operator", "scopes": scopes}));
    assert_eq!(hello["server"]["instance"], MAIN);
    assert_eq!(hello["server"]["pid"], scene.gateway.pid());
    assert!(hello["server"]["version"].is_string() && hello["server"]["connId"].is_string(), "{hello}");
    for event in ["agent", "chat", "health", "shutdown", "tick"] {
        assert!(
            hello["features"]["events"].as_array().is_some_and(|it| it.contains(&json!(event))),
            "{event}"
        );
    }
    let defaults = &hello["snapshot"]["sessionDefaults"];
    assert_eq!(defaults["mainSessionKey"], "agent:main:main");
    assert_eq!(hello["snapshot"]["stateDir"], scene.state().display().to_string());
    assert_eq!(hello["snapshot"]["health"]["ok"], true);
    assert!(!hello.to_string().contains(TOKEN), "the token is in the hello");
    // Where things are is for those who may do everything.
    let reader = scene.person_with(|it| it["scopes"] = json!(["operator.read"]));
    let snapshot = &reader.wire.hello()["snapshot"];
    assert!(snapshot.get("stateDir").is_none() && snapshot.get("configPath").is_none(), "{snapshot}");
}

#[test]
fn the_highest_common_version_is_spoken() {
    let scene = Scene::new();
    for (min, max, spoken) in [(3, 3, 3), (4, 4, 4), (3, 4, 4), (1, 9, 4), (1, 3, 3), (4, 7, 4)] {
        let range = |it: &mut Value| (it["minProtocol"], it["maxProtocol"]) = (json!(min), json!(max));
        assert_eq!(scene.person_with(range).wire.hello()["protocol"], spoken, "{min} to {max}");
    }
    for (min, max) in [(1, 2), (5, 9)] {
        let refusal = refused(&scene, |it| (it["minProtocol"], it["maxProtocol"]) = (json!(min), json!(max)));
        assert_eq!(refusal.error["message"], "protocol mismatch");
        let details = json!({
            "code": "PROTOCOL_MISMATCH", "clientMinProtocol": min, "clientMaxProtocol": max,
            "expectedProtocol": 4, "minimumProbeProtocol": 3,
        });
        assert_eq!(refusal.error["details"], details);
        assert_eq!((refusal.close.code, refusal.close.reason.as_str()), (1002, "protocol mismatch"));
    }
}

#[test]
fn the_token_opens_under_either_name_and_nothing_else_does() {
    let scene = Scene::new();
    for auth in
        [json!({"token": TOKEN}), json!({"password": TOKEN}), json!({"token": TOKEN, "password": TOKEN})]
    {
        scene.person_with(|it| it["auth"] = auth);
    }
    let missing =
        "unauthorized: gateway token missing (pass the value of gateway.auth.token of instance main)";
    for (auth, message, code) in [
        (json!({"token": "wrong"}), MISMATCH, "AUTH_TOKEN_MISMATCH"),
        (json!({"token": &TOKEN[1..]}), MISMATCH, "AUTH_TOKEN_MISMATCH"),
        (json!({"password": "wrong"}), MISMATCH, "AUTH_TOKEN_MISMATCH"),
        (json!({"token": ""}), MISMATCH, "AUTH_TOKEN_MISMATCH"),
        (json!({"token": TOKEN, "password": "wrong"}), MISMATCH, "AUTH_TOKEN_MISMATCH"),
        (
            json!({"token": TOKEN, "deviceToken": "wrong"}),
            "unauthorized: device token mismatch (rotate/reissue device token)",
            "AUTH_DEVICE_TOKEN_MISMATCH",
        ),
        (json!({}), missing, "AUTH_TOKEN_MISSING"),
        (Value::Null, missing, "AUTH_TOKEN_MISSING"),
    ] {
        let refusal = refused(&scene, |it| it["auth"] = auth.clone());
        assert_eq!(refusal.error["code"], "INVALID_REQUEST");
        assert_eq!((&refusal.error["message"], refusal.close.code), (&json!(message), 1008), "{auth}");
        let details = &refusal.error["details"];
        assert_eq!((&details["code"], &details["canRetryWithDeviceToken"]), (&json!(code), &json!(false)));
        assert_eq!(details["recommendedNextStep"], "update_auth_credentials");
        assert!(details["authReason"].is_string(), "{refusal:?}");
    }
    assert!(!scene.gateway.log().contains(TOKEN));
}

#[test]
fn what_is_no_good_connect_is_refused_by_its_place() {
    let scene = Scene::new();
    let place = |it: &str| format!("invalid connect params: at {it}");
    for (pointer, value, message) in [
        ("/client/id", json!("evil"), place("/client/id: must be equal to one of the allowed values")),
        (
            "/client/mode",
            json!("operator"),
            place("/client/mode: must be equal to one of the allowed values"),
        ),
        ("/minProtocol", json!("four"), place("/minProtocol: ")),
        ("/scopes", json!("operator.admin"), place("/scopes: ")),
        ("/client", json!({"id": "cli"}), place("/client: missing field `version`")),
        ("/role", json!("boss"), "invalid role".to_owned()),
    ] {
        let refusal = refused(&scene, |it| *it.pointer_mut(pointer).expect("it is there") = value);
        let found = refusal.error["message"].as_str().unwrap_or_default();
        assert!(found.starts_with(&message), "{found}");
        assert_eq!((&refusal.error["code"], refusal.close.code), (&json!("INVALID_REQUEST"), 1008));
    }
    // What nobody knows is nobody's mistake.
    scene.person_with(|it| it["fromTheFuture"] = json!({"a": 1}));

    let mut wire = Wire::open(scene.gateway.port());
    let id = wire.send("health", json!({}));
    let error = wire.response(&id).expect_err("not connected");
    assert_eq!(error["message"], "invalid handshake: first request must be connect");
    assert_eq!(wire.closed().code, 1008);
}

#[test]
fn a_device_that_cannot_prove_itself_is_refused_even_with_the_token() {
    let scene = Scene::new();
    let check = |change: &dyn Fn(&mut Value), code: &str| {
        let wire = Wire::open(scene.gateway.port());
        let challenge = wire.challenge()["payload"].clone();
        let mut params = connect_params(TOKEN);
        params["device"] = json!({
            "id": DEVICE_ID, "publicKey": DEVICE_KEY, "signature": "A".repeat(86),
            "signedAt": challenge["ts"], "nonce": challenge["nonce"],
        });
        change(&mut params["device"]);
        let refusal = wire.handshake(params).expect_err("it proves nothing");
        check_close(&refusal);
        assert_eq!(
            (&refusal.error["details"]["code"], refusal.close.code),
            (&json!(code), 1008),
            "{refusal:?}"
        );
        assert!(refusal.error["details"]["reason"].is_string(), "{refusal:?}");
    };
    check(&|_| {}, "DEVICE_AUTH_SIGNATURE_INVALID");
    check(&|it| it["signature"] = json!("no base64!"), "DEVICE_AUTH_SIGNATURE_INVALID");
    check(&|it| it["publicKey"] = json!("AAAA"), "DEVICE_AUTH_PUBLIC_KEY_INVALID");
    check(&|it| it["id"] = json!("0".repeat(64)), "DEVICE_AUTH_DEVICE_ID_MISMATCH");
    check(&|it| it["signedAt"] = json!(1), "DEVICE_AUTH_SIGNATURE_EXPIRED");
    check(&|it| it["nonce"] = json!("another"), "DEVICE_AUTH_NONCE_MISMATCH");
    check(&|it| drop(it.as_object_mut().expect("an object").remove("nonce")), "DEVICE_AUTH_NONCE_REQUIRED");
}

#[test]
fn who_guesses_is_locked_out_here_and_nowhere_else() {
    let scene = Scene::new();
    let sibling = free_base();
    configure(&scene.sandbox, "rescue", &scene.model.base_url(), |_| {});
    let _rescue = scene.sandbox.start(&["--profile", "rescue"], sibling.port());
    for _ in 0..10 {
        let refusal = refused(&scene, |it| it["auth"]["token"] = json!("guess"));
        assert_eq!(refusal.error["details"]["code"], "AUTH_TOKEN_MISMATCH");
    }
    for token in ["guess", TOKEN] {
        let refusal = refused(&scene, |it| it["auth"]["token"] = json!(token));
        assert_eq!(refusal.error["details"]["code"], "AUTH_RATE_LIMITED");
        assert_eq!(refusal.error["details"]["recommendedNextStep"], "wait_then_retry");
        assert!(refusal.error["retryAfterMs"].as_u64().is_some_and(|it| it > 200_000), "{refusal:?}");
        let words = "unauthorized: too many failed authentication attempts (retry later)";
        assert_eq!((&refusal.error["message"], refusal.close.code), (&json!(words), 1008));
    }
    Wire::connect(sibling.port(), TOKEN);
    // The owner's own way in is another one.
    let _ = Output::of(scene.command(&["health"])).success();
}

#[test]
fn a_password_is_a_secret_like_the_token() {
    let auth = json!({"mode": "password", "password": TOKEN});
    let scene = Scene::of(sandbox(), testkit::ScriptedModel::start(), |it| it["gateway"]["auth"] = auth);
    let person = scene.person_with(|it| it["auth"] = json!({"password": TOKEN}));
    assert_eq!(person.wire.hello()["auth"]["method"], "password");
    let refusal = refused(&scene, |it| it["auth"] = json!({"password": "wrong"}));
    assert_eq!(refusal.error["details"]["code"], "AUTH_PASSWORD_MISMATCH");
    let refusal = refused(&scene, |it| it["auth"] = json!({}));
    assert_eq!(refusal.error["details"]["code"], "AUTH_PASSWORD_MISSING");
}
