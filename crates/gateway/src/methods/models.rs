//! `models.*`.

use protocol::Refusal;
use protocol::models::{ListParams, ListReply, Model};
use providers::ModelInfo;

use crate::table::Caller;

pub(super) async fn list(caller: Caller, _: ListParams) -> Result<ListReply, Refusal> {
    let gateway = &caller.gateway;
    let choice = gateway.choose_model(None).await?;
    let provider = choice.provider.id();
    let row = |it: ModelInfo, available| Model {
        id: it.id,
        name: it.name,
        provider: provider.to_owned(),
        context_window: it.context_window,
        available,
    };
    let first = ModelInfo {
        id: choice.model.clone(),
        name: choice.model.clone(),
        context_window: choice.context_tokens.map(|it| it as u64),
    };
    let mut models = vec![row(first, choice.is_configured())];
    // A provider that cannot be reached has no list; the choice stands all the same.
    let others = choice.provider.models().await.unwrap_or_default();
    models.extend(others.into_iter().filter(|it| it.id != choice.model).map(|it| row(it, true)));
    Ok(ListReply { models })
}
