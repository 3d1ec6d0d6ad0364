//! Files that include each other: brought in, refused, bounded, and known by where each key stands.

use super::*;
use serde_json::json;

#[test]
fn files_that_include_each_other_many_times_come_to_an_end() {
    let mut kept: Vec<(PathBuf, String)> = (0..10)
        .map(|at| {
            let next = vec![format!("'{}.json5'", at + 1); 10].join(", ");
            (PathBuf::from(format!("/x/{at}.json5")), format!("{{ $include: [{next}] }}"))
        })
        .collect();
    kept.push((PathBuf::from("/x/10.json5"), "{ a: 1 }".to_owned()));
    let main = Document::parse(Path::new("/x/openclaw.json"), "{ $include: '0.json5' }".to_owned());
    let reach = Reach { roots: Vec::new(), kept: Some(kept) };
    let (_, found) = Sources::of(main.expect("JSON5"), &reach);
    let full: Vec<_> = found.iter().filter(|it| it.message.contains("altogether")).collect();
    assert_eq!(full.len(), 1, "{full:?}");
    assert_eq!(full[0].weight, crate::document::Weight::Error);
}

struct Files(tempfile::TempDir);

impl Files {
    fn of(files: &[(&str, &str)]) -> Self {
        let home = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            let path = home.path().join(name);
            base::file::private_folder(path.parent().expect("a folder")).expect("made");
            base::file::replace(&path, text.as_bytes()).expect("written");
        }
        Self(home)
    }

    fn load(&self) -> (Sources, Vec<Finding>) {
        Sources::load(&self.0.path().join("main/openclaw.json"), &Reach::default())
            .expect("the main file parses")
    }
}

#[track_caller]
fn check(files: &[(&str, &str)], expected: &Value) {
    let (sources, found) = Files::of(files).load();
    assert_eq!((sources.value(), found.as_slice()), (expected, &[][..]));
}

#[track_caller]
fn check_wrong(files: &[(&str, &str)], file: &str, expected: &str) {
    let home = Files::of(files);
    let (_, found) = home.load();
    let told: Vec<_> =
        found.iter().map(|it| it.to_string().replace(&home.0.path().display().to_string(), "~")).collect();
    assert_eq!(told, [expected]);
    assert_eq!(found[0].file, home.0.path().join(file));
}

#[test]
fn files_are_brought_in_by_the_originals_rules() {
    check(
        &[("main/openclaw.json", "{a: {$include: './a.json'}}"), ("main/a.json", "[1, 2]")],
        &json!({"a": [1, 2]}),
    );
    check(
        &[
            ("main/openclaw.json", "{$include: ['x.json', 'sub/y.json'], port: 3, o: {c: 3}}"),
            ("main/x.json", "{o: {a: 1, b: 1}, list: [1], port: 1}"),
            ("main/sub/y.json", "{o: {b: 2}, list: [2], z: {$include: '../z.json'}}"),
            ("main/z.json", "{deep: true}"),
        ],
        &json!({"o": {"a": 1, "b": 2, "c": 3}, "list": [1, 2], "port": 3, "z": {"deep": true}}),
    );
    let many: Vec<(String, String)> = (0..10)
        .map(|it| (format!("main/{it}.json"), format!("{{n{it}: 1, $include: '{}.json'}}", it + 1)))
        .chain([
            ("main/10.json".to_owned(), "{n10: 1}".to_owned()),
            ("main/openclaw.json".to_owned(), "{$include: '1.json'}".to_owned()),
        ])
        .collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let (sources, found) = Files::of(&many).load();
    assert!(found.is_empty() && sources.value()["n10"] == 1 && sources.included().len() == 10, "{found:?}");
}

#[test]
fn what_cannot_be_included_is_told_with_its_place() {
    let main = ("main/openclaw.json", "{\n  a: 1,\n  b: { $include: 'b.json' },\n}");
    check_wrong(
        &[main],
        "main/openclaw.json",
        "line 3, column 8: b.$include: there is no file ~/main/b.json",
    );
    check_wrong(
        &[main, ("main/b.json", "{\n  x: ,\n}")],
        "main/b.json",
        "line 2, column 6: Unexpected comma",
    );
    check_wrong(
        &[
            main,
            ("main/b.json", "{ $include: ['c.json'] }"),
            ("main/c.json", "{ d: { $include: 'b.json' } }"),
        ],
        "main/c.json",
        "line 1, column 8: d.$include: the files include each other in a circle: ~/main/b.json -> ~/main/c.json -> \
         ~/main/b.json",
    );
    check_wrong(
        &[("main/openclaw.json", "{ $include: '../other/x.json' }"), ("other/x.json", "{}")],
        "main/openclaw.json",
        "line 1, column 3: $include: ~/other/x.json is outside the folder of the config; move it there, or name \
         its folder in OPENCLAW_INCLUDE_ROOTS",
    );
    check_wrong(
        &[("main/openclaw.json", "{ $include: 'x.json', a: 1 }"), ("main/x.json", "[]")],
        "main/openclaw.json",
        "line 1, column 3: $include: what is included beside other keys must be an object",
    );
    check_wrong(
        &[("main/openclaw.json", "{ $include: 5 }")],
        "main/openclaw.json",
        "line 1, column 3: $include: must be a path or a list of paths",
    );
}

#[test]
fn a_link_does_not_lead_out_and_a_second_name_is_refused() {
    let home = Files::of(&[
        ("main/openclaw.json", "{ $include: ['l.json', 'h.json'] }"),
        ("other/x.json", "{}"),
        ("main/y.json", "{}"),
    ]);
    let at = |it: &str| home.0.path().join(it);
    std::os::unix::fs::symlink(at("other/x.json"), at("main/l.json")).expect("made");
    fs::hard_link(at("main/y.json"), at("main/h.json")).expect("made");
    let (_, found) = home.load();
    let told: Vec<_> = found.iter().map(|it| it.message.as_str()).collect();
    assert!(told.len() == 2 && told[0].contains("is outside") && told[1].contains("hard link"), "{told:?}");
    let reach = Reach { roots: vec![at("other")], kept: None };
    let (_, found) = Sources::load(&at("main/openclaw.json"), &reach).expect("parses");
    assert_eq!(found.len(), 1, "{found:?}");
}

#[test]
fn too_deep_is_told_and_what_was_kept_needs_no_disk() {
    let files: Vec<(String, String)> =
        (1..13).map(|it| (format!("main/{it}.json"), format!("{{$include: '{}.json'}}", it + 1))).collect();
    let mut files: Vec<(&str, &str)> =
        files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    files.push(("main/openclaw.json", "{$include: '1.json'}"));
    let (_, found) = Files::of(&files).load();
    assert!(
        found.len() == 1 && found[0].message.ends_with("would be included more than 10 deep"),
        "{found:?}"
    );

    let home = Files::of(&[("main/openclaw.json", "{a: {$include: 'a.json'}}"), ("main/a.json", "{b: 1}")]);
    let (sources, _) = home.load();
    fs::remove_file(home.0.path().join("main/a.json")).expect("removed");
    let reach = Reach { kept: Some(sources.kept()), ..Reach::default() };
    let (again, found) = Sources::of(sources.main().clone(), &reach);
    assert_eq!((again.value(), found.len()), (&json!({"a": {"b": 1}}), 0));
}

#[test]
fn a_key_is_known_by_the_file_that_has_it() {
    let home = Files::of(&[
        ("main/openclaw.json", "{\n  models: { $include: 'models.json', more: 1 },\n}"),
        ("main/models.json", "{\n  providers: {\n    x: { baseUrl: 5 } }\n}"),
    ]);
    let (sources, _) = home.load();
    let finding = sources.finding(&["models", "providers", "x", "baseUrl"], "no");
    assert_eq!((finding.line, finding.file.ends_with("models.json")), (3, true), "{finding:?}");
    assert_eq!(finding.path, "models.providers.x.baseUrl");
    let owner = |keys: &[&str]| {
        let (document, keys) = sources.owner(keys);
        (document.path().file_name().expect("a name").to_string_lossy().into_owned(), keys.join("."))
    };
    assert_eq!(owner(&["models", "providers", "x"]), ("models.json".to_owned(), "providers.x".to_owned()));
    assert_eq!(owner(&["models", "more"]), ("openclaw.json".to_owned(), "models.more".to_owned()));
    assert_eq!(owner(&["models", "new"]), ("openclaw.json".to_owned(), "models.new".to_owned()));
    assert_eq!(owner(&["gateway", "port"]), ("openclaw.json".to_owned(), "gateway.port".to_owned()));
}
