//! One request, one bounded answer. Never follows a redirect, since that would carry the key elsewhere, and
//! loads the root certificates only when the first `https` URL is asked.

use std::error::Error;
use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::{Request, StatusCode};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error as ClientError};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::{Instant, timeout};

use crate::ErrorKind;

/// How long a connection may take to come about.
pub const CONNECT: Duration = Duration::from_secs(10);
/// How long until the answer begins: models that think first are slow.
pub const FIRST_BYTE: Duration = Duration::from_secs(120);
/// How long an answer that has begun may be silent.
pub const IDLE: Duration = Duration::from_secs(120);
/// The largest body that is taken as a whole, in bytes.
pub const LONGEST_BODY: usize = 8 << 20;
/// The largest body of an error, in bytes; more of it is not read.
pub const LONGEST_ERROR: usize = 64 << 10;
/// The largest stream, in bytes.
pub const LONGEST_STREAM: usize = 64 << 20;

/// How long a connection is kept for the next question.
const KEPT: Duration = Duration::from_secs(60);

/// A client with its connections. It does nothing before the first request.
pub struct Http {
    connect: Duration,
    plain: OnceLock<Client<HttpConnector, Full<Bytes>>>,
    secure: OnceLock<Client<HttpsConnector<HttpConnector>, Full<Bytes>>>,
}

/// An answer that has begun.
pub struct Answer {
    /// The status, whatever it is.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The rest.
    pub body: Body,
}

/// What is still to come of an answer. Dropping it closes the connection unless all of it was read.
pub struct Body {
    incoming: Incoming,
    taken: usize,
    limit: usize,
}

/// Why there is no answer, or no more of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Unreachable, cut, timed out, or too large.
    pub kind: ErrorKind,
    /// What the system said.
    pub words: String,
}

impl Http {
    /// `connect` bounds how long a connection may take, normally [`CONNECT`].
    pub fn new(connect: Duration) -> Self {
        Self { connect, plain: OnceLock::new(), secure: OnceLock::new() }
    }

    /// Sends `request` and waits at most `first_byte` for the head of the answer.
    ///
    /// # Errors
    /// When there is no connection, no answer in time, or no root certificate to check the server with.
    pub async fn send(&self, request: Request<Full<Bytes>>, first_byte: Duration) -> Result<Answer, Failure> {
        let answer = if request.uri().scheme_str() == Some("https") {
            timeout(first_byte, self.secure()?.request(request)).await
        } else {
            timeout(first_byte, self.plain().request(request)).await
        };
        let answer = answer.map_err(|_| timed_out("no answer began", first_byte))?.map_err(no_answer)?;
        let (head, incoming) = answer.into_parts();
        let body = Body { incoming, taken: 0, limit: LONGEST_STREAM };
        Ok(Answer { status: head.status, headers: head.headers, body })
    }

    fn plain(&self) -> &Client<HttpConnector, Full<Bytes>> {
        self.plain.get_or_init(|| client(connector(self.connect)))
    }

    fn secure(&self) -> Result<&Client<HttpsConnector<HttpConnector>, Full<Bytes>>, Failure> {
        if self.secure.get().is_none() {
            let made = client(secure_connector(self.connect)?);
            // Whoever was first has made the same.
            let _ = self.secure.set(made);
        }
        Ok(self.secure.get().expect("it was set just now"))
    }
}

impl Body {
    /// The next bytes, or `None` at the end. Waits at most `idle`.
    ///
    /// # Errors
    /// When the connection breaks, is silent for too long, or has sent more than [`LONGEST_STREAM`].
    pub async fn chunk(&mut self, idle: Duration) -> Result<Option<Bytes>, Failure> {
        loop {
            let frame = timeout(idle, self.incoming.frame()).await;
            let Some(frame) = frame.map_err(|_| timed_out("the answer stood still", idle))? else {
                return Ok(None);
            };
            let frame = frame.map_err(|it| Failure { kind: ErrorKind::Cut, words: chain(&it) })?;
            // What is no data is a trailer, and says nothing to us.
            let Ok(data) = frame.into_data() else { continue };
            self.taken += data.len();
            if self.taken > self.limit {
                let words = format!("the answer is larger than {} bytes", self.limit);
                return Err(Failure { kind: ErrorKind::TooLarge, words });
            }
            return Ok(Some(data));
        }
    }

    /// All of it, when it is no larger than [`LONGEST_BODY`].
    ///
    /// # Errors
    /// As [`Body::chunk`], or when it is larger.
    pub async fn whole(mut self, idle: Duration) -> Result<Vec<u8>, Failure> {
        self.limit = LONGEST_BODY;
        let mut all = Vec::new();
        while let Some(bytes) = self.chunk(idle).await? {
            all.extend_from_slice(&bytes);
        }
        Ok(all)
    }

    /// As much of it as comes within `bound`, up to [`LONGEST_ERROR`]: an error is worth telling even when it
    /// breaks off.
    pub async fn start(mut self, bound: Duration) -> Vec<u8> {
        let deadline = Instant::now() + bound;
        let mut start = Vec::new();
        while let Ok(Some(bytes)) = self.chunk(deadline.saturating_duration_since(Instant::now())).await {
            let room = LONGEST_ERROR - start.len();
            start.extend_from_slice(&bytes[..bytes.len().min(room)]);
            if start.len() == LONGEST_ERROR {
                break;
            }
        }
        start
    }

    /// Reads over what little may follow within `bound`, so that the connection can serve the next question.
    pub async fn drain(mut self, bound: Duration) {
        let rest = async { while let Ok(Some(_)) = self.chunk(bound).await {} };
        // What is not over by then costs a new connection, and nothing else.
        let _ = timeout(bound, rest).await;
    }
}

fn connector(connect: Duration) -> HttpConnector {
    let mut it = HttpConnector::new();
    it.enforce_http(false);
    it.set_connect_timeout(Some(connect));
    it.set_nodelay(true);
    it
}

/// The first call loads the system's root certificates; they serve every client of the process after that.
fn secure_connector(connect: Duration) -> Result<HttpsConnector<HttpConnector>, Failure> {
    // Never changes once it is there: a cache, no state.
    static TLS: OnceLock<HttpsConnector<HttpConnector>> = OnceLock::new();
    if let Some(it) = TLS.get() {
        return Ok(it.clone());
    }
    let builder = HttpsConnectorBuilder::new().with_native_roots().map_err(|it| Failure {
        kind: ErrorKind::Unreachable,
        words: format!("cannot load the system's root certificates: {}", chain(&it)),
    })?;
    let made = builder.https_only().enable_http1().wrap_connector(connector(connect));
    Ok(TLS.get_or_init(|| made).clone())
}

fn client<C>(connector: C) -> Client<C, Full<Bytes>>
where
    C: hyper_util::client::legacy::connect::Connect + Clone,
{
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(KEPT)
        .pool_max_idle_per_host(2)
        .build(connector)
}

fn timed_out(what: &str, bound: Duration) -> Failure {
    Failure { kind: ErrorKind::TimedOut, words: format!("{what} within {bound:?}") }
}

fn no_answer(error: ClientError) -> Failure {
    // A connection that came about and broke before the answer is a cut, which says more to a person.
    let kind = if error.is_connect() { ErrorKind::Unreachable } else { ErrorKind::Cut };
    Failure { kind, words: chain(&error) }
}

/// What the last cause says: the outer ones only repeat that there was an error.
fn chain(error: &dyn Error) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}
