//! A client of the gateway protocol that does nothing but measure.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

/// One connection that has said hello.
pub(crate) struct Client {
    socket: WebSocket<TcpStream>,
    asked: u64,
}

impl Client {
    /// Connects as soon as somebody listens, and says hello. Tries without a pause: what is measured is the other
    /// side.
    pub(crate) fn connect_when_ready(port: u16, token: &str, limit: Duration) -> Result<Self> {
        let deadline = Instant::now() + limit;
        loop {
            match TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))) {
                Ok(stream) => match Self::hello(stream, token) {
                    Ok(client) => return Ok(client),
                    // The original listens before it is ready, and then says so.
                    Err(error) if Instant::now() > deadline => return Err(error),
                    Err(_) => std::thread::yield_now(),
                },
                Err(error) if Instant::now() > deadline => bail!("nobody listened on port {port}: {error}"),
                Err(_) => std::thread::yield_now(),
            }
        }
    }

    fn hello(stream: TcpStream, token: &str) -> Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        let url = format!("ws://127.0.0.1:{}/", stream.peer_addr()?.port());
        let (socket, _) = tungstenite::client(url, stream).map_err(|error| anyhow::anyhow!("{error}"))?;
        let mut client = Self { socket, asked: 0 };
        client.frame().context("the challenge")?;
        let params = json!({
            "minProtocol": 3, "maxProtocol": 4, "role": "operator", "caps": [],
            "client": {"id": "cli", "version": "0.1.0", "platform": "linux", "mode": "cli"},
            "scopes": ["operator.admin", "operator.read", "operator.write"], "auth": {"token": token},
        });
        let reply = client.call("connect", &params)?;
        anyhow::ensure!(reply["ok"] == true, "no hello: {reply}");
        Ok(client)
    }

    /// The connection, with nothing left in it that was read and not looked at.
    pub(crate) fn into_stream(self) -> Result<TcpStream> {
        Ok(self.socket.get_ref().try_clone()?)
    }

    /// Asks and waits for the first response.
    pub(crate) fn call(&mut self, method: &str, params: &Value) -> Result<Value> {
        let id = self.send(method, params)?;
        loop {
            let frame = self.frame()?;
            if frame["type"] == "res" && frame["id"] == id.as_str() {
                return Ok(frame);
            }
        }
    }

    /// Asks, and reads no more of the answer than that it is one: for round trips.
    pub(crate) fn round_trip(&mut self, method: &str) -> Result<Duration> {
        let began = Instant::now();
        let id = self.send(method, &json!({}))?;
        let mark = format!("\"id\":\"{id}\"");
        loop {
            if let Message::Text(text) = self.socket.read()?
                && text.contains(&mark)
            {
                return Ok(began.elapsed());
            }
        }
    }

    /// Sends a request.
    pub(crate) fn send(&mut self, method: &str, params: &Value) -> Result<String> {
        self.asked += 1;
        let id = format!("q{}", self.asked);
        let frame = json!({"type": "req", "id": id, "method": method, "params": params});
        self.socket.send(Message::text(frame.to_string()))?;
        Ok(id)
    }

    /// The next frame.
    pub(crate) fn frame(&mut self) -> Result<Value> {
        loop {
            if let Message::Text(text) = self.socket.read()? {
                return Ok(serde_json::from_str(&text)?);
            }
        }
    }
}
