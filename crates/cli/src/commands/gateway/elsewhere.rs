//! `gateway install`, `uninstall`, `start`, `stop`, `restart` where systemd is not what starts programs.

use std::path::PathBuf;
use std::process::ExitCode;

use base::file;
use fleet::service::host::{Draft, Host};
use fleet::service::steps::{self, Verb};
use fleet::service::text::Standing;
use serde_json::json;

use super::service::{InstallArgs, check_config, told};
use crate::app::App;
use crate::failure::{Failure, Kind};

/// Runs `install`.
pub(super) fn install(app: &App, args: &InstallArgs, host: Host) -> Result<ExitCode, Failure> {
    let draft = draft(app, host)?;
    if args.dry_run {
        if args.json {
            app.printer.json(&json!({
                "action": "install", "ok": true, "dryRun": true, "unit": draft.file, "standing": draft.standing,
                "text": draft.text,
            }));
        } else {
            app.printer.note(&format!("{}: {}", draft.file.display(), told(draft.standing)));
            app.printer.line(draft.text.trim_end());
        }
        return Ok(ExitCode::SUCCESS);
    }
    put(app, args, host)?;
    done(app, args.json, host, ("install", "installed"))
}

/// Installs it, and gives the file that has it started.
pub(super) fn put(app: &App, args: &InstallArgs, host: Host) -> Result<PathBuf, Failure> {
    let draft = draft(app, host)?;
    check(&draft, args.force)?;
    check_config(app)?;
    let write = |path: &std::path::Path, bytes: &[u8]| {
        let folder = path.parent().map_or(Ok(()), file::private_folder);
        folder.and_then(|()| file::replace(path, bytes)).map_err(|it| Failure::from_error(Kind::Failed, &it))
    };
    write(&draft.file, draft.text.as_bytes())?;
    if let Some((path, bytes)) = &draft.beside {
        write(path, bytes)?;
    }
    tell(app, &draft, Verb::Install)?;
    if let Some((path, _)) = &draft.beside {
        file::remove(path).map_err(|it| Failure::from_error(Kind::Failed, &it))?;
    }
    Ok(draft.file)
}

/// Runs the others.
pub(super) fn steer(app: &App, verb: Verb, as_json: bool, host: Host) -> Result<ExitCode, Failure> {
    let draft = draft(app, host)?;
    let (word, result) = match verb {
        Verb::Install | Verb::Show | Verb::Start => ("start", "started"),
        Verb::Stop => ("stop", "stopped"),
        Verb::Restart => ("restart", "restarted"),
        Verb::Uninstall => ("uninstall", "uninstalled"),
    };
    if draft.standing == Standing::Missing {
        if verb == Verb::Uninstall {
            return done(app, as_json, host, (word, "not-loaded"));
        }
        let command = app.instance()?.command();
        return Err(Failure::new(Kind::Failed, "it has no service")
            .hint(format!("install one: {command} gateway install")));
    }
    check(&draft, draft.standing == Standing::Edited)?;
    tell(app, &draft, verb)?;
    if verb == Verb::Uninstall {
        file::remove(&draft.file).map_err(|it| Failure::from_error(Kind::Failed, &it))?;
    }
    done(app, as_json, host, (word, result))
}

fn draft(app: &App, host: Host) -> Result<Draft, Failure> {
    host.draft(app.instance()?, &app.ambient).map_err(|it| Failure::from_error(Kind::Failed, &it))
}

/// What is another's is left alone, and what was changed by hand as well, unless that was asked for.
fn check(draft: &Draft, force: bool) -> Result<(), Failure> {
    let is_right = match draft.standing {
        Standing::Missing | Standing::Same | Standing::Older => true,
        Standing::Edited | Standing::Foreign => force,
        Standing::Other => false,
    };
    if is_right {
        return Ok(());
    }
    Err(Failure::new(Kind::Held, format!("{} is there: {}", draft.file.display(), told(draft.standing)))
        .hint("see what it is, and take it away with what made it"))
}

fn tell(app: &App, draft: &Draft, verb: Verb) -> Result<(), Failure> {
    let instance = app.instance()?;
    let told = steps::run(&draft.steps(verb));
    told.map(|_| ()).map_err(|it| Failure::from_error(Kind::Failed, &it).of(Some(&instance.name)))
}

fn done(app: &App, as_json: bool, host: Host, (action, result): (&str, &str)) -> Result<ExitCode, Failure> {
    let instance = app.instance()?;
    if as_json {
        let [label, loaded, not_loaded] = host.words();
        let is_loaded = !matches!(result, "uninstalled" | "not-loaded");
        app.printer.json(&json!({
            "action": action, "ok": true, "result": result, "instance": instance.name,
            "service": {"label": label, "loaded": is_loaded, "loadedText": loaded, "notLoadedText": not_loaded},
        }));
    } else {
        app.printer.line(&format!("{}: {result}", instance.name));
    }
    Ok(ExitCode::SUCCESS)
}
