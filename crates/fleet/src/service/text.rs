//! A unit of systemd as text: what is wanted becomes a file, and a file says whose it is. Nothing is read or run here.

use std::path::PathBuf;

use serde::Serialize;

use crate::doctor::words;

/// Where the mark of our own text begins: what stands behind it is the sum of all lines below.
const MARK: &str = "# openclaw-unit: ";
/// The variables that lead to an instance.
const LEADING: [&str; 5] =
    ["OPENCLAW_PROFILE", "OPENCLAW_STATE_DIR", "OPENCLAW_CONFIG_PATH", "OPENCLAW_HOME", "OPENCLAW_HOST_DIR"];

/// How it ends, and how much it may take. Each of them counts for the tools that it runs as well.
const LIMITS: &[&str] = &[
    // One that hangs may be beyond an abort, and a dump of its memory would hold secrets.
    "WatchdogSignal=SIGKILL\nLimitCORE=0",
    // The gateway ends its tools itself; what is left of them after it goes with it.
    "KillMode=mixed",
    // A tool that takes too much is ended alone, and the gateway says so; from MemoryHigh on it is slowed before that.
    "OOMPolicy=continue\nMemoryHigh=3G\nMemoryMax=4G",
    // A fork bomb of a tool ends here. A build of a large program, or a browser, needs some hundreds.
    "TasksMax=2048",
    // Connections are files: the gateway raises its own limit as far as this goes.
    "LimitNOFILE=1024:65536",
    // What it writes is for its user alone.
    "UMask=0077",
];

/// What it may not do. Whoever is not root can do little harm that other lines would stop (clock, modules, devices are
/// root's alone), and what they would stop besides is what tools are for: a workspace may be anywhere (`ProtectHome`,
/// `ProtectSystem`, `PrivateTmp`), a browser and containers make namespaces (`RestrictNamespaces`, and a `/proc` that is
/// mounted over by `ProtectKernelTunables`), programs that compile at run time write code (`MemoryDenyWriteExecute`),
/// and some tools are 32-bit programs (`SystemCallArchitectures`).
const HARDENING: &[&str] = &[
    // sudo and its like are of no use to whoever took over a tool.
    "NoNewPrivileges=yes\nRestrictSUIDSGID=yes",
    // Old ABIs' personalities weaken the layout of memory.
    "LockPersonality=yes",
    // It could starve the machine.
    "RestrictRealtime=yes",
];

/// All that a unit is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The instance's name.
    pub name: String,
    /// The program's file, as it is called; a link stays one.
    pub program: PathBuf,
    /// What stands between the program and its command.
    pub arguments: Vec<String>,
    /// Only what leads to the instance.
    pub environment: Vec<(String, String)>,
    /// Whose process it is, where the machine starts it.
    pub user: Option<String>,
    /// Whether this systemd knows growing pauses (254 and later).
    pub steps: bool,
    /// Seconds of silence after which it is ended and started again.
    pub watchdog: u32,
}

/// What stands in the place of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Standing {
    /// Nothing.
    Missing,
    /// The very text that is wanted.
    Same,
    /// Ours, written for other flags or by another version.
    Older,
    /// Ours, changed by hand since.
    Edited,
    /// Not written by this program.
    Foreign,
    /// Ours, and it starts another instance.
    Other,
}

impl Wanted {
    /// The file.
    pub fn text(&self) -> String {
        marked(&self.body())
    }

    fn body(&self) -> String {
        let mut lines = vec![
            "# Changed by hand it is left alone from then on; a drop-in is the better place for changes."
                .to_owned(),
            "[Unit]".to_owned(),
            format!("Description=OpenClaw gateway {}", self.name.replace('%', "%%")),
        ];
        if self.user.is_some() {
            lines.push("Wants=network-online.target\nAfter=network-online.target".to_owned());
        }
        // Ten starts in vain, and it rests. Pauses that grow need longer for as many.
        let window = if self.steps { 900 } else { 300 };
        lines.push(format!("StartLimitIntervalSec={window}\nStartLimitBurst=10\n\n[Service]"));
        lines.push("Type=notify\nNotifyAccess=main".to_owned());
        let program = self.program.display().to_string();
        let command = std::iter::once(&program).chain(&self.arguments).map(|it| word(it).replace('$', "$$"));
        lines.push(format!("ExecStart={} gateway run", command.collect::<Vec<_>>().join(" ")));
        let variables = self.environment.iter().map(|(name, value)| word(&format!("{name}={value}")));
        lines.extend(variables.map(|it| format!("Environment={it}")));
        lines.extend(self.user.iter().map(|it| format!("User={it}")));
        lines.push("Restart=on-failure\nRestartSec=2".to_owned());
        if self.steps {
            lines.push("RestartSteps=6\nRestartMaxDelaySec=120".to_owned());
        }
        // Usage, held by another, configuration: the next start would end as this one did.
        lines.push("RestartPreventExitStatus=64 69 78".to_owned());
        lines.push(format!("TimeoutStartSec=60\nTimeoutStopSec=45\nWatchdogSec={}", self.watchdog));
        lines.extend(LIMITS.iter().chain(HARDENING).map(|it| (*it).to_owned()));
        let target = if self.user.is_some() { "multi-user.target" } else { "default.target" };
        lines.push(format!("\n[Install]\nWantedBy={target}\n"));
        lines.join("\n")
    }

    /// What stands in the place of the unit, by its text.
    pub fn compare(&self, there: Option<&str>) -> Standing {
        let Some(there) = there else { return Standing::Missing };
        if there == self.text() {
            return Standing::Same;
        }
        if !is_ours(there) {
            return Standing::Foreign;
        }
        if leads(there) != leads(&self.text()) {
            return Standing::Other;
        }
        if is_untouched(there) { Standing::Older } else { Standing::Edited }
    }
}

/// The instance that a unit leads to: whose process it is, what stands between the program and its command, and the
/// variables that lead to an instance. Flags of the command and other variables are a matter of taste.
fn leads(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in text.lines() {
        if let Some(it) = line.strip_prefix("ExecStart=") {
            found.extend(words(it).into_iter().skip(1).take_while(|it| it != "gateway"));
        } else if let Some(it) = line.strip_prefix("Environment=") {
            let named = |it: &String| LEADING.iter().any(|name| it.split('=').next() == Some(name));
            found.extend(words(it).into_iter().filter(named));
        } else if line.starts_with("User=") {
            found.push(line.to_owned());
        }
    }
    found
}

/// A text with the mark of our own in its first line.
pub(super) fn marked(body: &str) -> String {
    format!("{MARK}{}\n{body}", sum(body))
}

/// Whether a text of ours is as it was written.
pub fn is_untouched(text: &str) -> bool {
    let parts = text.split_once('\n').and_then(|(head, body)| Some((head.strip_prefix(MARK)?, body)));
    parts.is_some_and(|(mark, body)| mark == sum(body))
}

/// Whether a unit was written by this program, for whichever instance.
pub fn is_ours(text: &str) -> bool {
    text.starts_with(MARK)
}

/// What would change, a line each: `-` goes, `+` comes.
pub fn difference(there: &str, wanted: &str) -> Vec<String> {
    let [there, wanted] =
        [there, wanted].map(|it| it.split_once('\n').filter(|_| is_ours(it)).map_or(it, |it| it.1));
    let gone =
        there.lines().filter(|it| !wanted.lines().any(|other| other == *it)).map(|it| format!("-{it}"));
    let come =
        wanted.lines().filter(|it| !there.lines().any(|other| other == *it)).map(|it| format!("+{it}"));
    gone.chain(come).collect()
}

/// A word of a unit's line: whole whatever is in it, and nothing in it is expanded.
fn word(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%");
    let bare = |it: char| it.is_ascii_alphanumeric() || "/._-=:,%".contains(it);
    if !text.is_empty() && text.chars().all(bare) { escaped } else { format!("\"{escaped}\"") }
}

/// Says whether a text was changed. It keeps nobody from changing it: FNV-1a.
pub(super) fn sum(text: &str) -> String {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted() -> Wanted {
        Wanted {
            name: "main".to_owned(),
            program: PathBuf::from("/opt/open claw/100%/$x/openclaw"),
            arguments: vec!["--profile".to_owned(), "main".to_owned()],
            environment: vec![("OPENCLAW_HOST_DIR".to_owned(), "/a \"b\"\\c".to_owned())],
            user: None,
            steps: false,
            watchdog: 30,
        }
    }

    #[test]
    fn what_is_strange_in_a_path_stays_as_it_is() {
        let text = wanted().text();
        assert!(
            text.contains("ExecStart=\"/opt/open claw/100%%/$$x/openclaw\" --profile main gateway run\n"),
            "{text}"
        );
        assert!(text.contains("Environment=\"OPENCLAW_HOST_DIR=/a \\\"b\\\"\\\\c\"\n"), "{text}");
        assert_eq!(words("\"OPENCLAW_HOST_DIR=/a \\\"b\\\"\\\\c\""), ["OPENCLAW_HOST_DIR=/a \"b\"\\c"]);
    }

    #[test]
    fn the_machine_starts_it_as_a_user_and_growing_pauses_need_a_systemd_that_knows_them() {
        let own = wanted().text();
        assert!(
            own.contains("WantedBy=default.target")
                && !own.contains("User=")
                && !own.contains("RestartSteps")
        );
        let machine = Wanted { user: Some("ada".to_owned()), steps: true, ..wanted() }.text();
        for line in [
            "User=ada\n",
            "WantedBy=multi-user.target\n",
            "RestartSteps=6\n",
            "StartLimitIntervalSec=900\n",
            "After=network-online.target\n",
        ] {
            assert!(machine.contains(line), "{machine}");
        }
    }

    #[test]
    fn whose_it_is_and_whether_it_was_changed_is_told_by_the_text() {
        let it = wanted();
        let text = it.text();
        let moved = Wanted { program: PathBuf::from("/usr/bin/openclaw"), ..it.clone() }.text();
        let other = Wanted { environment: Vec::new(), ..it.clone() }.text();
        for (there, standing) in [
            (None, Standing::Missing),
            (Some(text.clone()), Standing::Same),
            (Some(moved.clone()), Standing::Older),
            (Some(text.replace("4G", "8G")), Standing::Edited),
            (Some(format!("{text}\n")), Standing::Edited),
            (Some(other), Standing::Other),
            (Some(text.replace("[Install]", "User=bob\n[Install]")), Standing::Other),
            (Some(text.replace("gateway run", "gateway run --verbose")), Standing::Edited),
            (Some(text.replace("UMask", "Environment=OPENCLAW_LOG=debug\nUMask")), Standing::Edited),
            (Some("[Service]\nExecStart=node gateway\n".to_owned()), Standing::Foreign),
        ] {
            assert_eq!(it.compare(there.as_deref()), standing, "{there:?}");
        }
        assert!(difference(&moved, &text).iter().any(|it| it.starts_with("-ExecStart=/usr/bin/openclaw")));
        assert!(difference(&text, &text).is_empty());
    }
}
