//! Instances by name, as they are named on a command line.

use fleet::look::{self, Known};

use crate::app::App;
use crate::failure::{Failure, Kind};

/// Names, or all of them.
#[derive(Debug, clap::Args)]
pub(super) struct Which {
    /// The instances, by name; a folder where two have one name
    #[arg(value_name = "NAME", conflicts_with = "all")]
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
            if let Some(ward) = app.ward() {
                return Err(Failure::new(
                    Kind::Usage,
                    format!("--all and --for {ward} name different instances"),
                ));
            }
            return Ok(known);
        }
        if self.names.is_empty() {
            return Ok(vec![one_or_ward(app, None)?]);
        }
        self.names.iter().try_for_each(|it| check_ward(app, it))?;
        self.names.iter().map(|it| one(app, &known, it)).collect()
    }
}

/// The instance of a name; without one, that of `--for`.
pub(super) fn one_or_ward(app: &App, name: Option<&str>) -> Result<Known, Failure> {
    let name = name.or(app.ward());
    let name = name.ok_or_else(|| {
        Failure::new(Kind::Usage, "no instance is named").hint("name one: openclaw fleet ls lists them")
    })?;
    check_ward(app, name)?;
    by_name(app, name)
}

/// What is noted with one instance is done to no other.
pub(super) fn check_ward(app: &App, name: &str) -> Result<(), Failure> {
    match app.ward() {
        Some(ward) if ward != name => {
            Err(Failure::new(Kind::Usage, format!("{name} and --for {ward} name different instances")))
        }
        _ => Ok(()),
    }
}

/// The instance of a name.
pub(crate) fn by_name(app: &App, name: &str) -> Result<Known, Failure> {
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
