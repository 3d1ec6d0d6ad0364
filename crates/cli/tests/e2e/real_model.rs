//! Two gateways and a language model that nobody scripted.

use std::thread;
use std::time::Duration;

use serde_json::json;
use testkit::{Output, RealModel, Wire};

use crate::scene::{Person, TOKEN, configure, new_run, start_all, text};
use crate::support::sandbox;

/// How long such a model may think on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

#[test]
fn two_gateways_are_answered_at_once_by_a_real_model() {
    let (sandbox, model) = (sandbox(), RealModel::start());
    let names = ["main", "rescue"];
    for name in names {
        configure(&sandbox, name, &model.base_url(), |it| {
            it["models"]["providers"]["scripted"]["models"] =
                json!([{"id": model.model(), "contextWindow": 400}]);
            // Nobody knows what it would have run.
            it["tools"] = json!({"deny": ["*"]});
            it["agents"]["defaults"]["model"] = json!(format!("scripted/{}", model.model()));
        });
    }
    let (_bases, gateways) = start_all(&sandbox, &names);
    let answers: Vec<String> = thread::scope(|scope| {
        let asked = names.map(|name| {
            let command = sandbox.command(&["--profile", name, "agent", "--message", "Say hello.", "--json"]);
            scope.spawn(move || Output::of(command).success().json())
        });
        let replies = asked.map(|it| it.join().expect("it was answered"));
        replies
            .iter()
            .map(|it| it["result"]["payloads"][0]["text"].as_str().unwrap_or_default().to_owned())
            .collect()
    });
    for ((name, gateway), answer) in names.iter().zip(&gateways).zip(&answers) {
        assert!(!answer.trim().is_empty(), "{name} has no answer");
        assert!(sandbox.state(Some(name)).join("gateway.sqlite").is_file());
        let mut person = Person { wire: Wire::connect(gateway.port(), TOKEN) };
        let messages = person.messages("main");
        let texts: Vec<String> = messages.iter().map(text).collect();
        assert_eq!(texts, ["Say hello.", answer], "{name}");
        assert_eq!(messages[1]["model"], model.model());
        assert!(messages[1]["usage"]["output"].as_u64() > Some(0), "{}", messages[1]);
    }

    let mut person = Person { wire: Wire::connect(gateways[0].port(), TOKEN) };
    person.wire.patience(PATIENCE);
    let params = json!({"sessionKey": "stream", "message": "Say hello.", "idempotencyKey": new_run()});
    let run = params["idempotencyKey"].as_str().expect("a key").to_owned();
    person.wire.request("chat.send", params).expect("started");
    let events = person.watch(&run);
    let pieces = events.iter().filter(|it| it["payload"]["stream"] == "assistant").count();
    assert!(pieces > 1, "the answer came in {pieces} piece");
    assert_eq!(events.last().expect("an end")["payload"]["state"], "final");
}
