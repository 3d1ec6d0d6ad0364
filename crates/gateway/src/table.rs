//! The method table: the one place that looks a method up, checks its scope and reads its parameters.

use std::collections::HashMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use protocol::{Code, Method, Refusal};
use serde::de::DeserializeOwned;
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};
use tracing::error;

use crate::audience::Client;
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
    rows: HashMap<&'static str, Serve>,
    scopes: HashMap<&'static str, Option<protocol::Scope>>,
    names: Vec<&'static str>,
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
        let row: Serve = Box::new(move |caller, params| {
            let params = match read::<M::Params>(M::NAME, params) {
                Ok(it) => it,
                Err(refusal) => return std::future::ready(Err(refusal)).boxed(),
            };
            let served = AssertUnwindSafe(serve(caller, params)).catch_unwind();
            served.map(|it| written::<M>(it.unwrap_or_else(|_| Err(panicked::<M>())))).boxed()
        });
        assert!(self.rows.insert(M::NAME, row).is_none(), "{} stands twice in the method table", M::NAME);
        self.scopes.insert(M::NAME, M::SCOPE);
        self.names.push(M::NAME);
        self
    }

    /// The names, in the order of the table.
    pub(crate) fn names(&self) -> &[&'static str] {
        &self.names
    }

    /// Serves a request.
    pub(crate) async fn dispatch(&self, method: &str, caller: Caller, params: Option<&RawValue>) -> Reply {
        let Some(serve) = self.rows.get(method) else {
            // Who may not do everything is not told what there is.
            let admin = caller.client.scopes.allow(protocol::Scope::Admin);
            return Err(if admin {
                Refusal::invalid(format!("unknown method: {}", base::text::line(method, 80)))
            } else {
                missing(protocol::Scope::Admin)
            });
        };
        if let Some(Some(scope)) =
            self.scopes.get(method).filter(|it| it.is_some_and(|it| !caller.client.scopes.allow(it)))
        {
            return Err(missing(*scope));
        }
        serve(caller, params).await
    }
}

fn missing(scope: protocol::Scope) -> Refusal {
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
