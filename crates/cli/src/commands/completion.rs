//! `completion`: the script by which a shell asks this program what may stand where the cursor is.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use base::file;
use clap::ValueEnum;
use profile::Ambient;
use serde_json::json;

use crate::app::App;
use crate::failure::{Failure, Kind};

const EXAMPLES: &str = "\
Examples:
  openclaw completion --install                 where your shell looks by itself
  openclaw completion --shell bash              print the script

Lines of your own, instead:
  ~/.bashrc    source <(openclaw completion --shell bash)
  ~/.zshrc     source <(openclaw completion --shell zsh)     # behind compinit
  config.fish  openclaw completion --shell fish | source
  $PROFILE     openclaw completion --shell powershell | Out-String | iex

The scripts ask openclaw itself: names of instances, conversations and models
are those of the moment, and an update of openclaw needs no other script.";

/// Stands in each script. A file without it is somebody else's.
const MARK: &str = "Written by `openclaw completion`.";

/// What `openclaw completion` is told.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CompletionArgs {
    /// Whose; without it the shell that SHELL names
    #[arg(short, long, value_enum, value_name = "SHELL")]
    shell: Option<Shell>,

    /// Write the script where the shell looks by itself; files that you wrote stay as they are
    #[arg(short, long)]
    install: bool,

    /// Keep the scripts in the instance's state folder, in completions/, for lines that name a file there
    #[arg(long)]
    write_state: bool,

    /// Print JSON for scripts
    #[arg(long)]
    pub(crate) json: bool,

    /// Taken for the sake of scripts: nothing is asked
    #[arg(short, long, hide = true)]
    yes: bool,
}

/// A shell that has completions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
    #[value(alias = "pwsh")]
    Powershell,
}

/// Where a script belongs, and what is left to the person.
struct Place {
    /// `None` where no shell looks into a file of its own accord.
    path: Option<PathBuf>,
    next: &'static str,
    /// What `next` speaks of, to be copied.
    line: Option<String>,
}

/// Runs it.
pub(crate) fn run(app: &App, args: &CompletionArgs) -> Result<ExitCode, Failure> {
    if args.write_state {
        keep(app, args)?;
    }
    if !args.install && args.write_state {
        return Ok(ExitCode::SUCCESS);
    }
    let shell = args.shell.map_or_else(|| of_surroundings(&app.ambient), Ok)?;
    if args.install {
        return install(app, args, shell);
    }
    let script = shell.script();
    match args.json {
        true => app.printer.json(&json!({"ok": true, "shell": shell.name(), "script": script})),
        false => app.printer.piece(script),
    }
    Ok(ExitCode::SUCCESS)
}

fn install(app: &App, args: &CompletionArgs, shell: Shell) -> Result<ExitCode, Failure> {
    let place = shell.place(&app.ambient)?;
    let changed = place.path.as_deref().map(|it| put(it, shell.script())).transpose()?;
    if args.json {
        app.printer.json(&json!({
            "ok": true, "shell": shell.name(), "path": place.path, "written": changed == Some(true),
            "next": place.next, "line": place.line,
        }));
        return Ok(ExitCode::SUCCESS);
    }
    let name = shell.name();
    app.printer.line(&match (&place.path, changed) {
        (Some(path), Some(true)) => format!("wrote {} (completions for {name})", app.ambient.short(path)),
        (Some(path), _) => format!("{} is there already, and current", app.ambient.short(path)),
        (None, _) => format!("nothing was written: {name} looks into no folder by itself"),
    });
    app.printer.line(&app.printer.folded(place.next));
    if let Some(line) = place.line {
        app.printer.line(&format!("  {line}"));
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes the scripts into the state folder of the instance: the one that is named, or all.
fn keep(app: &App, args: &CompletionArgs) -> Result<(), Failure> {
    let folder = app.instance()?.state_dir.join("completions");
    file::private_folder(&folder).map_err(|error| Failure::from_error(Kind::Failed, &error))?;
    let all = Shell::value_variants().iter().filter(|it| args.shell.is_none_or(|shell| shell == **it));
    let mut paths = Vec::new();
    for shell in all {
        let path = folder.join(format!("openclaw.{}", shell.extension()));
        put(&path, shell.script())?;
        paths.push(path);
    }
    match (args.json, args.install) {
        (true, false) => app.printer.json(&json!({"ok": true, "paths": paths})),
        // One document is printed, by who installs.
        (true, true) => {}
        (false, _) => {
            paths.iter().for_each(|it| app.printer.line(&format!("wrote {}", app.ambient.short(it))))
        }
    }
    Ok(())
}

/// Writes a script, unless it stands there already or something else does. True when it was written.
fn put(path: &Path, script: &str) -> Result<bool, Failure> {
    // A link stays one: who keeps such files elsewhere has them there still.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    match fs::read_to_string(&path) {
        Ok(it) if it == script => return Ok(false),
        Ok(it) if !it.contains(MARK) => {
            let message = format!("{} was not written by openclaw, and is kept", path.display());
            return Err(Failure::new(Kind::Failed, message).hint("move it away, and try again"));
        }
        _ => {}
    }
    let folder = path.parent().unwrap_or(Path::new("/"));
    let written = file::private_folder(folder).and_then(|()| file::replace(&path, script.as_bytes()));
    written.map(|()| true).map_err(|error| {
        let failure = Failure::from_error(Kind::Failed, &error);
        failure.hint("or let your shell read it: openclaw completion --help has the line")
    })
}

fn of_surroundings(ambient: &Ambient) -> Result<Shell, Failure> {
    let program = ambient.var("SHELL").and_then(|it| it.trim().rsplit('/').next());
    let hint = "name it: --shell bash, zsh, fish or powershell";
    match program {
        Some(it) => Shell::from_str(it, false).map_err(|_| {
            let it = base::text::line(it, 40);
            Failure::new(Kind::Usage, format!("there are no completions for the shell {it}")).hint(hint)
        }),
        None => Err(Failure::new(Kind::Usage, "SHELL does not say which shell you use").hint(hint)),
    }
}

impl Shell {
    fn name(self) -> &'static str {
        match self {
            Shell::Bash => "bash",
            Shell::Zsh => "zsh",
            Shell::Fish => "fish",
            Shell::Powershell => "powershell",
        }
    }

    fn extension(self) -> &'static str {
        if self == Shell::Powershell { "ps1" } else { self.name() }
    }

    fn script(self) -> &'static str {
        match self {
            Shell::Bash => include_str!("completion/openclaw.bash"),
            Shell::Zsh => include_str!("completion/openclaw.zsh"),
            Shell::Fish => include_str!("completion/openclaw.fish"),
            Shell::Powershell => include_str!("completion/openclaw.ps1"),
        }
    }

    /// Where the shell looks: below the user's own home, which is where the shell looks too, whatever home the
    /// instances have.
    fn place(self, ambient: &Ambient) -> Result<Place, Failure> {
        let home = || {
            let home = ambient.var("HOME").map(|it| ambient.path(it));
            home.ok_or_else(|| Failure::new(Kind::Usage, "no home folder: set HOME"))
        };
        let below = |variable: &str, folder: &str| match ambient.var(variable) {
            Some(it) => Ok(ambient.path(it)),
            None => home().map(|it| it.join(folder)),
        };
        Ok(match self {
            Shell::Bash => {
                let folder = match ambient.var("BASH_COMPLETION_USER_DIR") {
                    // A list, of which the first goes first.
                    Some(it) => ambient.path(it.split(':').next().unwrap_or(it)),
                    None => below("XDG_DATA_HOME", ".local/share")?.join("bash-completion"),
                };
                let next = "A new bash has them, where the package bash-completion is installed; without it, put this \
                            line into ~/.bashrc:";
                let line = "source <(openclaw completion --shell bash)".to_owned();
                Place { path: Some(folder.join("completions/openclaw")), next, line: Some(line) }
            }
            Shell::Zsh => {
                let folder = below("XDG_DATA_HOME", ".local/share")?.join("zsh/site-functions");
                let next = "A new zsh has them once this folder is on its fpath: put this line into ~/.zshrc, above \
                            compinit:";
                let line = format!("fpath=('{}' $fpath)", folder.display());
                Place { path: Some(folder.join("_openclaw")), next, line: Some(line) }
            }
            Shell::Fish => {
                let folder = below("XDG_CONFIG_HOME", ".config")?.join("fish/completions");
                Place { path: Some(folder.join("openclaw.fish")), next: "A new fish has them.", line: None }
            }
            Shell::Powershell => {
                let next = "Put this line into the file that $PROFILE names:";
                let line = "openclaw completion --shell powershell | Out-String | iex".to_owned();
                Place { path: None, next, line: Some(line) }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_script_is_marked_as_ours() {
        for shell in Shell::value_variants() {
            assert!(shell.script().contains(MARK), "{shell:?}");
        }
    }

    #[test]
    fn the_shell_is_the_one_that_the_surroundings_name() {
        for (value, expected) in [
            ("/bin/bash", Some(Shell::Bash)),
            ("/usr/local/bin/fish", Some(Shell::Fish)),
            ("zsh", Some(Shell::Zsh)),
            ("/opt/microsoft/powershell/7/pwsh", Some(Shell::Powershell)),
            ("/bin/dash", None),
            ("", None),
        ] {
            let found = of_surroundings(&Ambient::of(&[("SHELL", value)], Path::new("/")));
            assert_eq!(found.ok(), expected, "{value}");
        }
    }

    #[test]
    fn a_script_goes_where_the_shell_looks() {
        for (shell, variable, expected) in [
            (Shell::Bash, ("X", "x"), Some("/h/.local/share/bash-completion/completions/openclaw")),
            (Shell::Bash, ("XDG_DATA_HOME", "/d"), Some("/d/bash-completion/completions/openclaw")),
            (Shell::Bash, ("BASH_COMPLETION_USER_DIR", "/b:/c"), Some("/b/completions/openclaw")),
            (Shell::Zsh, ("X", "x"), Some("/h/.local/share/zsh/site-functions/_openclaw")),
            (Shell::Fish, ("XDG_CONFIG_HOME", "/c"), Some("/c/fish/completions/openclaw.fish")),
            (Shell::Fish, ("OPENCLAW_HOME", "/other"), Some("/h/.config/fish/completions/openclaw.fish")),
            (Shell::Powershell, ("X", "x"), None),
        ] {
            let ambient = Ambient::of(&[("HOME", "/h"), variable], Path::new("/"));
            let path = shell.place(&ambient).expect("a home").path;
            assert_eq!(path.as_deref(), expected.map(Path::new), "{shell:?} {variable:?}");
        }
    }
}
