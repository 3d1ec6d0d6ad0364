//! A server for tests that says what it is told to, byte for byte.

use std::time::Duration;

use base::Secret;
use futures_util::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::openai_chat::{OpenAiChat, Settings};
use crate::{Delta, DeltaStream, Message, ModelError, ModelRequest};

/// The key that the provider of [`Script::provider`] sends.
pub(crate) const KEY: &str = "sk-very-secret-0123456789";

/// The head of a stream whose end is the end of the connection.
pub(crate) const STREAM: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";

/// A listener on a port of its own.
pub(crate) struct Script {
    listener: TcpListener,
}

impl Script {
    pub(crate) async fn new() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.expect("a port") }
    }

    /// Its base URL, with a trailing slash to be taken off.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/v1/", self.listener.local_addr().expect("bound"))
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings::new("fake", self.url(), Secret::new(KEY))
    }

    pub(crate) fn provider(&self) -> OpenAiChat {
        OpenAiChat::new(self.settings()).expect("a good URL")
    }

    /// Answers one connection with the pieces as they are and closes it; gives the request.
    pub(crate) fn answer(&self, pieces: &[&str]) -> impl Future<Output = String> + use<'_> {
        let pieces = owned(pieces);
        async move { self.begin(&pieces).await.1 }
    }

    /// Like [`Script::answer`], but says nothing more and waits until the client closes the connection.
    pub(crate) fn hang(&self, pieces: &[&str]) -> impl Future<Output = ()> + use<'_> {
        let pieces = owned(pieces);
        async move {
            let (mut socket, _) = self.begin(&pieces).await;
            // A reset is a close as well.
            while socket.read(&mut [0; 256]).await.is_ok_and(|n| n > 0) {}
        }
    }

    /// A stream of the pieces, each in an HTTP chunk of its own so that it arrives by itself.
    pub(crate) fn stream(&self, pieces: &[&str]) -> impl Future<Output = String> + use<'_> {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n\
                    transfer-encoding: chunked\r\nconnection: close\r\n\r\n";
        let mut all = vec![head.to_owned()];
        all.extend(pieces.iter().map(|it| format!("{:x}\r\n{it}\r\n", it.len())));
        all.push("0\r\n\r\n".to_owned());
        async move { self.begin(&all).await.1 }
    }

    /// Answers two questions on one connection.
    pub(crate) async fn answer_twice(&self, answer: &str) {
        let (mut socket, _) = self.begin(&[answer.to_owned()]).await;
        request(&mut socket).await;
        socket.write_all(answer.as_bytes()).await.expect("a client that reads");
    }

    /// Speaks first, whatever the client wants, and closes.
    pub(crate) async fn interrupt(&self, words: &str) {
        let (mut socket, _) = self.listener.accept().await.expect("a connection");
        socket.write_all(words.as_bytes()).await.expect("a client that reads");
    }

    async fn begin(&self, pieces: &[String]) -> (TcpStream, String) {
        let (mut socket, _) = self.listener.accept().await.expect("a connection");
        let request = request(&mut socket).await;
        socket.set_nodelay(true).expect("an open socket");
        for piece in pieces {
            // A client that has read enough may have gone.
            if socket.write_all(piece.as_bytes()).await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
        (socket, request)
    }
}

fn owned(pieces: &[&str]) -> Vec<String> {
    pieces.iter().map(|it| (*it).to_owned()).collect()
}

/// An answer in one piece.
pub(crate) fn whole(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n{body}", body.len())
}

/// A question.
pub(crate) fn question() -> ModelRequest {
    ModelRequest {
        model: "m".to_owned(),
        system: String::new(),
        messages: vec![Message::User { text: "hello".to_owned(), images: Vec::new() }],
        tools: Vec::new(),
        max_tokens: None,
        effort: None,
    }
}

/// Everything up to the end, within a bound that no test reaches.
pub(crate) async fn all(stream: DeltaStream) -> Vec<Result<Delta, ModelError>> {
    let all = tokio::time::timeout(Duration::from_secs(60), stream.collect());
    all.await.expect("the stream ends")
}

/// The only error of a stream.
pub(crate) async fn error(stream: DeltaStream) -> ModelError {
    let mut all = all(stream).await;
    all.pop().expect("an error").expect_err("no success")
}

async fn request(socket: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let n = socket.read(&mut buffer).await.expect("a request");
        bytes.extend_from_slice(&buffer[..n]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            assert!(n > 0, "half a request: {text}");
            continue;
        };
        let length =
            head.lines().find_map(|it| it.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if n == 0 || body.len() >= length.unwrap_or(0) {
            return text;
        }
    }
}
