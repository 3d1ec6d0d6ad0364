//! Instances by name, as they are named on a command line.

use fleet::look::{self, Known};

use crate::app::App;
use crate::failure::{Failure, Kind};

/// Names, or all of them.
#[derive(Debug, clap::Args)]
pub(super) struct Which {
    /// The instances, by name; a folder where two have one name
    #[arg(value_name = "NAME", required_unless_present = "all", conflicts_with = "all")]
    names: Vec<String>,

    /// Every instance of this host
    #[arg(long)]
    all: bool,

    /// Print JSON for scripts
    #[arg(long)]
    pub(super) json: bool,
}

impl Which {
    /// For commands whose line has its own words for it.
    pub(super) fn named(names: Vec<String>, all: bool) -> Self {
        Self { names, all, json: false }
    }

    /// Those that are meant.
    pub(super) fn of(&self, app: &App) -> Result<Vec<Known>, Failure> {
        let known = look::known(&app.host()?, &app.ambient);
        if self.all {
            return Ok(known);
        }
        self.names.iter().map(|it| one(app, &known, it)).collect()
    }
}

/// The instance of a name.
pub(super) fn by_name(app: &App, name: &str) -> Result<Known, Failure> {
    one(app, &look::known(&app.host()?, &app.ambient), name)
}

fn one(app: &App, known: &[Known], name: &str) -> Result<Known, Failure> {
    let folder = name.contains('/').then(|| app.ambient.path(name));
    let is_meant = |it: &&Known| match &folder {
        Some(folder) => it.instance.state_dir == *folder,
        None => it.instance.name == name,
    };
    let mut found = known.iter().filter(is_meant);
    match (found.next(), found.next()) {
        (Some(it), None) => Ok(it.clone()),
        (Some(a), Some(b)) => {
            let mut failure = Failure::new(Kind::Usage, format!("two instances are called {name}"));
            for it in [a, b].into_iter().chain(found) {
                failure.details.push(it.instance.state_dir.display().to_string());
            }
            Err(failure.hint("name its folder instead"))
        }
        (None, _) => {
            let failure = Failure::new(Kind::Usage, format!("there is no instance {name}"));
            let names: Vec<&str> = known.iter().map(|it| it.instance.name.as_str()).collect();
            Err(match names.is_empty() {
                true => failure.hint("there is none yet: openclaw fleet create NAME"),
                false => failure.hint(format!("there are: {}", names.join(", "))),
            })
        }
    }
}
