//! A supervisor that opens sockets and passes them on, as systemd does.

use std::process::Command;

/// The command, started with these sockets: `tcp:ADDRESS:PORT`, `udp:ADDRESS:PORT`, `unix:PATH`, or a file.
pub fn passing(sockets: &[&str], command: &Command) -> Command {
    let mut outer = Command::new("python3");
    outer.args(["-c", include_str!("activator.py")]).args(sockets).arg("--");
    outer.arg(command.get_program()).args(command.get_args()).env_clear();
    outer.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    if let Some(folder) = command.get_current_dir() {
        outer.current_dir(folder);
    }
    outer.stdin(std::process::Stdio::null());
    outer
}
