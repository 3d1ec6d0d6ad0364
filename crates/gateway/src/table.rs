//! The method table: the one place that looks a method up, checks its scope and reads its parameters.

use std::collections::HashMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use protocol::error::close;
use protocol::{Callers, Code, Method, Refusal, Role, Scope};
use serde::de::DeserializeOwned;
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};
use tracing::error;

use crate::audience::Client;
use crate::limits::{STEERING, STEERING_SPAN, UNAUTHORIZED_CALLS};
use crate::state::Gateway;

/// A request that is being served: by whom, from whom.
#[derive(Clone)]
pub(crate) struct Caller {
    /// The gateway that serves it.
    pub(crate) gateway: Arc<Gateway>,
    /// The connection that it came by.
    pub(crate) client: Arc<Client>,
    /// The request's id, for a second response.
    pub(crate) request_id: String,
}

type Reply = Result<Box<RawValue>, Refusal>;
type Serve = Box<dyn Fn(Caller, Option<&RawValue>) -> BoxFuture<'static, Reply> + Send + Sync>;

/// Methods by name.
#[derive(Default)]
pub(crate) struct Table {
    rows: HashMap<&'static str, Row>,
    names: Vec<&'static str>,
}

/// One method.
struct Row {
    serve: Serve,
    scope: Option<Scope>,
    callers: Callers,
    steers: bool,
    /// How often it was served, and refused.
    counts: [AtomicU64; 2],
}

impl Table {
    /// Adds a method.
    ///
    /// # Panics
    /// When it is there already: the table is written by hand, and this is a slip of it.
    pub(crate) fn on<M, F, T>(&mut self, serve: F) -> &mut Self
    where
        M: Method + 'static,
        F: Fn(Caller, M::Params) -> T + Copy + Send + Sync + 'static,
        T: Future<Output = Result<M::Reply, Refusal>> + Send + 'static,
    {
        self.row::<M>(Box::new(move |caller, params| {
            let served = match read::<M::Params>(M::NAME, params) {
                Ok(it) => serve(caller, it),
                Err(refusal) => return std::future::ready(Err(refusal)).boxed(),
            };
            let served = AssertUnwindSafe(served).catch_unwind();
            served.map(|it| written::<M>(it.unwrap_or_else(|_| Err(panicked::<M>())))).boxed()
        }))
    }

    /// Adds a method whose reply is written by its handler: one that is asked for so often that it is kept.
    ///
    /// # Panics
    /// As [`Table::on`].
    pub(crate) fn on_written<M, F, T>(&mut self, serve: F) -> &mut Self
    where
        M: Method + 'static,
        F: Fn(Caller, M::Params) -> T + Copy + Send + Sync + 'static,
        T: Future<Output = Reply> + Send + 'static,
    {
        self.row::<M>(Box::new(move |caller, params| {
            let served = match read::<M::Params>(M::NAME, params) {
                Ok(it) => serve(caller, it),
                Err(refusal) => return std::future::ready(Err(refusal)).boxed(),
            };
            let served = AssertUnwindSafe(served).catch_unwind();
            served.map(|it| it.unwrap_or_else(|_| Err(panicked::<M>()))).boxed()
        }))
    }

    fn row<M: Method>(&mut self, serve: Serve) -> &mut Self {
        let row = Row {
            serve,
            scope: M::SCOPE,
            callers: M::CALLERS,
            steers: M::STEERS,
            counts: Default::default(),
        };
        assert!(self.rows.insert(M::NAME, row).is_none(), "{} stands twice in the method table", M::NAME);
        self.names.push(M::NAME);
        self
    }

    /// The names, in the order of the table.
    pub(crate) fn names(&self) -> &[&'static str] {
        &self.names
    }

    /// How often each method was served, and refused, in the order of the table.
    pub(crate) fn served(&self) -> Vec<(&'static str, u64, u64)> {
        let count = |name: &&'static str| {
            let [ok, refused] = self.rows[name].counts.each_ref().map(|it| it.load(Ordering::Relaxed));
            (*name, ok, refused)
        };
        self.names.iter().map(count).collect()
    }

    /// Serves a request.
    pub(crate) async fn dispatch(&self, method: &str, caller: Caller, params: Option<&RawValue>) -> Reply {
        let Some(row) = self.rows.get(method) else { return Err(unknown(method, &caller)) };
        let reply = Self::answer(row, caller, params).await;
        row.counts[usize::from(reply.is_err())].fetch_add(1, Ordering::Relaxed);
        reply
    }

    async fn answer(row: &Row, caller: Caller, params: Option<&RawValue>) -> Reply {
        if !row.callers.include(caller.client.who.role) {
            let text = format!("unauthorized role: {}", caller.client.who.role.name());
            return Err(unauthorized(&caller, Refusal::invalid(text)));
        }
        if caller.client.who.role == Role::Operator
            && let Some(scope) = row.scope
            && !caller.client.may(scope)
        {
            return Err(unauthorized(&caller, missing(scope)));
        }
        if row.steers {
            steer(&caller)?;
        }
        (row.serve)(caller, params).await
    }
}

impl Caller {
    /// For what a method lets only some callers do.
    ///
    /// # Errors
    /// Where the caller lacks the scope.
    pub(crate) fn need(&self, scope: Scope) -> Result<(), Refusal> {
        if self.client.may(scope) { Ok(()) } else { Err(unauthorized(self, missing(scope))) }
    }
}

fn unknown(method: &str, caller: &Caller) -> Refusal {
    // Who may not do everything is not told what there is.
    if caller.client.may(Scope::Admin) {
        let text = format!("unknown method: {}", base::text::line(method, 80));
        return match protocol::methods::refused(method) {
            Some(why) => Refusal::invalid(format!("{text} ({why})"))
                .details(json!({"code": "METHOD_NOT_SERVED", "reason": why})),
            None => Refusal::invalid(text),
        };
    }
    match (caller.client.who.role, protocol::methods::refused(method)) {
        // A node host calls what is a node's own, whoever it talks to: that is no attack.
        (Role::Node, Some(why)) if method.starts_with("node.") => {
            Refusal::invalid(format!("unknown method: {method} ({why})"))
                .details(json!({"code": "METHOD_NOT_SERVED", "reason": why}))
        }
        (Role::Operator, _) => unauthorized(caller, missing(Scope::Admin)),
        (Role::Node, _) => unauthorized(caller, Refusal::invalid("unauthorized role: node")),
    }
}

/// Counts what the caller had no right to: who goes on is closed, after the answer.
fn unauthorized(caller: &Caller, refusal: Refusal) -> Refusal {
    let mut conduct = caller.client.conduct.lock().unwrap_or_else(PoisonError::into_inner);
    conduct.unauthorized += 1;
    if conduct.unauthorized > UNAUTHORIZED_CALLS {
        caller.client.close(close::POLICY, "repeated unauthorized calls");
    }
    refusal
}

/// Bounds how often one connection changes how the gateway runs.
fn steer(caller: &Caller) -> Result<(), Refusal> {
    let now = Instant::now();
    let mut conduct = caller.client.conduct.lock().unwrap_or_else(PoisonError::into_inner);
    let steered = &mut conduct.steered;
    while steered.front().is_some_and(|it| now.duration_since(*it) >= STEERING_SPAN) {
        steered.pop_front();
    }
    if let (true, Some(oldest)) = (steered.len() >= STEERING, steered.front()) {
        let wait = STEERING_SPAN.saturating_sub(now.duration_since(*oldest));
        let text = format!(
            "{STEERING} such calls within a minute are enough; try again in {} s",
            wait.as_secs() + 1
        );
        let mut refusal = Refusal::unavailable(text).retryable();
        refusal.retry_after_ms = u64::try_from(wait.as_millis()).ok();
        return Err(refusal);
    }
    steered.push_back(now);
    Ok(())
}

fn missing(scope: Scope) -> Refusal {
    Refusal::new(Code::Forbidden, format!("missing scope: {scope}")).details(
        json!({"code": "MISSING_SCOPE", "missingScope": scope.name(), "requiredScopes": [scope.name()]}),
    )
}

/// Reads the parameters of a request; what is wrong is named by its place.
pub(crate) fn read<T: DeserializeOwned>(method: &str, params: Option<&RawValue>) -> Result<T, Refusal> {
    let text = params.map_or("{}", RawValue::get);
    let mut reader = serde_json::Deserializer::from_str(if text == "null" { "{}" } else { text });
    serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string().replace(['.', '['], "/").replace(']', "");
        let at = if path == "/" { String::new() } else { format!("at /{path}: ") };
        // Line and column of a frame tell nobody anything.
        let words = error.inner().to_string();
        let words = words.split(" at line ").next().unwrap_or_default();
        Refusal::invalid(format!("invalid {method} params: {at}{words}"))
    })
}

fn written<M: Method>(served: Result<M::Reply, Refusal>) -> Reply {
    served.and_then(|reply| {
        to_raw_value(&reply)
            .map_err(|error| Refusal::unavailable(format!("the reply cannot be written: {error}")))
    })
}

fn panicked<M: Method>() -> Refusal {
    error!(method = M::NAME, "a handler panicked");
    Refusal::unavailable(format!("{} failed: this is a fault of the gateway; its log says more", M::NAME))
}
