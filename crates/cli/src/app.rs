//! What every command is given: the surroundings, the instance when it is asked for, and where to print.

use std::cell::OnceCell;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use profile::registry::Host;
use profile::{Ambient, Instance, Selection, instance};

use crate::client::{Client, NoAnswer};
use crate::commands::fleet::find;
use crate::failure::{Failure, Kind};
use crate::printer::Printer;

/// The longest that a command waits for a gateway where it names no time.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// One run of the binary. Nothing is opened before a command asks for it.
pub(crate) struct App {
    /// The environment, home and folder.
    pub(crate) ambient: Ambient,
    /// `--log-level`.
    pub(crate) log_level: Option<String>,
    /// Where to print.
    pub(crate) printer: Printer,
    selection: Selection,
    /// `--for`: whom the command is about in the place of the selected instance.
    ward: Option<String>,
    instance: OnceCell<Instance>,
    rescuer: OnceCell<Instance>,
}

impl App {
    /// Puts it together.
    pub(crate) fn new(
        ambient: Ambient,
        selection: Selection,
        log_level: Option<String>,
        printer: Printer,
    ) -> Self {
        let (instance, rescuer) = (OnceCell::new(), OnceCell::new());
        Self { ambient, log_level, printer, selection, ward: None, instance, rescuer }
    }

    /// About this instance in the place of the selected one.
    pub(crate) fn for_ward(self, ward: Option<String>) -> Self {
        Self { ward, ..self }
    }

    /// The same surroundings, about this instance.
    pub(crate) fn about(&self, instance: Instance) -> Self {
        let app =
            Self::new(self.ambient.clone(), self.selection.clone(), self.log_level.clone(), self.printer);
        Self { instance: OnceCell::from(instance), ..app }
    }

    /// The instance that `--for` names.
    pub(crate) fn ward(&self) -> Option<&str> {
        self.ward.as_deref()
    }

    /// The instance that the command is about.
    pub(crate) fn instance(&self) -> Result<&Instance, Failure> {
        if let Some(it) = self.instance.get() {
            return Ok(it);
        }
        let found = match &self.ward {
            Some(name) => self.look_up(name)?,
            None => self.selected()?,
        };
        Ok(self.instance.get_or_init(|| found))
    }

    /// The selected instance, in whose name something is done to another.
    pub(crate) fn rescuer(&self) -> Result<&Instance, Failure> {
        if let Some(it) = self.rescuer.get() {
            return Ok(it);
        }
        let selected = self.selected()?;
        Ok(self.rescuer.get_or_init(|| selected))
    }

    /// The ward. One of another user is none of ours, and nobody is their own.
    fn look_up(&self, name: &str) -> Result<Instance, Failure> {
        let ward = find::by_name(self, name)?.instance;
        let by = self.rescuer()?;
        if instance::same(&ward.state_dir, &by.state_dir) {
            let words = format!("{name} is the selected instance itself: --for names another");
            return Err(
                Failure::new(Kind::Usage, words).hint("leave it out, or select the rescue with --profile")
            );
        }
        if !by.state_dir.exists() {
            return Err(Failure::new(
                Kind::Usage,
                format!("there is no instance {} to act in the name of", by.name),
            )
            .hint("select the rescue with --profile"));
        }
        // A folder that is gone is nobody's: it may be what there is to be put back.
        let strange = match std::fs::metadata(&ward.state_dir).map(|it| it.uid()) {
            Ok(owner) if owner == rustix::process::geteuid().as_raw() => None,
            Ok(_) => Some(format!("{name} belongs to another user")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => Some(format!("nobody can tell whose {name} is: {error}")),
        };
        if let Some(words) = strange {
            return Err(Failure::new(Kind::Usage, words).hint("act as the user who runs it"));
        }
        Ok(ward)
    }

    fn selected(&self) -> Result<Instance, Failure> {
        let resolved = Instance::resolve(&self.ambient, &self.selection).map_err(|error| {
            let hint = error.remedy();
            let failure = Failure::new(Kind::Usage, format!("[openclaw] {error}"));
            match hint {
                Some(hint) => failure.hint(hint),
                None => failure,
            }
        })?;
        Ok(resolved)
    }

    /// Whether neither a flag nor the environment says which instance is meant.
    pub(crate) fn names_none(&self) -> bool {
        let variables = ["OPENCLAW_PROFILE", "OPENCLAW_STATE_DIR", "OPENCLAW_CONFIG_PATH"];
        let by_flag = self.selection.profile.is_some() || self.selection.dev;
        !by_flag && variables.iter().all(|it| self.ambient.var(it).is_none())
    }

    /// The records of all instances of this user.
    pub(crate) fn host(&self) -> Result<Host, Failure> {
        let default = Instance::of_profile(&self.ambient, None);
        let default = default.map_err(|error| Failure::new(Kind::Usage, format!("[openclaw] {error}")))?;
        Ok(default.host)
    }

    /// The instance's name, once it is known.
    pub(crate) fn known_name(&self) -> Option<&str> {
        self.instance.get().map(|it| it.name.as_str())
    }

    /// A connection to the instance's gateway.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        let instance = self.instance()?;
        Client::connect(&instance.state_dir, PATIENCE).map_err(|error| no_answer(instance, &error))
    }
}

/// Why the instance's gateway cannot be asked, and what to do.
pub(crate) fn no_answer(instance: &Instance, error: &NoAnswer) -> Failure {
    let command = instance.command();
    match error {
        NoAnswer::NotRunning(source) => {
            let folder = instance.state_dir.display();
            let failure = Failure::new(Kind::Failed, format!("no gateway is running in {folder}"));
            if source.kind() == io::ErrorKind::PermissionDenied {
                return Failure::new(
                    Kind::Failed,
                    format!("the control socket in {folder} may not be used: {source}"),
                )
                .hint("act as the user who runs this gateway");
            }
            failure.hint(format!("start it with: {command} gateway"))
        }
        NoAnswer::Deaf(limit) => Failure::new(
            Kind::Again,
            format!("the gateway runs but did not answer within {} s", limit.as_secs_f32()),
        )
        .hint(format!("look at its log: {}", instance.state_dir.join("logs/gateway.log").display())),
        NoAnswer::Lost(words) => Failure::new(
            Kind::Failed,
            format!("the gateway ended the connection before it answered: {words}"),
        )
        .hint(format!("see whether it runs: {command} status")),
        NoAnswer::Broken(words) => {
            Failure::new(Kind::Failed, format!("the gateway's answer makes no sense: {words}"))
                .hint("it may be of another version; restart it with this one")
        }
        NoAnswer::Refused(refusal) => Failure::new(Kind::Failed, refusal.message.clone()),
    }
}
