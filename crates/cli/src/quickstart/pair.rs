//! The two gateways of a quickstart: where they are kept, how they are started, and stopped in order.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use gateway::setup::{Wishes, setup};
use profile::{Ambient, Instance, Plan, Selection, control, listener, ports};
use protocol::health::{Health, HealthParams, HealthReply};
use rustix::process::{Pid, Signal};

use crate::app::{App, PATIENCE, no_answer};
use crate::client::Client;
use crate::commands::setup::failed;
use crate::failure::{Failure, Kind};
use crate::printer::Printer;

/// How long a gateway may take to stop; its own stages have 5 s each.
const STOP: Duration = Duration::from_secs(20);

/// Where the instances are kept.
pub(super) enum Place {
    /// Profiles in the person's home.
    Home,
    /// A folder that is removed at the end.
    Temporary(tempfile::TempDir),
}

/// One gateway.
#[derive(Debug, Clone)]
pub(super) struct Member {
    /// Which it is.
    pub(super) instance: Instance,
    /// The port that it listens on.
    plan: Plan,
    health: String,
    pid: u32,
}

/// Both, in the order of their start.
pub(super) struct Pair {
    place: Place,
    printer: Printer,
    members: Vec<Member>,
    /// Those that we started; the others ran before and go on.
    children: Vec<(String, Child)>,
}

impl Place {
    /// Finds or makes it.
    pub(super) fn find(app: &App, temporary: bool) -> Result<Self, Failure> {
        if !temporary {
            return Ok(Place::Home);
        }
        let parent = app.ambient.var("TMPDIR").unwrap_or("/tmp").to_owned();
        let folder = tempfile::Builder::new().prefix("openclaw-").tempdir_in(&parent);
        folder.map(Place::Temporary).map_err(|error| {
            Failure::new(Kind::Config, format!("no temporary folder can be made in {parent}: {error}"))
                .hint("name another one with TMPDIR")
        })
    }

    /// The surroundings of an instance in this place.
    fn ambient(&self, app: &App, name: &str) -> Ambient {
        let mut variables = app.ambient.without_instance();
        if let Place::Temporary(folder) = self {
            let path = |part: &str| folder.path().join(part).display().to_string();
            variables.push(("OPENCLAW_STATE_DIR".to_owned(), path(name)));
            variables.push(("OPENCLAW_HOST_DIR".to_owned(), path("host")));
        }
        let variables: Vec<_> =
            variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        Ambient::of(&variables, &app.ambient.path("."))
    }

    fn selection(&self, name: &str) -> Selection {
        match self {
            Place::Home => Selection { profile: Some(name.to_owned()), dev: false },
            Place::Temporary(_) => Selection::default(),
        }
    }
}

impl Member {
    /// Its line in the table.
    pub(super) fn row(&self, app: &App) -> Vec<String> {
        let Plan { base, control, canvas, cdp } = &self.plan;
        vec![
            self.instance.name.clone(),
            "ready".to_owned(),
            self.health.clone(),
            base.to_string(),
            control.to_string(),
            canvas.to_string(),
            format!("{}–{}", cdp.start(), cdp.end()),
            self.pid.to_string(),
            app.ambient.short(&self.instance.state_dir),
        ]
    }
}

impl Pair {
    /// None yet.
    pub(super) fn new(place: Place, printer: Printer) -> Self {
        Self { place, printer, members: Vec::new(), children: Vec::new() }
    }

    /// Those that are ready.
    pub(super) fn members(&self) -> &[Member] {
        &self.members
    }

    /// Makes an instance ready: sets it up where it is new, and starts it unless it runs.
    pub(super) fn start(&mut self, app: &App, name: &str, base: u16) -> Result<(), Failure> {
        let ambient = self.place.ambient(app, name);
        let resolved = Instance::resolve(&ambient, &self.place.selection(name));
        let instance = resolved.map_err(|error| Failure::from_error(Kind::Usage, &error))?;
        if control::connect(&instance.state_dir).is_ok() {
            self.printer.note(&format!("{name} is running already, and goes on running afterwards"));
        } else {
            let child = self.launch(app, &instance, &ambient, base)?;
            self.children.push((name.to_owned(), child));
        }
        let health = ask(&instance)?;
        let plan =
            Plan::of(health.instance.port).map_err(|error| Failure::from_error(Kind::Fault, &error))?;
        let words = if health.ok { "ok".to_owned() } else { health.problems.join("; ") };
        self.members.push(Member { instance, plan, health: words, pid: health.instance.pid });
        Ok(())
    }

    fn launch(&self, app: &App, instance: &Instance, ambient: &Ambient, base: u16) -> Result<Child, Failure> {
        let port = self.port(instance, base)?;
        let is_new = !instance.config_path.exists();
        let wishes = Wishes { port: is_new.then_some(port), workspace: None };
        setup(instance, ambient, &wishes).map_err(|error| failed(&error))?;
        let mut command = Command::new(own_program()?);
        if matches!(self.place, Place::Home) {
            command.args(["--profile", &instance.name]);
        }
        if let Some(level) = &app.log_level {
            command.args(["--log-level", level]);
        }
        let me = std::process::id().to_string();
        command.args(["gateway", "run", "--exit-with-parent", &me, "--port", &port.to_string()]);
        command.env_clear().envs(self.place.ambient(app, &instance.name).everything());
        // In a group of its own: Ctrl-C is for us, and we stop them in order.
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let child = command.spawn();
        let child = child
            .map_err(|error| Failure::new(Kind::Fault, format!("the gateway cannot be started: {error}")))?;
        wait_until_ready(child)
    }

    /// The config's port, else the wished one; another where somebody has it, said aloud.
    fn port(&self, instance: &Instance, base: u16) -> Result<u16, Failure> {
        let configured = profile::Document::load(&instance.config_path).ok().and_then(|it| it.port());
        let wished = configured.unwrap_or(base);
        let others = instance.host.confirmed_neighbours(&instance.state_dir);
        let plan = Plan::of(wished).map_err(|error| Failure::from_error(Kind::Config, &error))?;
        let taken = plan.fixed().iter().find(|(_, port)| listener::is_bound(*port)).map(|(_, port)| *port);
        let planned = ports::overlap(&plan, &[], &others).is_some();
        if taken.is_none() && !planned {
            return Ok(wished);
        }
        let free = ports::free_bases(wished, &others, listener::is_bound)
            .next()
            .ok_or_else(|| Failure::new(Kind::Held, format!("no base port from {wished} on is free")))?;
        let who =
            taken.and_then(listener::who).map_or_else(|| "another instance".to_owned(), |it| it.to_string());
        let port = taken.unwrap_or(wished);
        self.printer.note(&format!("port {port} is taken by {who}: {} uses base port {free}", instance.name));
        Ok(free)
    }

    /// Stops those that we started, the first one last, and removes what is temporary.
    pub(super) fn stop(mut self) {
        for (name, child) in self.children.iter_mut().rev() {
            match stop_child(child) {
                Ok(()) => self.printer.note(&format!("{name} stopped")),
                Err(words) => self.printer.note(&format!("{name}: {words}")),
            }
        }
        if let Place::Temporary(folder) = self.place {
            let path = folder.path().to_path_buf();
            if let Err(error) = folder.close() {
                self.printer.note(&format!("{} cannot be removed: {error}", path.display()));
            }
        }
    }
}

/// The program to start: this one, also after its file was replaced.
fn own_program() -> Result<PathBuf, Failure> {
    Ambient::program()
        .map_err(|error| Failure::new(Kind::Fault, format!("the program's own file is unknown: {error}")))
}

/// Reads what the gateway says until it listens, or ends.
fn wait_until_ready(mut child: Child) -> Result<Child, Failure> {
    let mut said = Vec::new();
    let lines = child.stderr.take().map(BufReader::new).into_iter().flat_map(BufRead::lines);
    for line in lines.map_while(Result::ok) {
        if line.contains("listening on ws://") {
            return Ok(child);
        }
        said.push(line);
    }
    // Its output has ended, so it has or is about to.
    let code = child.wait().ok().and_then(|it| it.code());
    let mut failure = Failure::new(Kind::Failed, "the gateway did not start");
    failure.details = said;
    failure.kind = match code {
        Some(69) => Kind::Held,
        Some(78) => Kind::Config,
        _ => Kind::Failed,
    };
    Err(failure)
}

fn ask(instance: &Instance) -> Result<HealthReply, Failure> {
    let asked = Client::connect(&instance.state_dir, PATIENCE)
        .and_then(|mut client| client.call::<Health>(&HealthParams { probe: true }));
    asked.map_err(|error| no_answer(instance, &error))
}

fn stop_child(child: &mut Child) -> Result<(), String> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or("it has no process id")?;
    let wait = |options| rustix::process::waitpid(Some(pid), options);
    let _ = rustix::process::kill_process(pid, Signal::TERM);
    let pidfd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty());
    let Ok(pidfd) = pidfd else {
        return child.wait().map(|_| ()).map_err(|error| error.to_string());
    };
    let deadline = Instant::now() + STOP;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let limit = rustix::event::Timespec::try_from(left).ok();
        let mut fds = [rustix::event::PollFd::new(&pidfd, rustix::event::PollFlags::IN)];
        match rustix::event::poll(&mut fds, limit.as_ref()) {
            Ok(0) => break,
            Ok(_) => {
                return wait(rustix::process::WaitOptions::empty())
                    .map(|_| ())
                    .map_err(|error| error.to_string());
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
    child.kill().and_then(|()| child.wait()).map_err(|error| error.to_string())?;
    Err(format!("did not stop within {} s and was killed", STOP.as_secs()))
}
