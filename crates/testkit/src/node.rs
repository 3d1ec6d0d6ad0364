//! A node: a device with a key of its own, that declares commands and answers what it is asked.

use std::time::{SystemTime, UNIX_EPOCH};

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use ring::digest::{SHA256, digest};
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};

use crate::Wire;
use crate::wire::Refusal;

/// One node that is connected.
#[derive(Debug)]
pub struct Node {
    /// Its connection.
    pub wire: Wire,
    /// The id of its device.
    pub id: String,
}

impl Node {
    /// Connects a node whose key is made of `seed`, on Linux, with these commands.
    ///
    /// # Errors
    /// When the gateway refuses the connection.
    #[track_caller]
    pub fn connect(port: u16, token: &str, seed: u8, commands: &[&str]) -> Result<Node, Refusal> {
        let wire = Wire::open(port);
        let mut params = json!({
            "minProtocol": 3, "maxProtocol": 4, "role": "node", "scopes": [], "caps": ["system"],
            "client": {"id": "node-host", "version": "1.0", "platform": "linux", "mode": "node",
                "displayName": format!("node {seed}")},
            "commands": commands, "permissions": {}, "auth": {"token": token},
        });
        let nonce = wire.challenge()["payload"]["nonce"].as_str().expect("a nonce").to_owned();
        let id = prove(&mut params, seed, &nonce);
        Ok(Node { wire: wire.handshake(params)?, id })
    }

    /// Waits for a request, and answers it with what `answer` makes of its command and its parameters.
    #[track_caller]
    pub fn serve(&mut self, answer: impl Fn(&str, &Value) -> Value) -> Value {
        let asked = self.wire.next_event(|it| it["event"] == "node.invoke.request")["payload"].clone();
        let params: Value = asked["paramsJSON"]
            .as_str()
            .map_or(Value::Null, |it| serde_json::from_str(it).expect("the parameters are JSON"));
        let payload = answer(asked["command"].as_str().unwrap_or_default(), &params);
        let result =
            json!({"id": asked["id"], "nodeId": self.id, "ok": true, "payloadJSON": payload.to_string()});
        self.wire.request("node.invoke.result", result).expect("it is taken")
    }
}

/// Signs `connect` with a key that is made of `seed`. Returns the id of the device.
pub fn prove(params: &mut Value, seed: u8, nonce: &str) -> String {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).expect("a seed of 32 bytes");
    let key = pair.public_key().as_ref();
    let id = HEXLOWER.encode(digest(&SHA256, key).as_ref());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis();
    let now = u64::try_from(now).expect("not so far in the future");
    let text = |it: &Value| it.as_str().unwrap_or_default().to_owned();
    let scopes: Vec<String> = params["scopes"].as_array().into_iter().flatten().map(text).collect();
    let client = &params["client"];
    let signed = format!(
        "v2|{id}|{}|{}|{}|{}|{now}|{}|{nonce}",
        text(&client["id"]),
        text(&client["mode"]),
        text(&params["role"]),
        scopes.join(","),
        text(&params["auth"]["token"]),
    );
    let signature = BASE64URL_NOPAD.encode(pair.sign(signed.as_bytes()).as_ref());
    params["device"] = json!({
        "id": id, "publicKey": BASE64URL_NOPAD.encode(key), "signature": signature, "signedAt": now, "nonce": nonce,
    });
    id
}
