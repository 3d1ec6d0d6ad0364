//! OpenAI's API: answers whole and in a stream, conversations, tools of the caller, and who hangs up.

use serde_json::{Value, json};
use testkit::Script;

use crate::http::{Answer, Ask};
use crate::http_routes::open_scene;
use crate::scene::{Scene, TOKEN};

const CHAT: &str = "/v1/chat/completions";
const RESPONSES: &str = "/v1/responses";

fn chat(scene: &Scene, body: &Value) -> Ask {
    Ask::post(scene.gateway.port(), CHAT, body).known()
}

fn say(text: &str) -> Value {
    json!({"model": "openclaw", "messages": [{"role": "user", "content": text}]})
}

/// A body with more keys.
fn with(mut body: Value, more: Value) -> Value {
    let more = more.as_object().expect("an object").clone();
    body.as_object_mut().expect("an object").extend(more);
    body
}

/// The chunks of a stream, without the mark at its end.
#[track_caller]
fn chunks(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(
        answer.header("content-type").is_some_and(|it| it.starts_with("text/event-stream")),
        "{answer:?}"
    );
    let mut data = answer.data();
    assert_eq!(data.pop(), Some("[DONE]"), "{answer:?}");
    data.iter().map(|it| serde_json::from_str(it).expect("JSON")).collect()
}

fn content(chunks: &[Value]) -> String {
    chunks.iter().filter_map(|it| it["choices"][0]["delta"]["content"].as_str()).collect()
}

#[test]
fn a_completion_has_the_shape_that_clients_know() {
    let scene = open_scene();
    let answer = chat(&scene, &say("hello")).send().ok();
    assert_eq!((&answer["object"], &answer["model"]), (&json!("chat.completion"), &json!("openclaw")));
    assert!(answer["id"].as_str().is_some_and(|it| it.starts_with("chatcmpl_")), "{answer}");
    assert!(
        answer["created"].as_u64().is_some_and(|it| (1_700_000_000..9_999_999_999).contains(&it)),
        "{answer}"
    );
    let choice = &answer["choices"][0];
    assert_eq!(choice["message"], json!({"role": "assistant", "content": "echo: hello", "refusal": null}));
    assert_eq!((&choice["finish_reason"], &choice["index"]), (&json!("stop"), &json!(0)));
    let usage = &answer["usage"];
    let total = usage["prompt_tokens"].as_u64().zip(usage["completion_tokens"].as_u64()).map(|(a, b)| a + b);
    assert!(total.is_some_and(|it| it > 0) && usage["total_tokens"].as_u64() == total, "{usage}");
}

#[test]
fn a_stream_says_the_same_bit_by_bit() {
    let scene = open_scene();
    scene.model.on("count", Script::new().text("one two three four").pieces(4));
    let body = with(say("count"), json!({"stream": true, "stream_options": {"include_usage": true}}));
    let answer = chat(&scene, &body).send();
    let mut chunks = chunks(&answer);
    let usage = chunks.pop().expect("the usage");
    assert_eq!(usage["choices"], json!([]));
    assert!(usage["usage"]["total_tokens"].as_u64().is_some_and(|it| it > 0), "{usage}");
    assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
    assert_eq!(content(&chunks), "one two three four");
    let last = &chunks.last().expect("an end")["choices"][0];
    assert_eq!((&last["delta"], &last["finish_reason"]), (&json!({}), &json!("stop")));
    let id = &chunks[0]["id"];
    for chunk in &chunks {
        assert_eq!((&chunk["object"], &chunk["id"]), (&json!("chat.completion.chunk"), id));
        assert_eq!(chunk["usage"], Value::Null, "{chunk}");
    }
}

#[test]
fn the_agent_uses_its_own_tools_and_the_texts_follow_each_other() {
    let scene = open_scene();
    let look = Script::new().text("I will look.").call("exec", json!({"command": "echo found"}));
    scene.model.on("look", look.then(Script::new().text("Done.")));
    let whole = chat(&scene, &say("look")).send().ok();
    assert_eq!(whole["choices"][0]["message"]["content"], "I will look.\n\nDone.");
    let look = Script::new().text("I will look.").call("exec", json!({"command": "echo found"}));
    scene.model.on("again", look.then(Script::new().text("Done.")));
    let stream = chat(&scene, &with(say("again"), json!({"stream": true}))).send();
    assert_eq!(content(&chunks(&stream)), "I will look.\n\nDone.");
}

#[test]
fn a_request_is_a_conversation_of_its_own_unless_it_names_one() {
    let scene = open_scene();
    let messages = json!({"model": "openclaw/main", "messages": [
        {"role": "system", "content": "Speak like a pirate."},
        {"role": "user", "content": "first"}, {"role": "assistant", "content": "aye"},
        {"role": "user", "content": [{"type": "text", "text": "second"}]},
    ]});
    assert_eq!(chat(&scene, &messages).send().ok()["choices"][0]["message"]["content"], "echo: second");
    let shown = |at: usize| {
        let asked = scene.model.requests();
        let words = asked[at].messages().iter().map(|it| {
            let text = it["content"].as_str().unwrap_or_default();
            let text =
                if it["role"] == "system" { text.contains("pirate").to_string() } else { text.to_owned() };
            format!("{}:{text}", it["role"].as_str().unwrap_or_default())
        });
        words.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(shown(0), "system:true user:first assistant:aye user:second");
    chat(&scene, &say("third")).send().ok();
    assert_eq!(shown(1), "system:false user:third");

    // The same user goes on where it was; what it sends again is not said twice.
    let as_user = |text: &str, before: &[&str]| {
        let mut body = with(say(text), json!({"user": "ann"}));
        let before: Vec<Value> = before
            .iter()
            .enumerate()
            .map(|(at, it)| json!({"role": if at % 2 == 0 { "user" } else { "assistant" }, "content": it}))
            .collect();
        let last = body["messages"][0].clone();
        body["messages"] = before.into_iter().chain([last]).collect();
        chat(&scene, &body).send().ok();
    };
    as_user("one", &[]);
    as_user("two", &["one", "echo: one"]);
    assert_eq!(shown(3), "system:false user:one assistant:echo: one user:two");
    let mut person = scene.person();
    assert_eq!(
        person.history("agent:main:openai-user:ann"),
        ["user: one", "assistant: echo: one", "user: two", "assistant: echo: two"]
    );
    // And a conversation may be named.
    chat(&scene, &say("here")).header("x-openclaw-session-key: desk").send().ok();
    assert_eq!(person.history("desk"), ["user: here", "assistant: echo: here"]);
}

#[test]
fn what_cannot_be_served_is_refused_in_the_shape_of_the_api() {
    let scene = open_scene();
    let check = |body: Value, headers: &str, words: &str| {
        let ask = chat(&scene, &body);
        let answer = if headers.is_empty() { ask } else { ask.header(headers) }.send();
        let error = answer.json()["error"].clone();
        assert_eq!((answer.status, &error["type"]), (400, &json!("invalid_request_error")), "{body}");
        assert!(error["message"].as_str().is_some_and(|it| it.contains(words)), "{words}: {error}");
    };
    check(json!([]), "", "invalid request body");
    check(json!({"messages": "x"}), "", "at /messages: ");
    check(json!({"messages": [{"role": 5}]}), "", "at /messages/0/role: ");
    check(json!({"model": "gpt-4o", "messages": []}), "", "Use `openclaw` or `openclaw/<agentId>`.");
    check(json!({"model": "openclaw/nobody", "messages": []}), "", "Invalid `model`");
    check(json!({"messages": []}), "", "Missing user message in `messages`.");
    check(json!({"messages": [{"role": "boss", "content": "x"}]}), "", "unknown role");
    check(with(say("x"), json!({"n": 2})), "", "`n`");
    check(with(say("x"), json!({"max_tokens": 0})), "", "at least 1");
    check(with(say("x"), json!({"tools": [{"type": "web_search"}]})), "", "`tools`");
    let image = json!([{"type": "image_url", "image_url": {"url": "https://x/y.png"}}]);
    check(json!({"messages": [{"role": "user", "content": image}]}), "", "image_url");
    check(say("x"), "x-openclaw-agent-id: nobody", "unknown agent id");
    check(say("x"), "x-openclaw-session-key: subagent:x", "subagent:");
    check(say("x"), "x-openclaw-session-key: agent:main:cron:x", "cron:");
    check(say("x"), "x-openclaw-session-key: agent:nobody:x", "unknown agent id");
    check(say("x"), "x-openclaw-model: nobody/x", "no provider \"nobody\"");
    assert_eq!(scene.model.requests().len(), 0);
    let broken = Ask::of(scene.gateway.port(), "POST", CHAT).known().body(b"{\"messages\": [").send();
    assert_eq!(
        (broken.status, broken.json()["error"]["type"].clone()),
        (400, json!("invalid_request_error"))
    );
    // What the model refuses is not told as an answer, and not to be tried again.
    scene.model.on("boom", Script::new().status(400));
    let failed = chat(&scene, &say("boom")).send();
    assert_eq!((failed.status, failed.header("x-should-retry")), (502, Some("false")), "{failed:?}");
    assert_eq!(failed.json()["error"]["type"], "api_error");
    let stream = chat(&scene, &with(say("boom"), json!({"stream": true}))).send();
    let chunks = chunks(&stream);
    assert_eq!(chunks.last().expect("an error")["error"]["type"], "api_error", "{chunks:?}");
}

#[test]
fn a_model_may_be_chosen_and_its_answer_bounded() {
    let scene = open_scene();
    let body = with(say("hi"), json!({"max_tokens": 7}));
    for model in ["scripted/scripted-1", "scripted-1"] {
        chat(&scene, &body).header(&format!("x-openclaw-model: {model}")).send().ok();
        let asked = scene.model.requests().pop().expect("asked");
        assert_eq!(asked.body["model"], "scripted-1");
        let bound = asked.body.get("max_tokens").or(asked.body.get("max_completion_tokens"));
        assert_eq!(bound, Some(&json!(7)), "{}", asked.body);
    }
    scene.model.on("long", Script::new().text("cut").finish("length"));
    assert_eq!(chat(&scene, &say("long")).send().ok()["choices"][0]["finish_reason"], "length");
}

#[test]
fn who_hangs_up_ends_the_turn() {
    let scene = open_scene();
    for (name, stream) in [("streamed", true), ("whole", false)] {
        let gate = format!("gate-{name}");
        scene.model.on(name, Script::new().text("begun").pieces(1).wait(&gate));
        let ask = chat(&scene, &with(say(name), json!({"stream": stream, "user": name})));
        if stream {
            ask.stream().wait("begun");
        } else {
            let open = ask.open();
            let mut person = scene.person();
            let key = format!("agent:main:openai-user:{name}");
            crate::scene::until("nothing is said", || {
                let history = person.wire.request("chat.history", json!({"sessionKey": key})).ok()?;
                (history["inFlightRun"]["text"] == "begun").then_some(())
            });
            drop(open);
        }
        scene.model.wait_disconnect();
        let mut person = scene.person();
        let history = crate::scene::until("the turn goes on", || {
            let history = person.history(&format!("agent:main:openai-user:{name}"));
            (history.len() == 2).then_some(history)
        });
        assert_eq!(history[1], "assistant[aborted]: begun");
    }
}

#[test]
fn a_stop_by_an_operator_is_no_answer() {
    let scene = open_scene();
    scene.model.on("slowly", Script::new().text("begun").pieces(1).wait("gate"));
    let mut stream = chat(&scene, &with(say("slowly"), json!({"stream": true, "user": "ann"}))).stream();
    stream.wait("begun");
    let stopped =
        scene.person().wire.request("chat.abort", json!({"sessionKey": "agent:main:openai-user:ann"}));
    assert_eq!(stopped.expect("stopped")["aborted"], true);
    let rest = stream.rest();
    assert!(rest.contains("stopped by an operator") && !rest.contains("finish_reason\":\"stop"), "{rest}");
}

#[test]
fn tools_of_the_caller_are_called_by_the_model_and_run_by_the_caller() {
    let scene = open_scene();
    let weather = json!([{"type": "function", "function": {
        "name": "get_weather", "description": "d",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    }}]);
    let calls = || Script::new().text("Let me see.").call("get_weather", json!({"city": "Oslo"}));
    scene.model.on("weather", calls());
    let body = with(say("weather"), json!({"tools": weather, "user": "ann"}));
    let answer = chat(&scene, &body).send().ok();
    let choice = &answer["choices"][0];
    assert_eq!(
        (&choice["finish_reason"], &choice["message"]["content"]),
        (&json!("tool_calls"), &json!("Let me see."))
    );
    let call = choice["message"]["tool_calls"][0].clone();
    assert_eq!((&call["type"], &call["function"]["name"]), (&json!("function"), &json!("get_weather")));
    let arguments = call["function"]["arguments"].as_str().expect("a text");
    assert_eq!(serde_json::from_str::<Value>(arguments).expect("JSON"), json!({"city": "Oslo"}));
    let shown: Vec<String> = scene.model.requests()[0].body["tools"]
        .as_array()
        .expect("tools")
        .iter()
        .map(|it| it["function"]["name"].as_str().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(shown, ["read", "write", "edit", "exec", "get_weather"]);

    // The result comes with the next request.
    let mut next = body.clone();
    let said = choice["message"].clone();
    let result = json!({"role": "tool", "tool_call_id": call["id"], "content": "12 degrees"});
    next["messages"] = json!([body["messages"][0], said, result]);
    scene.model.on("12 degrees", Script::new().text("It is mild."));
    let end = chat(&scene, &next).send().ok();
    assert_eq!(end["choices"][0]["message"]["content"], "It is mild.");
    assert_eq!(scene.model.refusals(), Vec::<String>::new());
    // Without a conversation of its own, too.
    next.as_object_mut().expect("an object").remove("user");
    assert_eq!(chat(&scene, &next).send().ok()["choices"][0]["message"]["content"], "It is mild.");
    assert_eq!(scene.model.refusals(), Vec::<String>::new());

    scene.model.on("stream", calls());
    let stream = chat(&scene, &with(say("stream"), json!({"tools": weather, "stream": true}))).send();
    let chunks = chunks(&stream);
    let deltas = chunks.iter().filter_map(|it| it["choices"][0]["delta"]["tool_calls"][0].as_object());
    let names: Vec<_> = deltas.map(|it| (it["index"].clone(), it["function"]["name"].clone())).collect();
    assert_eq!(names, [(json!(0), json!("get_weather"))]);
    assert_eq!(chunks.last().expect("an end")["choices"][0]["finish_reason"], "tool_calls");
    // Who must call and does not has not answered.
    let must = with(say("hello"), json!({"tools": weather, "tool_choice": "required"}));
    assert_eq!(chat(&scene, &must).send().status, 502);
}

#[test]
fn models_are_agents() {
    let scene = open_scene();
    let port = scene.gateway.port();
    let list = Ask::get(port, "/v1/models").known().send().ok();
    let names: Vec<_> = list["data"].as_array().expect("a list").iter().map(|it| it["id"].clone()).collect();
    assert_eq!(
        (&list["object"], names),
        (&json!("list"), ["openclaw", "openclaw/default", "openclaw/main"].map(Value::from).to_vec())
    );
    for id in ["openclaw", "openclaw%2Fdefault", "openclaw/main", "openclaw%2fmain"] {
        let model = Ask::get(port, &format!("/v1/models/{id}")).known().send().ok();
        assert_eq!((&model["object"], &model["owned_by"]), (&json!("model"), &json!("openclaw")));
    }
    for id in ["gpt-4o", "openclaw%2Fnobody", "openclaw%252Fmain", "agent:main"] {
        assert_eq!(Ask::get(port, &format!("/v1/models/{id}")).known().send().status, 404, "{id}");
    }
}

#[test]
fn a_response_has_its_shape_and_its_events_their_order() {
    let scene = open_scene();
    let port = scene.gateway.port();
    let ask = |body: Value| Ask::post(port, RESPONSES, &body).known();
    let first = ask(json!({"model": "openclaw", "input": "hello"})).send().ok();
    assert_eq!((&first["object"], &first["status"]), (&json!("response"), &json!("completed")));
    let item = &first["output"][0];
    assert_eq!(
        (&item["type"], &item["role"], &item["status"]),
        (&json!("message"), &json!("assistant"), &json!("completed"))
    );
    assert_eq!(
        (&item["content"][0]["type"], &item["content"][0]["text"]),
        (&json!("output_text"), &json!("echo: hello"))
    );
    assert!(first["usage"]["total_tokens"].as_u64().is_some_and(|it| it > 0), "{first}");

    let body = json!({"input": [{"role": "user", "content": [{"type": "input_text", "text": "again"}]}],
        "instructions": "Be short.", "stream": true, "previous_response_id": first["id"]});
    let stream = ask(body).send();
    let mut events = chunks(&stream);
    let kinds: Vec<&str> = events.iter().filter_map(|it| it["type"].as_str()).collect();
    let named: Vec<&str> = stream.body.lines().filter_map(|it| it.strip_prefix("event: ")).collect();
    assert_eq!(named, kinds);
    let deltas = kinds.iter().filter(|it| **it == "response.output_text.delta").count();
    assert!(deltas > 0);
    let order: Vec<_> = kinds.into_iter().filter(|it| *it != "response.output_text.delta").collect();
    let expected = [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ];
    assert_eq!(order, expected.map(|it| format!("response.{it}")));
    let numbers: Vec<_> = events.iter().map(|it| it["sequence_number"].as_u64()).collect();
    assert_eq!(numbers, (0..events.len() as u64).map(Some).collect::<Vec<_>>());
    let last = events.pop().expect("an end");
    assert_eq!(last["response"]["output"][0]["content"][0]["text"], "echo: again");
    // It went on where the first had ended, and the instructions are for this one alone.
    let asked = scene.model.requests().pop().expect("asked");
    let users = asked.messages().iter().filter(|it| it["role"] == "user").count();
    assert_eq!(
        (users, asked.messages()[0]["content"].as_str().is_some_and(|it| it.contains("Be short."))),
        (2, true)
    );

    for (id, user) in [
        ("resp_unknown", Value::Null),
        ("agent:main:main", Value::Null),
        (first["id"].as_str().expect("an id"), json!("bob")),
    ] {
        let answer = ask(json!({"input": "x", "previous_response_id": id, "user": user})).send();
        assert_eq!(answer.status, 400, "{answer:?}");
    }
}

#[test]
fn a_response_calls_and_fails_as_the_api_says() {
    let scene = open_scene();
    let ask = |body: Value| Ask::post(scene.gateway.port(), RESPONSES, &body).known();
    let tools = json!([{"type": "function", "name": "get_weather", "parameters": {"type": "object"}}]);
    scene.model.on("weather", Script::new().call("get_weather", json!({"city": "Oslo"})));
    let called = ask(json!({"input": "weather", "tools": tools})).send().ok();
    let call = &called["output"][0];
    assert_eq!((&call["type"], &call["name"]), (&json!("function_call"), &json!("get_weather")), "{called}");
    scene.model.on("cold", Script::new().text("Stay in."));
    let output = json!({"type": "function_call_output", "call_id": call["call_id"], "output": "cold"});
    let end =
        ask(json!({"input": [output], "previous_response_id": called["id"], "tools": tools})).send().ok();
    assert_eq!(end["output"][0]["content"][0]["text"], "Stay in.");
    let stateless = json!([{"role": "user", "content": "weather"}, call, output]);
    let end = ask(json!({"input": stateless, "tools": tools})).send().ok();
    assert_eq!(end["output"][0]["content"][0]["text"], "Stay in.");
    assert_eq!(scene.model.refusals(), Vec::<String>::new());
    let streamed = chunks(&ask(json!({"input": "weather", "tools": tools, "stream": true})).send());
    assert!(streamed.iter().any(|it| it["type"] == "response.function_call_arguments.done"), "{streamed:?}");

    scene.model.on("boom", Script::new().status(400));
    assert_eq!(ask(json!({"input": "boom"})).send().status, 502);
    let failed = chunks(&ask(json!({"input": "boom", "stream": true})).send());
    let last = failed.last().expect("an end");
    assert_eq!((&last["type"], &last["response"]["status"]), (&json!("response.failed"), &json!("failed")));
    scene.model.on("long", Script::new().text("cut").finish("length"));
    let cut = ask(json!({"input": "long"})).send().ok();
    assert_eq!(
        (&cut["status"], &cut["incomplete_details"]["reason"]),
        (&json!("incomplete"), &json!("max_output_tokens"))
    );
    for (body, words) in [
        (json!({}), "missing field `input`"),
        (json!({"input": 5}), "`input` must be"),
        (json!({"input": []}), "Missing user message"),
        (json!({"input": [{"type": "input_image"}]}), "input_image"),
        (json!({"input": "x", "tools": [{"type": "web_search"}]}), "`tools`"),
    ] {
        let answer = ask(body).send();
        assert!(answer.status == 400 && answer.body.contains(words), "{words}: {answer:?}");
    }
}

#[test]
fn a_stop_of_the_gateway_is_told_to_who_listens() {
    let mut scene = open_scene();
    scene.model.on("slowly", Script::new().text("begun").pieces(1).wait("gate"));
    let mut stream = chat(&scene, &with(say("slowly"), json!({"stream": true}))).stream();
    assert_eq!(stream.status, 200);
    stream.wait("begun");
    assert_eq!(scene.gateway.stop(), 0);
    let rest = stream.rest();
    assert!(rest.contains("the gateway stops") && rest.contains("[DONE]"), "{rest}");
    assert!(!scene.gateway.log().contains(TOKEN));
}
