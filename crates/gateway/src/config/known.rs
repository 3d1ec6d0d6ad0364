//! The keys of the original's config, by name: what has no effect here is told apart from what nobody knows.
//!
//! `known.txt` says how it is written. It is parsed when the first unknown key turns up, and never in a gateway whose
//! config has none.

use std::sync::LazyLock;

/// The whole tree; names of keys only.
const TEXT: &str = include_str!("known.txt");
/// What a key that is obeyed here is worth over one that is only known, where each is two an edit.
const FOREIGN: usize = 3;
/// A key that stands for the content of other files, in any object.
const INCLUDE: &str = "$include";
/// By how much deeper a key may stand than what was written for it.
const DEEPER: usize = 2;
/// Beyond this many bytes nothing is a slip; a key in a file may be of any length.
const LONGEST: usize = 128;
/// Below this many letters, or below half of the name, a beginning or an end says nothing.
const SHORTEST_PART: usize = 3;

static TREE: LazyLock<Tree> = LazyLock::new(|| Tree::parse(TEXT));

/// Whether the original has this key, or once had. Places in a list are numbers; what stands below a key that is no
/// object is no key of anybody, but an element of what may be a list is.
pub(crate) fn is_known(path: &[&str]) -> bool {
    TREE.reaches(path)
}

/// What was probably meant by a path of which some part is unknown: a key of the same parent that is spelled alike,
/// or else a key of the same name elsewhere. `ours` are the keys that are obeyed here, joined with dots, `*` for a
/// free name and `[]` for a list's element; they are preferred. A free name is given back as the path has it.
pub(crate) fn nearest(path: &[&str], ours: &[String]) -> Option<String> {
    let ours: Vec<Vec<&str>> = ours.iter().map(|it| steps(it).collect()).collect();
    let mut meant: Vec<&str> = path.to_vec();
    while let Some(at) = (0..meant.len()).find(|at| !reached(&meant[..=*at], &ours)) {
        let Some(name) = alike(&meant, at, &ours).filter(|it| *it != meant[at]) else {
            return elsewhere(path, &ours)
                .or_else(|| (meant[..at] != path[..at]).then(|| meant[..at].join(".")));
        };
        meant[at] = name;
    }
    (meant != path).then(|| meant.join("."))
}

/// A key and what may stand below it.
#[derive(Debug)]
struct Node {
    name: &'static str,
    parent: usize,
    below: Vec<usize>,
    free: bool,
    /// The same keys as at this path.
    same: Option<&'static str>,
}

#[derive(Debug)]
struct Tree {
    /// The first is the document.
    nodes: Vec<Node>,
}

impl Tree {
    fn parse(text: &'static str) -> Self {
        let mut tree = Self { nodes: vec![Node::below(0, "")] };
        let mut open = vec![0];
        for line in text.lines().filter(|it| !it.starts_with('#')) {
            let rest = line.trim_start();
            let (names, marks) = rest.split_once(' ').unwrap_or((rest, ""));
            open.truncate((line.len() - rest.len()) / 2 + 1);
            let mut at = open.last().copied().unwrap_or(0);
            for name in steps(names) {
                at = tree.add(at, name);
            }
            tree.nodes[at].free = marks.split(' ').any(|it| it == "**");
            tree.nodes[at].same = marks.split_once("= ").map(|(_, path)| path);
            if marks.split(' ').any(|it| it == "$") {
                for name in ["id", "provider", "source"] {
                    tree.add(at, name);
                }
            }
            open.push(at);
        }
        tree
    }

    fn add(&mut self, parent: usize, name: &'static str) -> usize {
        let at = self.nodes.len();
        self.nodes.push(Node::below(parent, name));
        self.nodes[parent].below.push(at);
        at
    }

    fn child(&self, at: usize, name: &str) -> Option<usize> {
        self.nodes[at].below.iter().copied().find(|it| self.nodes[*it].name == name)
    }

    /// Where the keys of a node stand.
    fn body(&self, mut at: usize) -> usize {
        while let Some(path) = self.nodes[at].same {
            at = steps(path).fold(0, |at, name| self.child(at, name).unwrap_or(0));
        }
        at
    }

    /// The node at a path, or the one above it that leaves free what is below.
    fn walk(&self, path: &[&str]) -> Option<usize> {
        let mut at = self.body(0);
        for (place, step) in path.iter().enumerate() {
            if *step == INCLUDE || self.nodes[at].free {
                return Some(at);
            }
            let element = || is_place(step).then(|| self.child(at, "[]")).flatten();
            let next = self.child(at, step).or_else(element).or_else(|| self.child(at, "*"));
            let Some(next) = next else {
                // A list of plain values has no line of its own.
                let plain = self.nodes[at].below.is_empty() && place > 0;
                return (plain && path[place..].iter().all(|it| is_place(it))).then_some(at);
            };
            at = self.body(next);
        }
        Some(at)
    }

    fn reaches(&self, path: &[&str]) -> bool {
        self.walk(path).is_some()
    }

    /// The names above a node and its own.
    fn path(&self, mut at: usize) -> Vec<&'static str> {
        let mut path = Vec::new();
        while at != 0 {
            path.push(self.nodes[at].name);
            at = self.nodes[at].parent;
        }
        path.reverse();
        path
    }
}

impl Node {
    fn below(parent: usize, name: &'static str) -> Self {
        Self { name, parent, below: Vec::new(), free: false, same: None }
    }
}

/// `a.b[].c` is `a`, `b`, `[]`, `c`.
fn steps(path: &str) -> impl Iterator<Item = &str> {
    path.split('.')
        .flat_map(|it| match it.strip_suffix("[]") {
            Some("") | None => [Some(it), None],
            Some(name) => [Some(name), Some("[]")],
        })
        .flatten()
}

fn is_place(step: &str) -> bool {
    !step.is_empty() && step.bytes().all(|it| it.is_ascii_digit())
}

fn is_free(step: &str) -> bool {
    matches!(step, "*" | "[]")
}

/// Whether one of the keys that are obeyed begins like this.
fn begins(key: &[&str], path: &[&str]) -> bool {
    let same = |(key, step): (&&str, &&str)| key == step || *key == "*" || (*key == "[]" && is_place(step));
    key.len() >= path.len() && key.iter().zip(path).all(same)
}

fn reached(path: &[&str], ours: &[Vec<&str>]) -> bool {
    is_known(path) || ours.iter().any(|key| begins(key, path))
}

/// The name that fits best in the place of one that is unknown, below the same parent.
fn alike<'a>(path: &[&'a str], at: usize, ours: &[Vec<&'a str>]) -> Option<&'a str> {
    let (above, wrong) = (&path[..at], path[at]);
    let ours = ours.iter().filter(|key| key.len() > at && begins(key, above)).map(|key| (key[at], 0));
    let known = TREE.walk(above).map(|at| TREE.nodes[at].below.as_slice()).unwrap_or_default();
    let known = known.iter().map(|it| TREE.nodes[*it].name).chain([INCLUDE]).map(|it| (it, FOREIGN));
    let names = ours.chain(known).filter(|(name, _)| !is_free(name));
    let longer = |name: &str| name.len().abs_diff(wrong.len());
    let scored =
        names.filter_map(|(name, extra)| Some((edits(wrong, name)? * 2 + extra, longer(name), name)));
    scored.min().map(|(_, _, name)| name)
}

/// A key of the same last name in another place: below what is known of the path, or else right below a part of it,
/// or else, for a name that stands alone, the only one that is obeyed here. Nobody is sent to a stranger's `token`.
fn elsewhere(path: &[&str], ours: &[Vec<&str>]) -> Option<String> {
    let last = path.last().filter(|it| !is_place(it))?;
    let named = |key: &[&str]| key.last().is_some_and(|it| it.eq_ignore_ascii_case(last));
    let known = (1..TREE.nodes.len()).filter(|at| TREE.nodes[*at].name.eq_ignore_ascii_case(last));
    let obeyed = ours.iter().filter(|key| named(key)).map(|key| (0, key.clone()));
    let found: Vec<(usize, Vec<&str>)> = obeyed.chain(known.map(|at| (1, TREE.path(at)))).collect();
    let depth = (0..path.len()).take_while(|at| reached(&path[..=*at], ours)).count();
    let near = |key: &[&str]| key.len() <= path.len() + DEEPER;
    let below = found.iter().filter(|(_, key)| depth > 0 && near(key) && begins(key, &path[..depth]));
    let above = found.iter().filter(|(_, key)| key.len() <= depth && begins(key, &path[..key.len() - 1]));
    let alone = || {
        let mut obeyed = found.iter().filter(|(rank, _)| *rank == 0 && path.len() == 1);
        obeyed.next().filter(|_| obeyed.next().is_none())
    };
    let best = below.min_by_key(|(rank, key)| (*rank, key.len(), key.join(".")));
    let best = best.or_else(|| above.max_by_key(|(_, key)| key.len())).or_else(alone);
    best.map(|(_, key)| filled(key, path).join(".").replace(".[]", "[]"))
}

/// A key with the person's own names in place of the free ones, as far as the two go together.
fn filled<'a>(key: &[&'a str], path: &[&'a str]) -> Vec<&'a str> {
    let mut together = true;
    let step = |(at, name): (usize, &&'a str)| {
        let theirs = path.get(at).copied().unwrap_or(name);
        together &= begins(&[name], &[theirs]);
        if together { theirs } else { *name }
    };
    key.iter().enumerate().map(step).collect()
}

/// How many edits make one name of the other, if few enough that it may have been meant: a letter more, less,
/// another, or two swapped. Case and separators are none. A part that a name begins or ends with costs more than that.
fn edits(wrong: &str, name: &str) -> Option<usize> {
    if wrong.len() > LONGEST {
        return None;
    }
    let letters = |it: &str| -> Vec<char> {
        it.chars().filter(|it| !matches!(it, '-' | '_')).map(|it| it.to_ascii_lowercase()).collect()
    };
    let (wrong, name) = (letters(wrong), letters(name));
    let short = wrong.len().min(name.len());
    let most = if short < 3 { 0 } else { (short / 3).clamp(1, 3) };
    let close = short > 0 && wrong.len().abs_diff(name.len()) <= most;
    if let Some(found) = close.then(|| distance(&wrong, &name)).filter(|it| *it <= most) {
        return Some(found);
    }
    let (long, part) = if wrong.len() < name.len() { (&name, &wrong) } else { (&wrong, &name) };
    let holds = short >= SHORTEST_PART
        && part.len() * 2 + 1 >= long.len()
        && (long.starts_with(part) || long.ends_with(part));
    holds.then_some(most + 1)
}

/// The smallest number of edits, a swap of neighbours being one.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let swapped = i > 0 && j > 0 && a[i - 1] == *y && b[j - 1] == *x;
            let swap = if swapped { rows[i - 1][j - 1] + 1 } else { usize::MAX };
            let other = rows[i][j] + usize::from(x != y);
            row.push(other.min(rows[i][j + 1] + 1).min(row[j] + 1).min(swap));
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: [&str; 8] = [
        "gateway.port",
        "gateway.auth.token",
        "gateway.mode",
        "agents.defaults.workspace",
        "agents.list[].id",
        "models.providers.*.apiKey",
        "models.providers.*.models[].id",
        "logging.level",
    ];

    #[track_caller]
    fn check(path: &str, expected: Option<&str>) {
        let ours: Vec<String> = OURS.iter().map(|it| (*it).to_owned()).collect();
        let path: Vec<&str> = path.split('.').collect();
        assert_eq!(nearest(&path, &ours).as_deref(), expected, "{path:?}");
    }

    #[test]
    fn a_slip_is_found_below_the_same_parent() {
        for (wrong, meant) in [
            ("gateway.prot", "gateway.port"),
            ("gateway.PORT", "gateway.port"),
            ("gatway.port", "gateway.port"),
            ("gatway.prot", "gateway.port"),
            ("agents.default", "agents.defaults"),
            ("agents.default.workspace", "agents.defaults.workspace"),
            ("agnets", "agents"),
            ("chanels", "channels"),
            ("loging.level", "logging.level"),
            ("models.providers.x.apikey", "models.providers.x.apiKey"),
            ("models.providers.x.api_key", "models.providers.x.apiKey"),
            ("models.provider.x.apiKey", "models.providers.x.apiKey"),
            ("agents.list.3.workspac", "agents.list.3.workspace"),
            ("channels.telegrm.botToken", "channels.telegram.botToken"),
            ("channels.telegram.accounts.a.bottoken", "channels.telegram.accounts.a.botToken"),
            ("tools.exec.timeout", "tools.exec.timeoutSec"),
            ("bindings.0.agentID", "bindings.0.agentId"),
            ("channels.telegram.token", "channels.telegram.botToken"),
            ("channels.discord.botToken", "channels.discord.token"),
            ("models.providers.x.url", "models.providers.x.baseUrl"),
            ("models.providers.x.key", "models.providers.x.apiKey"),
            ("browser.profiles.a.port", "browser.profiles.a.cdpPort"),
        ] {
            check(wrong, Some(meant));
        }
    }

    #[test]
    fn the_same_name_is_found_elsewhere() {
        check("gateway.token", Some("gateway.auth.token"));
        check("gateway.security.token", Some("gateway.auth.token"));
        for (misplaced, meant) in [
            ("workspace", "agents.defaults.workspace"),
            ("agents.workspace", "agents.defaults.workspace"),
            ("agents.defaults.bindings", "bindings"),
            ("gateway.password", "gateway.auth.password"),
            ("models.providers.x.contextWindow", "models.providers.x.models[].contextWindow"),
        ] {
            check(misplaced, Some(meant));
        }
        check("browser.cdpPort", Some("browser.profiles.*.cdpPort"));
        check("port", Some("gateway.port"));
    }

    #[test]
    fn what_is_like_nothing_has_no_neighbour() {
        for absurd in [
            "frobnicate",
            "gateway.zzz",
            "x",
            "gateway.xy",
            "",
            "qqqq.wwww.eeee",
            "a.b.c.token",
            "agents.reviewer",
            "cron.jobs",
            "name",
        ] {
            check(absurd, None);
        }
        check("gateway.port", None);
        check("tools.allow.0.$includ", None);
        check(&"port".repeat(100_000), None);
        check("gatway.zzz", Some("gateway"));
    }

    #[test]
    fn keys_of_the_newest_and_of_the_oldest_are_known() {
        for path in [
            "gateway.port",
            "gateway.auth.token.source",
            "gateway.trustedProxies.0",
            "agents.entries.main.identity.name",
            "agents.list.0.identity.name",
            "agents.list.0.subagents.allowAgents.2",
            "channels.telegram.groups.*.requireMention",
            "channels.discord.accounts.second.guilds.1.channels.x.users.0",
            "channels.bluebubbles.serverUrl",
            "channels.matrix.accounts.a.homeserver",
            "plugins.entries.some.config.anything.at.all",
            "env.vars.X",
            "env.ANYTHING",
            "web.reconnect.initialMs",
            "audio.transcription.command",
            "media.preserveFilenames",
            "canvasHost.liveReload",
            "talk.voiceId",
            "secrets.providers.x.command",
            "models.providers.x.models.0.cost.input",
            "agents.$include",
            "session.resetByType.dm.mode",
            "broadcast.some@group.0",
            "broadcast.some@group.agents.0",
            "routing.allowFrom.0",
        ] {
            assert!(is_known(&path.split('.').collect::<Vec<_>>()), "{path}");
        }
        for path in [
            "gateway.prot",
            "gateway.port.deep",
            "agents.defaults.0",
            "gateway.0",
            "channels.telegrm",
            "nothing",
            "models.providers.x.apikey",
            "0",
        ] {
            assert!(!is_known(&path.split('.').collect::<Vec<_>>()), "{path}");
        }
    }

    #[test]
    fn every_reference_leads_to_keys_and_the_text_is_in_order() {
        for at in 0..TREE.nodes.len() {
            let (node, mut hops) = (&TREE.nodes[at], at);
            for _ in 0..8 {
                let Some(path) = TREE.nodes[hops].same else { break };
                hops = steps(path).fold(0, |at, name| {
                    TREE.child(at, name).unwrap_or_else(|| panic!("{path}: no {name}, for {}", node.name))
                });
            }
            assert!(TREE.nodes[hops].same.is_none(), "{:?} goes in a circle", TREE.path(at));
            let full = node.same.is_none() || !TREE.nodes[hops].below.is_empty();
            assert!(full, "{:?} refers to nothing", TREE.path(at));
            let names: Vec<_> = node.below.iter().map(|it| TREE.nodes[*it].name.to_lowercase()).collect();
            assert!(names.is_sorted(), "{:?}: {names:?}", TREE.path(at));
        }
        assert!(TREE.nodes.len() > 3000, "{}", TREE.nodes.len());
        assert!(TEXT.len() < 61_440, "{}", TEXT.len());
    }

    /// The paths of all keys of the examples, but for names that a person chose.
    fn keys_of_examples() -> Vec<Vec<String>> {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/configs");
        let parts = [("parts/agents", "agents"), ("parts/models-of-agents", "agents")];
        let parts =
            parts.into_iter().chain([("parts/nested/gateway", "gateway"), ("parts/nested/whole", "")]);
        let parts = parts.map(|(file, at)| (folder.join(file).with_extension("json5"), at));
        let entries = std::fs::read_dir(&folder).expect("a folder").map(|it| it.expect("an entry").path());
        let whole = entries.filter(|it| it.extension().is_some_and(|it| it == "json5")).map(|it| (it, ""));
        let mut keys = Vec::new();
        for (file, at) in whole.chain(parts) {
            let document = profile::Document::load(&file).expect("JSON5");
            let at = Some(at).filter(|it| !it.is_empty()).map(str::to_owned);
            gather(document.value(), &mut at.into_iter().collect(), &mut keys);
        }
        keys
    }

    fn gather(value: &serde_json::Value, at: &mut Vec<String>, keys: &mut Vec<Vec<String>>) {
        let below: Vec<_> = match value {
            serde_json::Value::Object(it) => it.iter().map(|(key, it)| (key.clone(), it)).collect(),
            serde_json::Value::Array(it) => {
                it.iter().enumerate().map(|(at, it)| (at.to_string(), it)).collect()
            }
            _ => return,
        };
        for (key, it) in below {
            at.push(key);
            keys.push(at.clone());
            gather(it, at, keys);
            at.pop();
        }
    }

    fn borrowed(path: &[String]) -> Vec<&str> {
        path.iter().map(String::as_str).collect()
    }

    #[test]
    fn every_key_of_the_examples_is_known() {
        let keys = keys_of_examples();
        let unknown: Vec<_> = keys.iter().filter(|it| !is_known(&borrowed(it))).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
        assert!(keys.len() > 900, "{}", keys.len());
    }

    #[test]
    fn a_slip_in_any_key_of_the_examples_is_found() {
        let mut slips = 0;
        for key in keys_of_examples() {
            let (Some(last), mut wrong) = (key.last(), key.clone()) else { continue };
            let swapped = last.char_indices().nth(1).filter(|_| last.is_ascii() && last.len() > 3);
            let Some((at, _)) = swapped else { continue };
            let (start, rest) = last.split_at(at);
            wrong[key.len() - 1] = format!("{start}{}{}{}", &rest[1..2], &rest[..1], &rest[2..]);
            if is_known(&borrowed(&wrong)) {
                continue;
            }
            slips += 1;
            assert_eq!(nearest(&borrowed(&wrong), &[]), Some(key.join(".")), "{wrong:?}");
        }
        assert!(slips > 600, "{slips}");
    }

    #[test]
    fn a_swap_is_one_edit() {
        for (wrong, name, expected) in [
            ("prot", "port", Some(1)),
            ("PORT", "port", Some(0)),
            ("default", "defaults", Some(1)),
            ("log", "logging", Some(2)),
            ("ab", "ac", None),
            ("token", "level", None),
        ] {
            assert_eq!(edits(wrong, name), expected, "{wrong} {name}");
        }
    }
}
