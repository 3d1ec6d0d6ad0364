//! Ask, and ask again while nothing of an answer was seen: the only place that retries a model.

use std::sync::Arc;
use std::time::Duration;

use base::Backoff;
use futures_util::{StreamExt, stream};

use crate::{Delta, DeltaStream, ErrorKind, ModelError, ModelRequest, Provider};

/// The pause after the first failure; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause of our own making.
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// How patient to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// How often to ask at most, the first time included.
    pub tries: u32,
    /// The longest `retry-after` that is waited for; a longer one is returned as the error at once.
    pub longest_wait: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self { tries: 3, longest_wait: Duration::from_secs(30) }
    }
}

/// Asks `provider`, and again after a pause when it failed in a way that passes, as long as no delta was
/// delivered: what was said cannot be taken back.
pub fn ask(provider: Arc<dyn Provider>, request: ModelRequest, policy: Retry) -> DeltaStream {
    let backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
    let asking = Asking { provider, request, policy, backoff, tried: 0, delivered: false, stream: None };
    stream::unfold(Some(asking), |asking| async move {
        let mut asking = asking?;
        let item = asking.next().await?;
        let over = matches!(item, Err(_) | Ok(Delta::Stop(_)));
        Some((item, (!over).then_some(asking)))
    })
    .boxed()
}

/// A question and how far it got.
struct Asking {
    provider: Arc<dyn Provider>,
    request: ModelRequest,
    policy: Retry,
    backoff: Backoff,
    tried: u32,
    delivered: bool,
    stream: Option<DeltaStream>,
}

impl Asking {
    async fn next(&mut self) -> Option<Result<Delta, ModelError>> {
        loop {
            let stream = match &mut self.stream {
                Some(it) => it,
                slot => {
                    self.tried += 1;
                    slot.insert(self.provider.ask(self.request.clone()))
                }
            };
            let error = match stream.next().await {
                Some(Err(error)) => error,
                other => {
                    self.delivered = true;
                    return other;
                }
            };
            let Some(pause) = self.pause_after(&error) else { return Some(Err(error)) };
            tracing::warn!(
                provider = self.provider.id(),
                kind = ?error.kind,
                ?pause,
                "the model did not answer and will be asked again: {error}"
            );
            // Gone before the pause, so that its connection is not held meanwhile.
            self.stream = None;
            tokio::time::sleep(pause).await;
        }
    }

    /// How long to wait before the next try; `None` when there is none.
    fn pause_after(&mut self, error: &ModelError) -> Option<Duration> {
        if self.delivered || self.tried >= self.policy.tries || !passes(error.kind) {
            return None;
        }
        let planned = self.backoff.pause(None);
        let pause = error.retry_after.unwrap_or(planned);
        (pause <= self.policy.longest_wait || error.retry_after.is_none()).then_some(pause)
    }
}

/// Whether the same request may well succeed a little later.
fn passes(kind: ErrorKind) -> bool {
    match kind {
        ErrorKind::RateLimited
        | ErrorKind::Server
        | ErrorKind::Unreachable
        | ErrorKind::TimedOut
        | ErrorKind::Cut
        | ErrorKind::Garbage => true,
        ErrorKind::Auth | ErrorKind::Refused | ErrorKind::ContextLength | ErrorKind::TooLarge => false,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex;

    use futures_util::FutureExt;
    use futures_util::future::BoxFuture;
    use tokio::time::Instant;

    use super::*;
    use crate::script::{all, question};
    use crate::{ModelInfo, StopReason};

    type Answer = Vec<Result<Delta, ModelError>>;

    /// Gives one answer after the other.
    struct Scripted(Mutex<VecDeque<Answer>>);

    impl Provider for Scripted {
        fn id(&self) -> &str {
            "scripted"
        }

        fn ask(&self, _request: ModelRequest) -> DeltaStream {
            let answer = self.0.lock().expect("one thread").pop_front().expect("asked too often");
            stream::iter(answer).boxed()
        }

        fn models(&self) -> BoxFuture<'_, Result<Vec<ModelInfo>, ModelError>> {
            async { Ok(Vec::new()) }.boxed()
        }
    }

    fn fails(kind: ErrorKind, retry_after: Option<f64>) -> Answer {
        let mut error = ModelError::new(kind, "scripted", "");
        error.retry_after = retry_after.map(Duration::from_secs_f64);
        vec![Err(error)]
    }

    fn well() -> Answer {
        vec![Ok(Delta::Text("hi".into())), Ok(Delta::Stop(StopReason::Stop))]
    }

    /// Plays `answers`, all of which must be asked for: the last is what comes out, after `seconds`.
    async fn check(answers: Vec<Answer>, seconds: f64) {
        let expected = answers.last().expect("at least one").clone();
        let provider = Arc::new(Scripted(Mutex::new(answers.into())));
        let began = Instant::now();
        let found = all(ask(Arc::clone(&provider) as Arc<dyn Provider>, question(), Retry::default())).await;
        assert_eq!(found, expected);
        assert_eq!(provider.0.lock().expect("one thread").len(), 0);
        // The timers of the paused clock have a grain of a millisecond.
        let off = began.elapsed().as_secs_f64() - seconds;
        assert!((0.0..0.01).contains(&off), "{off} off {seconds}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_passes_is_asked_again_with_growing_pauses() {
        use ErrorKind::{Cut, Garbage, RateLimited, Server, TimedOut, Unreachable};
        check(vec![well()], 0.0).await;
        for kind in [RateLimited, Server, Unreachable, TimedOut, Cut, Garbage] {
            check(vec![fails(kind, None), well()], 0.5).await;
            check(vec![fails(kind, None), fails(kind, None), well()], 1.5).await;
            check(vec![fails(kind, None), fails(kind, None), fails(kind, None)], 1.5).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_pass_is_told_at_once() {
        for kind in [ErrorKind::Auth, ErrorKind::Refused, ErrorKind::ContextLength, ErrorKind::TooLarge] {
            check(vec![fails(kind, None)], 0.0).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_wish_to_wait_is_honoured_exactly_or_told_at_once() {
        let kind = ErrorKind::RateLimited;
        check(vec![fails(kind, Some(0.1)), well()], 0.1).await;
        check(vec![fails(kind, Some(30.0)), well()], 30.0).await;
        check(vec![fails(kind, Some(30.1))], 0.0).await;
        check(vec![fails(kind, Some(3.0)), fails(kind, None), well()], 4.0).await;
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_said_is_not_said_twice() {
        let begun = || Ok(Delta::Text("he".into()));
        for kind in [ErrorKind::Cut, ErrorKind::Server, ErrorKind::TimedOut] {
            let mut answer = fails(kind, None);
            answer.insert(0, begun());
            check(vec![answer], 0.0).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_policy_of_one_try_never_asks_again() {
        let provider: Arc<dyn Provider> =
            Arc::new(Scripted(Mutex::new(vec![fails(ErrorKind::Server, None)].into())));
        let policy = Retry { tries: 1, ..Retry::default() };
        assert_eq!(all(ask(provider, question(), policy)).await, fails(ErrorKind::Server, None));
    }
}
