//! Any text as the parameters of `connect`: read or refused; a version that both sides speak, no scope that was not asked
//! for, and no secret in what is printed of it.

use protocol::connect::ConnectParams;
use protocol::{Scope, Scopes, VERSIONS, negotiate};
use serde::Deserialize as _;
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// A secret that no input has by itself.
const SECRET: &str = "pl4nted-s3cret";

/// Panics where something does not hold.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if text.contains(SECRET) {
        return;
    }
    if serde_json::from_str::<&RawValue>(text).is_err() {
        assert!(serde_json::from_str::<ConnectParams>(text).is_err(), "no JSON, and read all the same");
    }
    // A number without bounds is JSON, and no value; where nobody reads it, it is passed over.
    let Ok(mut value) = serde_json::from_str::<Value>(text) else { return };
    check_value(&value);
    // As much of it as makes it read.
    if let Value::Object(it) = &mut value {
        it.entry("minProtocol").or_insert(json!(3));
        it.entry("maxProtocol").or_insert(json!(4));
        let client = json!({"id": "cli", "version": "1", "platform": "linux", "mode": "cli"});
        it.entry("client").or_insert(client);
        if it.get("auth").is_none_or(Value::is_object) {
            let auth = it.entry("auth").or_insert(json!({}));
            for name in ["token", "password", "deviceToken", "bootstrapToken"] {
                auth[name] = json!(SECRET);
            }
        }
        check_value(&value);
    }
}

fn check_value(value: &Value) {
    let Ok(params) = ConnectParams::deserialize(value) else { return };
    let (min, max) = (params.min_protocol, params.max_protocol);
    if let Some(version) = negotiate(min, max) {
        assert!((min..=max).contains(&version) && (VERSIONS.0..=VERSIONS.1).contains(&version));
    }
    let scopes = Scopes::asked(&params.scopes);
    for name in scopes.names() {
        assert!(params.scopes.contains(&name), "{name} was not asked for");
    }
    if params.scopes.is_empty() {
        assert!(!Scope::ALL.into_iter().any(|it| scopes.allow(it)), "nothing asked, something granted");
    }
    assert!(!format!("{params:?}").contains(SECRET), "a secret is shown");
    let again = serde_json::to_value(&params).expect("it writes");
    let again = ConnectParams::deserialize(&again).expect("what is written is read");
    assert_eq!((again.min_protocol, again.scopes), (min, params.scopes));
}
