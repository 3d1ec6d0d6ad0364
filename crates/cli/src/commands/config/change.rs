//! `config set`, `unset`, `patch`, `apply`: a change to the text that leaves everything else in it as it is.

use std::process::ExitCode;

use profile::Document;
use profile::document::is_secret;
use serde_json::{Map, Value};

use super::submit::{current, document, submit};
use super::value::{self, Strictness};
use super::{WriteArgs, path};
use crate::app::App;
use crate::failure::{Failure, Kind};

const SET_EXAMPLES: &str = "\
Examples:
  openclaw config set gateway.port 19001
  openclaw config set agents.defaults.model openai/gpt-5 --why \"cheaper\"
  openclaw config set tools.deny '[\"exec\"]' --dry-run
  openclaw config set models.providers.openai.apiKey --ref-source env --ref-id OPENAI_API_KEY
  openclaw config set --batch-file ./changes.json";

const UNSET_EXAMPLES: &str = "\
Examples:
  openclaw config unset tools.deny
  openclaw config unset gateway.bind logging.level --why \"back to the defaults\"";

const PATCH_EXAMPLES: &str = "\
Examples:
  openclaw config patch ./changes.json5         objects are merged, null takes a key out
  echo '{tools: {deny: null}}' | openclaw config patch -
  openclaw config patch ./changes.json5 --replace-path models.providers --dry-run";

const APPLY_EXAMPLES: &str = "\
Examples:
  openclaw config apply ./openclaw.json5        the whole config; masked secrets stay as they are
  openclaw config apply - --dry-run < new.json5";

/// Set a value; what it was and what it is now is shown
#[derive(Debug, clap::Args)]
#[command(after_help = SET_EXAMPLES)]
pub(crate) struct SetArgs {
    /// Keys joined with dots; a list's place, or a key with dots, in brackets
    #[arg(value_name = "PATH", required_unless_present_any = ["batch_json", "batch_file"])]
    path: Option<String>,

    /// JSON5, else a text
    #[arg(value_name = "VALUE", allow_hyphen_values = true)]
    value: Option<String>,

    #[command(flatten)]
    pub(crate) write: WriteArgs,

    /// Take the value as JSON alone, and never as a text
    #[arg(long)]
    strict_json: bool,

    /// Add to the object that is there, and keep its other keys
    #[arg(long, conflicts_with = "replace")]
    merge: bool,

    /// Let the value be all that is there, also where entries are lost by it
    #[arg(long)]
    replace: bool,

    /// Change it only where the value is this one now
    #[arg(long, value_name = "JSON", conflicts_with_all = ["expect_current_absent", "dry_run"])]
    expect_current_json: Option<String>,

    /// Change it only where nothing is set now
    #[arg(long, conflicts_with = "dry_run")]
    expect_current_absent: bool,

    /// Many at once: [{"path": …, "value": …}, …]
    #[arg(long, value_name = "JSON", conflicts_with_all = ["path", "batch_file"])]
    batch_json: Option<String>,

    /// Many at once, out of a file
    #[arg(long, value_name = "FILE", conflicts_with = "path")]
    batch_file: Option<String>,

    /// Where a secret is kept that the value refers to: env, file or exec
    #[arg(long, value_name = "SOURCE", conflicts_with = "value")]
    ref_source: Option<String>,

    /// Its name there
    #[arg(long, value_name = "ID", conflicts_with = "value")]
    ref_id: Option<String>,

    /// Which of the config's secret providers
    #[arg(long, value_name = "NAME", conflicts_with = "value")]
    ref_provider: Option<String>,

    /// Accepted for scripts; nothing is run for a dry run here
    #[arg(long, hide = true)]
    allow_exec: bool,
}

/// Take keys out, so that their defaults apply
#[derive(Debug, clap::Args)]
#[command(after_help = UNSET_EXAMPLES)]
pub(crate) struct UnsetArgs {
    /// Keys joined with dots
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<String>,

    #[command(flatten)]
    pub(crate) write: WriteArgs,

    /// Accepted for scripts; nothing is run for a dry run here
    #[arg(long, hide = true)]
    allow_exec: bool,
}

/// Merge a JSON5 patch into the config
#[derive(Debug, clap::Args)]
#[command(after_help = PATCH_EXAMPLES)]
pub(crate) struct PatchArgs {
    #[command(flatten)]
    input: Input,

    #[command(flatten)]
    pub(crate) write: WriteArgs,

    /// A path at which the patch says the whole value
    #[arg(long, value_name = "PATH")]
    replace_path: Vec<String>,

    /// Accepted for scripts; nothing is run for a dry run here
    #[arg(long, hide = true)]
    allow_exec: bool,
}

/// Let a whole text be the config
#[derive(Debug, clap::Args)]
#[command(after_help = APPLY_EXAMPLES)]
pub(crate) struct ApplyArgs {
    #[command(flatten)]
    input: Input,

    #[command(flatten)]
    pub(crate) write: WriteArgs,
}

/// Where a text comes from.
#[derive(Debug, clap::Args)]
struct Input {
    /// The file; `-` is standard input
    #[arg(value_name = "FILE", required_unless_present_any = ["named", "stdin"])]
    file: Option<String>,

    /// The file, as a flag
    #[arg(long = "file", id = "named", value_name = "FILE", conflicts_with_all = ["file", "stdin"])]
    named: Option<String>,

    /// Read standard input
    #[arg(long, conflicts_with = "file")]
    stdin: bool,
}

/// Runs `config set`.
pub(crate) fn set(app: &App, args: &SetArgs) -> Result<ExitCode, Failure> {
    let instance = app.instance()?;
    let wanted = wanted(app, args)?;
    let before = current(instance)?;
    let mut after = document(instance, &before)?;
    for (text, value) in &wanted {
        let keys = path::keys(text)?;
        expected(args, &after, &keys)?;
        put(&mut after, &keys, value, args)?;
    }
    let names: Vec<&str> = wanted.iter().map(|(path, _)| path.as_str()).collect();
    submit(app, &before, after, &format!("config set {}", names.join(" ")), &args.write)
}

/// Runs `config unset`.
pub(crate) fn unset(app: &App, args: &UnsetArgs) -> Result<ExitCode, Failure> {
    let instance = app.instance()?;
    let before = current(instance)?;
    let mut after = document(instance, &before)?;
    let keys = args.paths.iter().map(|it| path::keys(it)).collect::<Result<Vec<_>, _>>()?;
    for (text, keys) in args.paths.iter().zip(&keys) {
        if !after.remove_at(keys).map_err(|it| refused(&it))? {
            return Err(Failure::new(Kind::Failed, format!("{text} is not set; nothing was changed")));
        }
    }
    submit(app, &before, after, &format!("config unset {}", args.paths.join(" ")), &args.write)
}

/// Runs `config patch`.
pub(crate) fn patch(app: &App, args: &PatchArgs) -> Result<ExitCode, Failure> {
    let instance = app.instance()?;
    let name = args.input.name();
    let patch = value::document(name, value::file(app, name)?)?;
    let before = current(instance)?;
    let mut after = document(instance, &before)?;
    let whole = args.replace_path.iter().map(|it| Ok(path::keys(it)?.join(".")));
    let whole = whole.collect::<Result<Vec<String>, Failure>>()?;
    after.merge_with(patch.value(), &whole).map_err(|it| refused(&it))?;
    submit(app, &before, after, &format!("config patch {}", shown(name)), &args.write)
}

/// Runs `config apply`.
pub(crate) fn apply(app: &App, args: &ApplyArgs) -> Result<ExitCode, Failure> {
    let instance = app.instance()?;
    let name = args.input.name();
    let after = value::document(name, value::file(app, name)?)?;
    let before = current(instance)?;
    let after = after.at(&instance.config_path);
    submit(app, &before, after, &format!("config apply {}", shown(name)), &args.write)
}

impl SetArgs {
    /// Scripts of old say --json where they mean that the value is some.
    fn strictness(&self) -> Strictness {
        match (self.strict_json, self.write.json) {
            (true, _) => Strictness::Json,
            (false, true) => Strictness::Looks,
            (false, false) => Strictness::Text,
        }
    }
}

impl Input {
    fn name(&self) -> &str {
        self.file.as_deref().or(self.named.as_deref()).unwrap_or("-")
    }
}

fn shown(name: &str) -> &str {
    if name == "-" { "standard input" } else { name }
}

fn wanted(app: &App, args: &SetArgs) -> Result<Vec<(String, Value)>, Failure> {
    if let Some(text) = &args.batch_json {
        return value::batch(text);
    }
    if let Some(path) = &args.batch_file {
        return value::batch(&value::file(app, path)?);
    }
    let path = args.path.clone().unwrap_or_default();
    let reference =
        value::reference(args.ref_provider.as_deref(), args.ref_source.as_deref(), args.ref_id.as_deref())?;
    let value = match (reference, &args.value) {
        (Some(it), _) => it,
        (None, Some(text)) => value::parse(text, args.strictness())?,
        (None, None) => {
            return Err(Failure::new(Kind::Usage, format!("{path} is to be set to nothing: name a value"))
                .hint("to take it out: openclaw config unset PATH"));
        }
    };
    Ok(vec![(path, value)])
}

/// Whether the place is as the caller expects it. Neither value is shown: it may be a secret.
fn expected(args: &SetArgs, document: &Document, keys: &[String]) -> Result<(), Failure> {
    let now = document.at_keys(keys);
    let is_expected = match &args.expect_current_json {
        Some(text) => now == Some(&value::parse(text, Strictness::Json)?),
        None => !args.expect_current_absent || now.is_none(),
    };
    if is_expected {
        return Ok(());
    }
    Err(Failure::new(Kind::Failed, format!("{} is not as expected; nothing was changed", keys.join("."))))
}

fn put(document: &mut Document, keys: &[String], value: &Value, args: &SetArgs) -> Result<(), Failure> {
    if args.merge
        && let (Some(Value::Object(now)), Value::Object(new)) = (document.at_keys(keys), value)
    {
        let mut whole = now.clone();
        whole.extend(new.iter().map(|(key, it)| (key.clone(), it.clone())));
        return document.become_at(keys, &Value::Object(whole)).map_err(|it| refused(&it));
    }
    if args.merge
        && let (Some(Value::Array(now)), Value::Array(new)) = (document.at_keys(keys), value)
    {
        let whole = merged_list(now, new);
        return document.become_at(keys, &Value::Array(whole)).map_err(|it| refused(&it));
    }
    if !args.replace
        && let (Some(Value::Object(now)), Value::Object(new)) = (document.at_keys(keys), value)
    {
        keeps_entries(keys, now, new)?;
    }
    document.become_at(keys, value).map_err(|it| refused(&it))
}

/// Entries with an `id` take the place of those that have it; others are added.
fn merged_list(now: &[Value], new: &[Value]) -> Vec<Value> {
    let mut whole = now.to_vec();
    for entry in new {
        let id = entry.get("id");
        match whole.iter().position(|it| it == entry || (id.is_some() && it.get("id") == id)) {
            Some(at) => whole[at] = entry.clone(),
            None => whole.push(entry.clone()),
        }
    }
    whole
}

/// Where people collect entries, a value that leaves some out must say that it means to.
fn keeps_entries(keys: &[String], now: &Map<String, Value>, new: &Map<String, Value>) -> Result<(), Failure> {
    let path: Vec<&str> = keys.iter().map(String::as_str).collect();
    let collects = matches!(
        path[..],
        ["agents", "defaults", "models"]
            | ["agents", "entries"]
            | ["models", "providers"]
            | ["models", "providers", _]
            | ["plugins", "entries"]
            | ["auth", "profiles"]
    );
    let lost: Vec<&str> = now.keys().filter(|it| !new.contains_key(*it)).map(String::as_str).collect();
    if !collects || lost.is_empty() {
        return Ok(());
    }
    let words = format!("this would take {} out of {}", lost.join(", "), path.join("."));
    Err(Failure::new(Kind::Usage, words).hint("add to it with --merge, or mean it with --replace"))
}

fn refused(finding: &profile::Finding) -> Failure {
    super::check::invalid("the config cannot take this change".to_owned(), std::slice::from_ref(finding))
}

/// Whether a value is a secret by its place, for whoever shows it.
pub(crate) fn hides(keys: &[String]) -> bool {
    keys.last().is_some_and(|it| is_secret(it))
}
