//! A scheduled task of Windows as text, the script that it runs, and what `schtasks` is told about them. Nothing is read
//! or run here.

use std::path::{Path, PathBuf};

use super::steps::{Step, Verb};
use super::text::{Standing, Wanted, sum};
use super::xml;

/// Where the mark of our own script begins: what stands behind it is the sum of all lines below.
const MARK: &str = "rem openclaw-task: ";
/// After how long a gateway that ended by itself is started again: the scheduler looks at no exit code.
const AGAIN: &str = "PT5M";

/// The name of the task, as the original names it.
pub fn name(profile: Option<&str>) -> String {
    profile.map_or_else(|| "OpenClaw Gateway".to_owned(), |it| format!("OpenClaw Gateway ({it})"))
}

/// Where the script belongs: a task has no environment of its own to give.
pub fn script_file(state_dir: &Path) -> PathBuf {
    state_dir.join("gateway.cmd")
}

/// The script, which says what leads to the instance and runs it.
pub fn script(wanted: &Wanted) -> String {
    let mut lines = vec![format!("rem OpenClaw gateway {}", batch(&wanted.name))];
    lines.extend(wanted.environment.iter().map(|(name, value)| format!("set \"{name}={}\"", batch(value))));
    let program = wanted.program.display().to_string();
    let words = std::iter::once(&program).chain(&wanted.arguments).map(|it| format!("\"{}\"", batch(it)));
    lines.push(format!("{} gateway run --refusal-is-final", words.collect::<Vec<_>>().join(" ")));
    let body = format!("{}\r\n", lines.join("\r\n"));
    format!("@echo off\r\n{MARK}{}\r\n{body}", sum(&body))
}

/// A value within quotes of a script: only the sign of a variable would be replaced there.
fn batch(text: &str) -> String {
    text.replace('%', "%%")
}

/// The task. `user` is who has to be logged on.
pub fn task(name: &str, user: &str, script: &Path) -> String {
    let (name, user) = (xml::text(name), xml::text(user));
    let script = xml::text(&script.display().to_string());
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-16\"?>\r\n\
         <Task version=\"1.4\" xmlns=\"http://schemas.microsoft.com/windows/2004/02/mit/task\">\r\n  \
         <RegistrationInfo>\r\n    <Description>{name}</Description>\r\n    <URI>\\{name}</URI>\r\n  \
         </RegistrationInfo>\r\n  <Triggers>\r\n    <LogonTrigger>\r\n      <Repetition>\r\n        \
         <Interval>{AGAIN}</Interval>\r\n      </Repetition>\r\n      <Enabled>true</Enabled>\r\n      \
         <UserId>{user}</UserId>\r\n    </LogonTrigger>\r\n  </Triggers>\r\n  <Principals>\r\n    \
         <Principal id=\"Author\">\r\n      <UserId>{user}</UserId>\r\n      \
         <LogonType>InteractiveToken</LogonType>\r\n      <RunLevel>LeastPrivilege</RunLevel>\r\n    </Principal>\r\n  \
         </Principals>\r\n  <Settings>\r\n    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>\r\n    \
         <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>\r\n    \
         <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>\r\n    \
         <StartWhenAvailable>true</StartWhenAvailable>\r\n    <Hidden>false</Hidden>\r\n    \
         <ExecutionTimeLimit>PT0S</ExecutionTimeLimit>\r\n    <Priority>5</Priority>\r\n  </Settings>\r\n  \
         <Actions Context=\"Author\">\r\n    <Exec>\r\n      <Command>\"{script}\"</Command>\r\n    </Exec>\r\n  \
         </Actions>\r\n</Task>\r\n"
    )
}

/// The bytes of a task's file: its reader wants two for each character, and a mark of their order.
pub fn bytes(task: &str) -> Vec<u8> {
    std::iter::once(0xfeff).chain(task.encode_utf16()).flat_map(u16::to_le_bytes).collect()
}

/// What stands in the place of the script, by its text.
pub fn compare(wanted: &str, there: Option<&str>) -> Standing {
    let Some(there) = there else { return Standing::Missing };
    if there == wanted {
        return Standing::Same;
    }
    let marked = there.split_once("\r\n").and_then(|(_, rest)| rest.strip_prefix(MARK)?.split_once("\r\n"));
    let Some((mark, body)) = marked else { return Standing::Foreign };
    if leads(there) != leads(wanted) {
        return Standing::Other;
    }
    if mark == sum(body) { Standing::Older } else { Standing::Edited }
}

/// The instance that a script leads to: its variables and its arguments, less the program.
fn leads(text: &str) -> Vec<&str> {
    let variables = text.lines().filter(|it| it.starts_with("set \"OPENCLAW_"));
    let command = text.lines().find(|it| it.starts_with('"')).unwrap_or_default();
    variables.chain(command.splitn(3, '"').skip(2)).collect()
}

/// What `schtasks` is told, in order. `file` is the task's, which is needed for the installation alone.
pub fn steps(verb: Verb, name: &str, file: &Path) -> Vec<Step> {
    let file = file.display().to_string();
    let run = Step::must(&["schtasks", "/Run", "/TN", name]);
    let end = Step::may_fail(&["schtasks", "/End", "/TN", name]);
    // It would be started again within minutes otherwise.
    let disable = Step::must(&["schtasks", "/Change", "/TN", name, "/DISABLE"]);
    let enable = Step::must(&["schtasks", "/Change", "/TN", name, "/ENABLE"]);
    match verb {
        Verb::Install => vec![Step::must(&["schtasks", "/Create", "/F", "/TN", name, "/XML", &file]), run],
        Verb::Uninstall => vec![end, Step::must(&["schtasks", "/Delete", "/F", "/TN", name])],
        Verb::Start => vec![enable, run],
        Verb::Stop => vec![disable, end],
        Verb::Restart => vec![end, enable, run],
        Verb::Show => vec![Step::must(&["schtasks", "/Query", "/TN", name, "/FO", "CSV", "/NH", "/V"])],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted() -> Wanted {
        Wanted {
            name: "rescue".to_owned(),
            program: PathBuf::from("C:\\Program Files\\100%\\openclaw.exe"),
            arguments: vec!["--profile".to_owned(), "rescue".to_owned()],
            environment: vec![("OPENCLAW_HOME".to_owned(), "D:\\a & b".to_owned())],
            user: None,
            steps: false,
            watchdog: 30,
        }
    }

    #[test]
    fn the_files_are_what_is_kept_beside() {
        let script = script(&wanted());
        assert_eq!(script.replace("\r\n", "\n"), include_str!("golden/gateway.cmd"));
        assert_eq!(script.matches('\n').count(), script.matches("\r\n").count());
        let task = task(&name(Some("rescue")), "HOST\\ada", Path::new("C:\\Users\\ada\\R & D\\gateway.cmd"));
        assert_eq!(task.replace("\r\n", "\n"), include_str!("golden/task.xml"));
        assert_eq!(name(None), "OpenClaw Gateway");
    }

    #[test]
    fn a_task_is_written_in_the_order_that_its_mark_says() {
        assert_eq!(bytes("<ä"), [0xff, 0xfe, b'<', 0, 0xe4, 0]);
    }

    #[test]
    fn whose_it_is_and_whether_it_was_changed_is_told_by_the_script() {
        let text = script(&wanted());
        let moved = Wanted { program: PathBuf::from("C:\\openclaw.exe"), ..wanted() };
        for (there, standing) in [
            (None, Standing::Missing),
            (Some(text.clone()), Standing::Same),
            (Some(script(&moved)), Standing::Older),
            (Some(text.replace("rem OpenClaw", "rem My OpenClaw")), Standing::Edited),
            (Some(text.replace("\"rescue\"", "\"main\"")), Standing::Other),
            (Some(text.replace("D:\\a", "E:\\a")), Standing::Other),
            (Some("@echo off\r\nnode gateway\r\n".to_owned()), Standing::Foreign),
        ] {
            assert_eq!(compare(&text, there.as_deref()), standing, "{there:?}");
        }
    }

    #[test]
    fn one_that_is_stopped_is_not_started_again_by_the_scheduler() {
        let told = |verb| -> Vec<String> {
            let steps = steps(verb, "OpenClaw Gateway (rescue)", Path::new("C:\\t.xml"));
            steps.into_iter().map(|it| it.words[1..].join(" ")).collect()
        };
        let task = "/TN OpenClaw Gateway (rescue)";
        assert_eq!(told(Verb::Stop), [format!("/Change {task} /DISABLE"), format!("/End {task}")]);
        assert_eq!(told(Verb::Start), [format!("/Change {task} /ENABLE"), format!("/Run {task}")]);
        assert_eq!(told(Verb::Install)[0], format!("/Create /F {task} /XML C:\\t.xml"));
        assert_eq!(told(Verb::Uninstall)[1], format!("/Delete /F {task}"));
    }
}
