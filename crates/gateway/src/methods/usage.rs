//! `usage.*`, `sessions.usage`: sums of what answers cost, out of the store.

use std::collections::BTreeMap;

use base::clock;
use protocol::Refusal;
use protocol::usage::{
    Aggregates, CostParams, CostReply, Day, ModelUsage, SessionTotals, SessionUsage, SessionsParams,
    SessionsReply, StatusParams, StatusReply, Totals,
};
use store::{Spent, UsageQuery};

use crate::config::Config;

use crate::table::Caller;

/// A day in milliseconds.
const DAY: u64 = 24 * 60 * 60 * 1000;
/// Days where the caller names none, and the most.
const DAYS: (u64, u64) = (30, 366);
/// Conversations where the caller names no number, and the most.
const SESSIONS: (usize, usize) = (50, 1000);

/// No provider that is spoken with tells how much of an allowance is used.
pub(super) async fn status(_: Caller, _: StatusParams) -> Result<StatusReply, Refusal> {
    Ok(StatusReply { updated_at: clock::now_ms(), providers: Vec::new() })
}

pub(super) async fn cost(caller: Caller, params: CostParams) -> Result<CostReply, Refusal> {
    let days = params.days.unwrap_or(DAYS.0).clamp(1, DAYS.1);
    let (first, last) = span(params.start_date.as_deref(), params.end_date.as_deref(), days)?;
    let spent = read(&caller, first, last, None).await?;
    let force = caller.gateway.force();
    let mut by_day: BTreeMap<u64, Totals> = (first..=last).map(|it| (it, Totals::default())).collect();
    let mut totals = Totals::default();
    for it in &spent {
        add(by_day.entry(it.day).or_default(), it, &force.config);
        add(&mut totals, it, &force.config);
    }
    let daily = by_day.into_iter().map(|(day, totals)| Day { date: date(day), totals }).collect();
    Ok(CostReply { updated_at: clock::now_ms(), days: last - first + 1, daily, totals })
}

pub(super) async fn sessions(caller: Caller, params: SessionsParams) -> Result<SessionsReply, Refusal> {
    let (first, last) = span(params.start_date.as_deref(), params.end_date.as_deref(), DAYS.0)?;
    let key = params.key.map(|it| caller.gateway.key_of(&it, None)).transpose()?;
    let spent = read(&caller, first, last, key.map(|it| it.as_str().to_owned())).await?;
    let force = caller.gateway.force();
    let config = &force.config;
    let mut totals = Totals::default();
    let mut by_session: BTreeMap<&str, Vec<&Spent>> = BTreeMap::new();
    let mut by_day: BTreeMap<u64, Totals> = BTreeMap::new();
    for it in &spent {
        add(&mut totals, it, config);
        add(by_day.entry(it.day).or_default(), it, config);
        by_session.entry(&it.session_key).or_default().push(it);
    }
    let mut sessions: Vec<SessionUsage> =
        by_session.into_iter().map(|(key, spent)| session(key, &spent, config)).collect();
    sessions.sort_by_key(|it| std::cmp::Reverse(it.usage.totals.total_tokens));
    sessions.truncate(params.limit.unwrap_or(SESSIONS.0).clamp(1, SESSIONS.1));
    name(&caller, &mut sessions).await?;
    let all: Vec<&Spent> = spent.iter().collect();
    let aggregates = Aggregates {
        by_model: by_model(&all, config, true),
        by_provider: by_model(&all, config, false),
        daily: by_day.into_iter().map(|(day, totals)| Day { date: date(day), totals }).collect(),
    };
    let (start_date, end_date) = (date(first), date(last));
    Ok(SessionsReply { updated_at: clock::now_ms(), start_date, end_date, sessions, totals, aggregates })
}

async fn read(caller: &Caller, first: u64, last: u64, key: Option<String>) -> Result<Vec<Spent>, Refusal> {
    let query = UsageQuery { from: first * DAY, to: (last + 1) * DAY, session_key: key };
    let read = caller.gateway.archive.with(move |store| store.usage(&query)).await;
    read.map_err(|error| caller.gateway.store_refusal("the usage was not read", &error))
}

/// Gives the sums what the conversations are called now.
async fn name(caller: &Caller, sessions: &mut [SessionUsage]) -> Result<(), Refusal> {
    let keys: Vec<String> = sessions.iter().map(|it| it.key.clone()).collect();
    let found = caller
        .gateway
        .archive
        .with(move |store| keys.iter().map(|it| store.session(it)).collect::<Result<Vec<_>, _>>());
    let found =
        found.await.map_err(|error| caller.gateway.store_refusal("the usage was not read", &error))?;
    for (usage, session) in sessions.iter_mut().zip(found) {
        (usage.label, usage.session_id) = session.map_or((None, None), |it| (it.label, Some(it.session_id)));
    }
    Ok(())
}

fn session(key: &str, spent: &[&Spent], config: &Config) -> SessionUsage {
    let mut totals = Totals::default();
    for it in spent {
        add(&mut totals, it, config);
    }
    let usage = SessionTotals {
        totals,
        first_activity: spent.iter().map(|it| it.first_at).min().unwrap_or_default(),
        last_activity: spent.iter().map(|it| it.last_at).max().unwrap_or_default(),
        model_usage: by_model(spent, config, true),
    };
    let agent_id = key.split(':').nth(1).unwrap_or_default().to_owned();
    SessionUsage { key: key.to_owned(), label: None, session_id: None, agent_id, usage }
}

fn by_model(spent: &[&Spent], config: &Config, models: bool) -> Vec<ModelUsage> {
    let mut sums: BTreeMap<(&str, Option<&str>), (u64, Totals)> = BTreeMap::new();
    for it in spent {
        let (count, totals) = sums.entry((&it.provider, models.then_some(it.model.as_str()))).or_default();
        *count += it.answers;
        add(totals, it, config);
    }
    let sums = sums.into_iter().map(|((provider, model), (count, totals))| ModelUsage {
        provider: provider.to_owned(),
        model: model.map(str::to_owned),
        count,
        totals,
    });
    sums.collect()
}

/// Adds to a sum. The price is that of the config, in dollars for a million tokens.
fn add(totals: &mut Totals, it: &Spent, config: &Config) {
    totals.input += it.input;
    totals.output += it.output;
    totals.total_tokens += it.input + it.output;
    let section = config.models.providers.get(&it.provider);
    let price = section.and_then(|section| section.models.iter().find(|model| model.id == it.model)?.cost);
    let Some(price) = price else {
        totals.missing_cost_entries += it.answers;
        return;
    };
    let (input, output) = (dollars(it.input, price.input), dollars(it.output, price.output));
    totals.input_cost += input;
    totals.output_cost += output;
    totals.total_cost += input + output;
}

#[expect(clippy::cast_precision_loss, reason = "tokens of a lifetime are exact in 53 bits")]
fn dollars(tokens: u64, per_million: f64) -> f64 {
    tokens as f64 * per_million / 1_000_000.0
}

/// The first and the last day, counted from 1970.
fn span(start: Option<&str>, end: Option<&str>, days: u64) -> Result<(u64, u64), Refusal> {
    let day = |text: Option<&str>, what: &str| match text {
        None => Ok(None),
        Some(text) => match clock::parse(&format!("{text}T00:00:00Z")) {
            Some(ms) if text.len() == 10 => Ok(Some(ms / DAY)),
            _ => Err(Refusal::invalid(format!("{what}: write a day as in 2026-11-23"))),
        },
    };
    let last = day(end, "endDate")?.unwrap_or(clock::now_ms() / DAY);
    let first = day(start, "startDate")?.unwrap_or((last + 1).saturating_sub(days));
    if first > last || last - first >= DAYS.1 {
        let text = format!("startDate must not be after endDate, and at most {} days before it", DAYS.1 - 1);
        return Err(Refusal::invalid(text));
    }
    Ok((first, last))
}

fn date(day: u64) -> String {
    clock::rfc3339(day * DAY).chars().take(10).collect()
}
