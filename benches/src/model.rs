//! A model whose every token is the time at which it was written.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::{Value, json};

/// Between two tokens.
const PACE: Duration = Duration::from_millis(5);

/// Serves answers of `tokens` tokens until the process ends. Each token is the nanoseconds since `zero`, and a
/// space.
pub(crate) fn serve(zero: Instant, tokens: usize) -> Result<String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let url = format!("http://127.0.0.1:{}/v1", listener.local_addr()?.port());
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || answer(stream, zero, tokens));
        }
    });
    Ok(url)
}

/// The delays of the tokens in a piece of text that was read at `now`, in microseconds.
pub(crate) fn delays(text: &str, now: Duration) -> impl Iterator<Item = f64> {
    let stamps = text.split_whitespace().filter_map(|it| it.parse::<u64>().ok());
    stamps.map(move |it| now.saturating_sub(Duration::from_nanos(it)).as_secs_f64() * 1e6)
}

/// Reads one answer as a client without a gateway would: the delays of its tokens, in microseconds.
pub(crate) fn read_directly(url: &str, zero: Instant) -> Result<Vec<f64>> {
    let host = url.trim_start_matches("http://").trim_end_matches("/v1");
    let mut stream = TcpStream::connect(host)?;
    stream.write_all(b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}")?;
    let mut found = Vec::new();
    for line in BufReader::new(stream).lines() {
        let line = line?;
        let now = zero.elapsed();
        let Some(text) = line.strip_prefix("data: ") else { continue };
        let Ok(event) = serde_json::from_str::<Value>(text) else { break };
        found.extend(delays(event["choices"][0]["delta"]["content"].as_str().unwrap_or_default(), now));
    }
    Ok(found)
}

fn answer(stream: TcpStream, zero: Instant, tokens: usize) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut out = stream;
    loop {
        let mut length = 0;
        let mut line = String::new();
        while reader.read_line(&mut line).ok()? > 2 {
            if let Some(text) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = text.trim().parse().ok()?;
            }
            line.clear();
        }
        if length == 0 {
            return None;
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
        out.write_all(head.as_bytes()).ok()?;
        for _ in 0..tokens {
            // A pause is what this server is for: a model takes time for each token.
            thread::sleep(PACE);
            let stamp = format!("{} ", zero.elapsed().as_nanos());
            event(&mut out, &json!({"content": stamp}), &Value::Null)?;
        }
        event(&mut out, &json!({}), &json!("stop"))?;
        chunk(&mut out, "data: [DONE]\n\n")?;
        out.write_all(b"0\r\n\r\n").ok()?;
    }
}

fn event(out: &mut TcpStream, delta: &Value, finish: &Value) -> Option<()> {
    let body = json!({
        "id": "c", "object": "chat.completion.chunk", "created": 1, "model": "tokens",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    });
    chunk(out, &format!("data: {body}\n\n"))
}

fn chunk(out: &mut TcpStream, text: &str) -> Option<()> {
    out.write_all(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes()).ok()
}
