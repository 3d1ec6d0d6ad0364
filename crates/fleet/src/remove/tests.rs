//! Removals, and what must survive them.

use profile::Claims;

use super::*;
use crate::places::fixture::Home;
use crate::repair::{self, Repair};

#[test]
fn what_is_removed_is_gone_and_what_is_elsewhere_stays() {
    let home = Home::new();
    home.write("projects/a/x", "kept");
    let config = "{ agents: { defaults: { workspace: '~/projects/a' } } }";
    let work = home.with("work", config, 20000);
    std::os::unix::fs::symlink(home.path("projects"), work.state_dir.join("link")).expect("linked");
    let removed = remove(&work, &home.ambient).expect("removed");
    assert_eq!(removed, Removed { folder: work.state_dir.clone(), left: vec![home.path("projects/a")] });
    assert_eq!(home.names("projects/a"), ["x"]);
    assert_eq!(home.names(""), [".local", "projects"]);
    assert!(work.host.all().is_empty());
    assert!(matches!(remove(&work, &home.ambient), Err(RemoveError::NoFolder(_))));
}

#[test]
fn a_folder_by_a_link_is_removed_with_the_link() {
    let home = Home::new();
    home.write("data/oc/openclaw.json", "{");
    std::os::unix::fs::symlink(home.path("data/oc"), home.path(".openclaw")).expect("linked");
    remove(&home.instance("default"), &home.ambient).expect("removed, whatever its config says");
    assert_eq!((home.names("data"), home.names("")), (vec![], vec!["data".to_owned()]));
}

#[test]
fn what_is_not_an_instances_alone_is_refused() {
    let home = Home::new();
    let work = home.with("work", "{}", 20000);
    let at = |folder: &Path| Instance::of_folder(&home.ambient, folder);
    home.write("photos/cat.jpg", "meow");
    assert!(matches!(remove(&at(&home.path("photos")), &home.ambient), Err(RemoveError::NotOurs(_))));
    assert!(matches!(
        remove(&at(Path::new("/")), &home.ambient),
        Err(RemoveError::NotOurs(_) | RemoveError::HoldsMore { .. })
    ));
    home.write("openclaw.json", "{}");
    let error = remove(&at(&home.path("")), &home.ambient).expect_err("the home");
    assert!(error.to_string().contains("your home"), "{error}");
    home.write("data/openclaw.json", "{}");
    home.write("data/inner/openclaw.json", "{}");
    let inner = at(&home.path("data/inner"));
    work.host.write(&Record::of(&inner, 21000, Vec::new(), "1")).expect("written");
    let error = remove(&at(&home.path("data")), &home.ambient).expect_err("holds another");
    assert!(error.to_string().contains("instance inner"), "{error}");
    let mut claims = Claims::new(&work.host.claims(), "work", &work.state_dir);
    claims.take_folder().expect("free");
    let error = remove(&work, &home.ambient).expect_err("it runs");
    assert!(error.to_string().contains("held by instance work (pid "), "{error}");
    assert!(home.path("photos/cat.jpg").exists() && inner.config_path.exists() && work.config_path.exists());
}

#[test]
fn a_removal_that_was_cut_off_is_ended_by_a_repair() {
    let home = Home::new();
    let work = home.with("work", "{}", 20000);
    let aside = places::staging_name(&work.state_dir, Purpose::Removing);
    let mut claims = places::lock(&work.host.claims(), "work", &work.state_dir).expect("free");
    file::move_new(&work.state_dir, &aside).expect("moved");
    claims.follow(&aside);
    let repairs = repair::run(&work.host, &home.ambient, "2");
    assert!(repairs.iter().all(|it| !matches!(it, Repair::Staging { .. })), "somebody is at it: {repairs:?}");
    drop(claims);
    file::replace(&aside.join("gateway.lock"), b"{}").expect("as a kill leaves it");
    let repairs = repair::run(&work.host, &home.ambient, "2");
    assert_eq!(repairs, [Repair::Staging { folder: aside }]);
    assert_eq!(home.names(""), [".local"]);
    assert!(work.host.all().is_empty());
}
