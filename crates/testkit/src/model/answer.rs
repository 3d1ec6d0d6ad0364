//! One connection to the scripted model: requests are read on one thread and answered on another, so that a client
//! that goes away in the middle is noticed at once.

use std::io::{self, BufReader};
use std::net::Shutdown;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Recorded;
use super::http::{self, Request};
use super::play::Player;
use super::state::{Line, Shared};
use super::strict::{self, Refused};

/// What becomes of the connection after an answer.
#[derive(Debug, PartialEq)]
pub(super) enum After {
    Open,
    Close,
    Reset,
}

/// Why an answer is not carried on.
pub(super) type Played = Result<(), After>;

/// Serves a connection until either side ends it.
pub(super) fn serve(line: Arc<Line>, shared: &Arc<Shared>) {
    let (requests, inbox) = mpsc::channel();
    let reader = thread::spawn({
        let (line, shared) = (Arc::clone(&line), Arc::clone(shared));
        move || {
            let mut from = BufReader::new(&line.stream);
            loop {
                match http::read(&mut from) {
                    Ok(Some(request)) => {
                        line.begin();
                        if requests.send(request).is_err() {
                            break;
                        }
                    }
                    Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                        shared.change(|state| state.requests.push(Recorded::broken(&error.to_string())));
                        break;
                    }
                    Ok(None) | Err(_) => break,
                }
            }
            shared.left(&line);
        }
    });
    let mut after = After::Open;
    for request in inbox {
        after = answer(shared, &line, request);
        if after != After::Open {
            break;
        }
    }
    if after == After::Reset {
        // With no lingering, and nobody else who holds the socket, closing it sends a reset.
        let _ = rustix::net::sockopt::set_socket_linger(&line.stream, Some(Duration::ZERO));
        let _ = line.stream.shutdown(Shutdown::Read);
    } else {
        let _ = line.stream.shutdown(Shutdown::Both);
    }
    let _ = reader.join();
}

fn answer(shared: &Shared, line: &Line, request: Request) -> After {
    let closes = request.header("connection").is_some_and(|it| it.eq_ignore_ascii_case("close"));
    let body: Value = serde_json::from_slice(&request.body).unwrap_or(Value::Null);
    let checked = check(shared, &request, &body);
    let is_chat = matches!(checked, Ok(None));
    let refusal = checked.as_ref().err().map(|it| it.message.clone());
    let Request { method, path, headers, .. } = request;
    let record = Recorded { method, path, headers, body: body.clone(), at: Instant::now(), refusal };
    let script = shared.change(|state| {
        state.requests.push(record);
        is_chat.then(|| state.pick(&body))
    });
    let played = match (checked, script) {
        (Ok(None), Some(script)) => Player::new(shared, line, &body, &script).play(),
        (Ok(document), _) => whole(line, 200, "", &document.unwrap_or_default()),
        (Err(refused), _) => whole(line, refused.status, "", &refused.document()),
    };
    match played {
        Ok(()) if closes => After::Close,
        Ok(()) => After::Open,
        Err(after) => after,
    }
}

/// A document to answer with, nothing for a chat completion, or why not.
fn check(shared: &Shared, request: &Request, body: &Value) -> Result<Option<Value>, Refused> {
    let refuse = |status, message: String, code| Err(Refused { status, message, param: None, code });
    let (key, models) = {
        let state = shared.state();
        (state.key.clone(), state.models.clone())
    };
    if let Some(key) = key {
        match request.header("authorization").and_then(|it| it.strip_prefix("Bearer ")) {
            Some(given) if given == key => {}
            Some(given) => {
                let message = format!("Incorrect API key provided: {given}.");
                return refuse(401, message, Some("invalid_api_key"));
            }
            None => return refuse(401, "You didn't provide an API key.".to_owned(), None),
        }
    }
    let path = request.path.split('?').next().unwrap_or_default();
    let describe =
        |id: &String| json!({"id": id, "object": "model", "created": 1_700_000_000, "owned_by": "tests"});
    match (request.method.as_str(), path) {
        ("GET", "/v1/models") => {
            let data: Vec<Value> = models.iter().map(describe).collect();
            Ok(Some(json!({"object": "list", "data": data})))
        }
        ("POST", "/v1/chat/completions") => {
            let kind = request.header("content-type").unwrap_or_default();
            if !kind.to_ascii_lowercase().starts_with("application/json") {
                let message = format!(
                    "Unsupported content type: '{kind}'. This API method only accepts 'application/json' requests, \
                     but you specified the header 'Content-Type: {kind}'."
                );
                return refuse(415, message, Some("unsupported_content_type"));
            }
            strict::check(body, &models).map(|()| None)
        }
        (method, "/v1/models" | "/v1/chat/completions") => {
            refuse(405, format!("Not allowed to {method} on {path}."), None)
        }
        (method, _) => refuse(404, format!("Invalid URL ({method} {path})"), None),
    }
}

/// Sends a whole document, after which the client may go.
pub(super) fn whole(line: &Line, status: u16, headers: &str, document: &Value) -> Played {
    line.finish();
    http::respond(&line.stream, status, headers, &document.to_string()).map_err(|_| After::Close)
}
