//! The routes, as data: who may, with which scope, how much. The tests go through this table as well.

use protocol::Scope;

use crate::limits::{CONVERSATION_BYTES, HOOK_BYTES, TOOL_BYTES};

/// One path and all that holds for it.
#[derive(Debug)]
pub struct Route {
    /// As it is written in a request, byte by byte. At the end, `*` stands for anything that is not empty. `/hooks` in
    /// front stands for `hooks.path` of the config.
    pub path: &'static str,
    /// The methods that it knows.
    pub methods: &'static [&'static str],
    /// Who may ask.
    pub who: Who,
    /// What the one who asks must hold.
    pub scope: Option<Scope>,
    /// The most bytes of a body.
    pub body_limit: usize,
    pub(super) open: Open,
    pub(super) page: Page,
}

/// Who may ask. The owner, on the control socket, always may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// Anybody; who sends a credential all the same must send the right one, and may be told more.
    Anybody,
    /// Who has the gateway's secret.
    Secret,
    /// Who has `hooks.token`.
    Hooks,
}

/// When a route is there.
#[derive(Debug, Clone, Copy)]
pub(super) enum Open {
    Always,
    Chat,
    Responses,
    Models,
    Hooks,
}

/// What answers.
#[derive(Debug, Clone, Copy)]
pub(super) enum Page {
    Root,
    Style,
    Live,
    Ready,
    Started,
    Metrics,
    Chat,
    Responses,
    Models,
    Model,
    Tool,
    Wake,
    HookAgent,
    HookMapped,
}

const READ: &[&str] = &["GET", "HEAD"];
const POST: &[&str] = &["POST"];
const HOOKS: &str = "/hooks";

const fn open_to_all(path: &'static str, page: Page) -> Route {
    Route { path, methods: READ, who: Who::Anybody, scope: None, body_limit: 0, open: Open::Always, page }
}

const fn for_readers(path: &'static str, open: Open, page: Page) -> Route {
    Route { path, methods: READ, who: Who::Secret, scope: Some(Scope::Read), body_limit: 0, open, page }
}

const fn for_writers(path: &'static str, open: Open, page: Page, body_limit: usize) -> Route {
    Route { path, methods: POST, who: Who::Secret, scope: Some(Scope::Write), body_limit, open, page }
}

const fn hook(path: &'static str, page: Page) -> Route {
    Route {
        path,
        methods: POST,
        who: Who::Hooks,
        scope: None,
        body_limit: HOOK_BYTES,
        open: Open::Hooks,
        page,
    }
}

/// Every route there is. The first that fits answers.
pub static ROUTES: &[Route] = &[
    open_to_all("/", Page::Root),
    open_to_all("/page.css", Page::Style),
    open_to_all("/health", Page::Live),
    open_to_all("/healthz", Page::Live),
    open_to_all("/ready", Page::Ready),
    open_to_all("/readyz", Page::Ready),
    open_to_all("/startup", Page::Started),
    open_to_all("/startupz", Page::Started),
    for_readers("/metrics", Open::Always, Page::Metrics),
    for_readers("/v1/models", Open::Models, Page::Models),
    for_readers("/v1/models/*", Open::Models, Page::Model),
    for_writers("/v1/chat/completions", Open::Chat, Page::Chat, CONVERSATION_BYTES),
    for_writers("/v1/responses", Open::Responses, Page::Responses, CONVERSATION_BYTES),
    for_writers("/tools/invoke", Open::Always, Page::Tool, TOOL_BYTES),
    hook("/hooks/wake", Page::Wake),
    hook("/hooks/agent", Page::HookAgent),
    hook("/hooks/*", Page::HookMapped),
];

/// The route of a path as it came, and what stands in the place of its `*`. Nothing is decoded and nothing is mended:
/// a path that is written in another way is another path.
pub(super) fn find<'a>(path: &'a str, hooks: &str) -> Option<(&'static Route, &'a str)> {
    ROUTES.iter().find_map(|route| {
        let rest = match route.path.strip_prefix(HOOKS) {
            Some(below) => fits(below, path.strip_prefix(hooks.trim_end_matches('/'))?)?,
            None => fits(route.path, path)?,
        };
        Some((route, rest))
    })
}

fn fits<'a>(pattern: &str, path: &'a str) -> Option<&'a str> {
    match pattern.strip_suffix('*') {
        Some(front) => path.strip_prefix(front).filter(|it| !it.is_empty()),
        None => (pattern == path).then_some(""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, expected: Option<(&str, &str)>) {
        let found = find(path, "/hooks").map(|(route, rest)| (route.path, rest));
        assert_eq!(found, expected, "{path}");
    }

    #[test]
    fn each_path_is_matched_as_it_is_written() {
        check("/", Some(("/", "")));
        check("/healthz", Some(("/healthz", "")));
        check("/v1/models/openclaw%2Fmain", Some(("/v1/models/*", "openclaw%2Fmain")));
        check("/hooks/wake", Some(("/hooks/wake", "")));
        check("/hooks/github/push", Some(("/hooks/*", "github/push")));
        for path in [
            "",
            "//",
            "/healthz/",
            "//healthz",
            "/./healthz",
            "/x/../healthz",
            "/%68ealthz",
            "/healthz;a=b",
            "/HEALTHZ",
            "/healthz%00",
            "/healthz%20",
            "/v1//models",
            "/v1/models/",
            "/v1/chat/completions/",
            "/V1/chat/completions",
            "/tools/invoke/..",
            "/tools%2Finvoke",
            "/tools\\invoke",
            "/hooks",
            "/hooks/",
            "/hookswake",
            "/metrics;",
            "*",
        ] {
            check(path, None);
        }
    }

    #[test]
    fn a_dot_below_a_free_part_stays_below_it() {
        check("/hooks/../tools/invoke", Some(("/hooks/*", "../tools/invoke")));
        check("/v1/models/../../metrics", Some(("/v1/models/*", "../../metrics")));
    }

    #[test]
    fn hooks_are_where_the_config_puts_them() {
        let found = |path| find(path, "/in/coming/").map(|(route, _)| route.path);
        assert_eq!(found("/in/coming/wake"), Some("/hooks/wake"));
        assert_eq!((found("/hooks/wake"), found("/in/comingwake")), (None, None));
    }

    #[test]
    fn nothing_that_acts_is_open_to_anybody() {
        for route in ROUTES {
            let reads = route.methods == READ && route.body_limit == 0;
            assert!(reads || route.who != Who::Anybody, "{}", route.path);
            assert!(route.who != Who::Secret || route.scope.is_some(), "{}", route.path);
        }
        let mut paths: Vec<_> = ROUTES.iter().map(|it| it.path).collect();
        paths.sort_unstable();
        paths.dedup();
        assert_eq!(paths.len(), ROUTES.len(), "a path stands twice");
    }
}
