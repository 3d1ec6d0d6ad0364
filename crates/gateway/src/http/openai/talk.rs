//! A turn that somebody listens to over HTTP, from its begin to its end. Who hangs up ends it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use agent::turn::Stop;
use hyper::StatusCode;
use providers::ToolCall;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::super::Asked;
use super::Problem;
use super::conversation::Conversation;
use super::tools::ClientTools;
use crate::keys::SessionKey;
use crate::limits::PING;
use crate::runs::{Ask, Ended, Extras, How, Run, Started, Told};

/// What is wanted of a turn.
pub(super) struct Wanted {
    pub(super) run_id: String,
    pub(super) key: SessionKey,
    pub(super) conversation: Conversation,
    pub(super) model: Option<String>,
    pub(super) max_tokens: Option<u32>,
    pub(super) tools: ClientTools,
}

/// A turn under way. Dropping it asks the turn to stop.
pub(super) struct Talk {
    run: Arc<Run>,
    told: UnboundedReceiver<Told>,
    gone: CancellationToken,
    must_call: bool,
    has_spoken: bool,
    is_anew: bool,
    /// A stop of the gateway waits for the end to be told.
    _busy: Arc<()>,
}

/// What is next to be told.
#[derive(Debug)]
pub(super) enum Next {
    /// The answer goes on.
    Text(String),
    /// Nothing for a while: a sign of life is due.
    Silence,
    /// It is over.
    End(End),
}

/// How it ended.
#[derive(Debug)]
pub(super) struct End {
    pub(super) how: Result<Done, Problem>,
    /// Tokens in and out.
    pub(super) usage: (u64, u64),
}

/// A good end.
#[derive(Debug)]
pub(super) enum Done {
    Answered,
    /// At the bound of tokens.
    Cut,
    /// Tools of the caller are to be run.
    Called(Vec<ToolCall>),
}

impl Talk {
    /// Begins a turn.
    pub(super) async fn begin(asked: &Asked, wanted: Wanted) -> Result<Self, Problem> {
        let Wanted { run_id, key, mut conversation, model, max_tokens, tools } = wanted;
        conversation.system.extend(tools.demand());
        let extra = conversation.extra();
        let (teller, told) = unbounded_channel();
        let must_call = tools.must;
        let (before, tools) = (conversation.before, tools.specs);
        let extras = Extras { model, before, max_tokens, tools, told: Some(teller), ..Extras::default() };
        let ask = Ask { extra, ..Ask::new(run_id, key, conversation.message) };
        match asked.gateway().accept_with(ask, extras).await? {
            Started::New(run) => {
                let gone = asked.gone.clone();
                Ok(Self {
                    run,
                    told,
                    gone,
                    must_call,
                    has_spoken: false,
                    is_anew: false,
                    _busy: asked.entry.busy.clone(),
                })
            }
            // Its name was made a moment ago.
            Started::UnderWay(_) | Started::Over(_) => Err(Problem::bad("this request was made before")),
        }
    }

    /// Waits for what is next. After the end there is nothing.
    pub(super) async fn next(&mut self) -> Next {
        loop {
            let gone = self.gone.clone();
            let Ok(told) = timeout(PING, async {
                tokio::select! {
                    biased;
                    () = gone.cancelled() => Err(None),
                    Some(told) = self.told.recv() => Ok(told),
                    // All that was told by then is told first.
                    ended = self.run.ended() => self.told.try_recv().map_err(|_| Some(ended)),
                }
            })
            .await
            else {
                return Next::Silence;
            };
            match told {
                Ok(Told::Anew) => self.is_anew = self.has_spoken,
                Ok(Told::More(text)) => {
                    self.has_spoken = true;
                    let between = if std::mem::take(&mut self.is_anew) { "\n\n" } else { "" };
                    return Next::Text(format!("{between}{text}"));
                }
                Err(Some(ended)) => return Next::End(self.end(&ended)),
                Err(None) => {
                    let how = Err(Problem {
                        status: StatusCode::UNAUTHORIZED,
                        kind: "unauthorized",
                        words: "Unauthorized".to_owned(),
                    });
                    return Next::End(End { how, usage: (0, 0) });
                }
            }
        }
    }

    /// The whole answer.
    pub(super) async fn whole(mut self) -> (String, End) {
        let mut text = String::new();
        loop {
            match self.next().await {
                Next::Text(more) => text.push_str(&more),
                Next::Silence => {}
                Next::End(end) => return (text, end),
            }
        }
    }

    fn end(&self, ended: &Ended) -> End {
        let calls = self.run.extras.handed();
        let how = match &ended.how {
            How::Answered if !calls.is_empty() => Ok(Done::Called(calls)),
            How::Answered if self.must_call => Err(Problem::failed(
                StatusCode::BAD_GATEWAY,
                "the model called none of the tools that it had to call",
            )),
            How::Answered if self.run.was_cut.load(Ordering::Relaxed) => Ok(Done::Cut),
            How::Answered => Ok(Done::Answered),
            How::Stopped("timeout") => {
                Err(Problem::failed(StatusCode::GATEWAY_TIMEOUT, "the turn took longer than it may"))
            }
            How::Stopped("shutdown") => Err(Problem::failed(
                StatusCode::SERVICE_UNAVAILABLE,
                "the gateway stops, and the turn with it",
            )),
            How::Stopped(_) => {
                Err(Problem::failed(StatusCode::INTERNAL_SERVER_ERROR, "the turn was stopped by an operator"))
            }
            How::Failed(words) => Err(Problem::failed(StatusCode::BAD_GATEWAY, words)),
        };
        End { how, usage: ended.usage }
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        // One that has ended hears nothing of it.
        self.run.stop(Stop::Asked);
    }
}
