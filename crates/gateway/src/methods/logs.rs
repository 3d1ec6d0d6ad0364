//! `logs.*`.

use fleet::logs;
use protocol::Refusal;
use protocol::logs::{TailParams, TailReply};

use crate::log;
use crate::table::Caller;

const LINES: (u64, u64) = (500, 5000);
const BYTES: (u64, u64) = (250_000, 1_000_000);

pub(super) async fn tail(caller: Caller, params: TailParams) -> Result<TailReply, Refusal> {
    let limit = within("limit", params.limit, LINES)?;
    let most = within("maxBytes", params.max_bytes, BYTES)?;
    let instance = &caller.gateway.instance;
    let file = log::path(&instance.state_dir);
    // A page of a file that was just written: there is no disk to wait for.
    let page = logs::page(&file, params.cursor, limit, most);
    let page = page.map_err(|error| Refusal::unavailable(format!("the log cannot be read: {error}")))?;
    let lines = page.lines.iter().map(|it| logs::Line::parse(&instance.name, it).original().to_string());
    Ok(TailReply {
        lines: lines.collect(),
        file: page.file,
        cursor: page.cursor,
        size: page.size,
        truncated: page.is_truncated,
        reset: page.is_reset,
    })
}

fn within(name: &str, asked: Option<u64>, (standard, most): (u64, u64)) -> Result<u64, Refusal> {
    match asked.unwrap_or(standard) {
        it if (1..=most).contains(&it) => Ok(it),
        it => Err(Refusal::invalid(format!(
            "invalid logs.tail params: at /{name}: {it} is not within 1 and {most}"
        ))),
    }
}
