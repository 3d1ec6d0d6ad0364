//! An echo server that frames as the gateway does, for conformance suites of WebSocket servers:
//! `cargo run --manifest-path fuzz/Cargo.toml --example echo -- 9001`. It listens on 127.0.0.1 and is no part of the product.

use futures_util::{SinkExt, StreamExt};
use gateway::framing;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::accept_async_with_config;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let port = std::env::args().nth(1).and_then(|it| it.parse().ok()).unwrap_or(0);
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    println!("echoing on ws://{}", listener.local_addr()?);
    loop {
        let (socket, _) = listener.accept().await?;
        tokio::spawn(echo(socket));
    }
}

async fn echo(socket: TcpStream) {
    let Ok(mut socket) = accept_async_with_config(socket, Some(framing::limits())).await else { return };
    while let Some(message) = socket.next().await {
        let end = match message {
            Ok(it @ (Message::Text(_) | Message::Binary(_))) => match socket.send(it).await {
                Ok(()) => continue,
                Err(_) => return,
            },
            Ok(Message::Close(_)) => {
                // The answer to it is written already.
                let _ = socket.flush().await;
                continue;
            }
            Ok(_) => continue,
            Err(error) => framing::close_of(&error),
        };
        if end.0 != 0 {
            let frame = CloseFrame { code: CloseCode::from(end.0), reason: end.1.into() };
            let _ = socket.close(Some(frame)).await;
        }
        return;
    }
}
