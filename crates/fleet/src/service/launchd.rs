//! A LaunchAgent of macOS as text, and what `launchctl` is told about it. Nothing is read or run here.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::steps::{Step, Verb};
use super::text::{Standing, Wanted, sum};
use super::xml;

/// Where the mark of our own text begins: what stands behind it is the sum of all lines below.
const MARK: &str = "<!-- openclaw-agent: ";
/// Seconds between two starts at least: launchd knows no growing pauses.
const THROTTLE: u32 = 10;
/// Seconds that a stop may take, as with systemd.
const EXIT: u32 = 45;

/// The name by which launchd knows the instance, as the original names it.
pub fn label(profile: Option<&str>) -> String {
    format!("ai.openclaw.{}", profile.unwrap_or("gateway"))
}

/// Where the file belongs.
pub fn file(home: &Path, label: &str) -> PathBuf {
    home.join("Library/LaunchAgents").join(format!("{label}.plist"))
}

/// The file. Without a word of the environment but what leads to the instance.
pub fn plist(label: &str, wanted: &Wanted, state_dir: &Path) -> String {
    let body = body(label, wanted, state_dir);
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{MARK}{} -->\n{body}", sum(&body))
}

fn body(label: &str, wanted: &Wanted, state_dir: &Path) -> String {
    let program = wanted.program.display().to_string();
    // launchd looks at success only: what would end the next start as well has to look like one.
    let last = ["gateway", "run", "--refusal-is-final"].map(str::to_owned);
    let words = std::iter::once(&program).chain(&wanted.arguments).chain(&last);
    let words: String = words.fold(String::new(), |mut all, it| {
        let _ = writeln!(all, "    <string>{}</string>", xml::text(it));
        all
    });
    let variables: String = wanted.environment.iter().fold(String::new(), |mut all, (name, value)| {
        let _ =
            writeln!(all, "    <key>{}</key>\n    <string>{}</string>", xml::text(name), xml::text(value));
        all
    });
    let errors = state_dir.join("logs/launchd.err.log");
    format!(
        "<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n\
         <plist version=\"1.0\">\n<dict>\n  <key>Label</key>\n  <string>{}</string>\n  <key>Comment</key>\n  \
         <string>OpenClaw gateway {}</string>\n  <key>ProgramArguments</key>\n  <array>\n{words}  </array>\n  \
         <key>EnvironmentVariables</key>\n  <dict>\n{variables}  </dict>\n  <key>RunAtLoad</key>\n  <true/>\n  \
         <key>KeepAlive</key>\n  <dict>\n    <key>SuccessfulExit</key>\n    <false/>\n  </dict>\n  \
         <key>ThrottleInterval</key>\n  <integer>{THROTTLE}</integer>\n  <key>ExitTimeOut</key>\n  \
         <integer>{EXIT}</integer>\n  <key>ProcessType</key>\n  <string>Interactive</string>\n  <key>Umask</key>\n  \
         <integer>63</integer>\n  <key>StandardInPath</key>\n  <string>/dev/null</string>\n  \
         <key>StandardOutPath</key>\n  <string>/dev/null</string>\n  <key>StandardErrorPath</key>\n  \
         <string>{}</string>\n</dict>\n</plist>\n",
        xml::text(label),
        xml::text(&wanted.name),
        xml::text(&errors.display().to_string()),
    )
}

/// What stands in the place of the file, by its text.
pub fn compare(wanted: &str, there: Option<&str>) -> Standing {
    let Some(there) = there else { return Standing::Missing };
    if there == wanted {
        return Standing::Same;
    }
    let marked = there.split_once('\n').and_then(|(_, rest)| rest.strip_prefix(MARK)?.split_once(" -->\n"));
    let Some((mark, body)) = marked else { return Standing::Foreign };
    if leads(there) != leads(wanted) {
        return Standing::Other;
    }
    if mark == sum(body) { Standing::Older } else { Standing::Edited }
}

/// The instance that a file leads to: its arguments and variables, less the program.
fn leads(text: &str) -> Vec<&str> {
    let within =
        |from: &str, to: &str| text.split_once(from).and_then(|(_, rest)| rest.split_once(to)).map(|it| it.0);
    let arguments = within("<array>", "</array>").unwrap_or_default();
    let variables = within("<key>EnvironmentVariables</key>", "</dict>").unwrap_or_default();
    let named = |it: &&str| it.starts_with("<string>") || it.starts_with("<key>OPENCLAW_");
    let arguments = arguments.lines().map(str::trim).filter(named).skip(1);
    arguments.chain(variables.lines().map(str::trim).filter(named)).collect()
}

/// What `launchctl` is told, in order.
pub fn steps(verb: Verb, uid: u32, label: &str, file: &Path) -> Vec<Step> {
    let (domain, service) = (format!("gui/{uid}"), format!("gui/{uid}/{label}"));
    let file = file.display().to_string();
    let out = Step::may_fail(&["launchctl", "bootout", &service]);
    let enable = Step::must(&["launchctl", "enable", &service]);
    let load = Step::must(&["launchctl", "bootstrap", &domain, &file]);
    match verb {
        // One that is loaded already holds on to the text that it was loaded with.
        Verb::Install | Verb::Start => vec![out, enable, load],
        Verb::Stop | Verb::Uninstall => vec![Step::must(&["launchctl", "bootout", &service])],
        Verb::Restart => vec![Step::must(&["launchctl", "kickstart", "-k", &service])],
        Verb::Show => vec![Step::must(&["launchctl", "print", &service])],
    }
}

/// The process and the last exit code, out of what `launchctl print` says.
pub fn state(said: &str) -> (Option<u32>, Option<i32>) {
    let after = |key: &str| {
        said.lines().find_map(|it| {
            it.trim().strip_prefix(key)?.trim().strip_prefix('=').map(|it| it.trim().to_owned())
        })
    };
    let code = after("last exit code").and_then(|it| it.split(':').next()?.trim().parse().ok());
    (after("pid").and_then(|it| it.parse().ok()), code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted() -> Wanted {
        Wanted {
            name: "rescue".to_owned(),
            program: PathBuf::from("/opt/open & claw/openclaw"),
            arguments: vec!["--profile".to_owned(), "rescue".to_owned()],
            environment: vec![("OPENCLAW_HOME".to_owned(), "/home/ada/<work>".to_owned())],
            user: None,
            steps: false,
            watchdog: 30,
        }
    }

    fn text() -> String {
        plist(&label(Some("rescue")), &wanted(), Path::new("/home/ada/.openclaw-rescue"))
    }

    #[test]
    fn the_file_is_what_is_kept_beside() {
        assert_eq!(text(), include_str!("golden/ai.openclaw.rescue.plist"));
        assert_eq!(label(None), "ai.openclaw.gateway");
        let place = file(Path::new("/home/ada"), &label(Some("rescue")));
        assert_eq!(place, Path::new("/home/ada/Library/LaunchAgents/ai.openclaw.rescue.plist"));
    }

    #[test]
    fn whose_it_is_and_whether_it_was_changed_is_told_by_the_text() {
        let text = text();
        for (there, standing) in [
            (None, Standing::Missing),
            (Some(text.clone()), Standing::Same),
            (Some(text.replace("<integer>10<", "<integer>5<")), Standing::Edited),
            (
                Some(text.replace(
                    "<string>--profile</string>\n    <string>rescue",
                    "<string>--profile</string>\n    <string>main",
                )),
                Standing::Other,
            ),
            (Some(text.replace("/home/ada/&lt;work&gt;", "/elsewhere")), Standing::Other),
            (Some("<plist><dict/></plist>".to_owned()), Standing::Foreign),
        ] {
            assert_eq!(compare(&text, there.as_deref()), standing, "{there:?}");
        }
        let moved = Wanted { program: PathBuf::from("/usr/local/bin/openclaw"), ..wanted() };
        let older = plist(&label(Some("rescue")), &moved, Path::new("/home/ada/.openclaw-rescue"));
        assert_eq!(compare(&text, Some(&older)), Standing::Older);
    }

    #[test]
    fn launchctl_is_told_of_one_service_in_the_users_own_domain() {
        let file = Path::new("/home/ada/Library/LaunchAgents/ai.openclaw.rescue.plist");
        let told = |verb| -> Vec<String> {
            steps(verb, 501, "ai.openclaw.rescue", file).into_iter().map(|it| it.words.join(" ")).collect()
        };
        let service = "gui/501/ai.openclaw.rescue";
        assert_eq!(
            told(Verb::Install),
            [
                format!("launchctl bootout {service}"),
                format!("launchctl enable {service}"),
                format!("launchctl bootstrap gui/501 {}", file.display())
            ]
        );
        assert_eq!(told(Verb::Stop), [format!("launchctl bootout {service}")]);
        assert_eq!(told(Verb::Restart), [format!("launchctl kickstart -k {service}")]);
    }

    #[test]
    fn what_launchctl_says_tells_the_process_and_how_the_last_ended() {
        let running = "gui/501/ai.openclaw.rescue = {\n\tstate = running\n\tpid = 4242\n\tlast exit code = (never exited)\n}";
        assert_eq!(state(running), (Some(4242), None));
        assert_eq!(state("\tstate = not running\n\tlast exit code = 78: EX_CONFIG\n"), (None, Some(78)));
    }
}
