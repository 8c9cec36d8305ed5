//! Notifications of the real kernel.

use std::{collections::HashSet, fs, path::Path, time::Duration};

use super::{Sight, SightKind, Watcher};

fn only(dir: &Path) -> HashSet<std::path::PathBuf> {
    HashSet::from([dir.to_owned()])
}

async fn next(watcher: &mut Watcher) -> Vec<Sight> {
    tokio::time::timeout(Duration::from_secs(20), watcher.next()).await.unwrap().unwrap()
}

#[tokio::test]
async fn lost_notifications_are_told_as_such() {
    let dir = tempfile::tempdir().unwrap();
    let mut watcher = Watcher::new().unwrap();
    watcher.watch_only(&only(dir.path()));
    let queue: usize = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap().trim().parse().unwrap();
    // Two names in turn: repeated notifications about one are told once.
    for n in 0..=queue / 2 {
        fs::write(dir.path().join(["a", "b"][n % 2]), "").unwrap();
        fs::remove_file(dir.path().join(["a", "b"][n % 2])).unwrap();
    }
    while !next(&mut watcher).await.contains(&Sight::Lost) {}
}

#[tokio::test]
async fn a_folder_that_takes_the_path_of_another_is_watched_in_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let (here, away) = (dir.path().join("here"), dir.path().join("away"));
    fs::create_dir(&here).unwrap();
    let mut watcher = Watcher::new().unwrap();
    assert!(watcher.watch_only(&only(&here)).is_new);
    assert!(!watcher.watch_only(&only(&here)).is_new);
    fs::rename(&here, &away).unwrap();
    fs::create_dir(&here).unwrap();
    assert_eq!(next(&mut watcher).await, [Sight::Lost], "the watched folder moved");
    assert!(watcher.watch_only(&only(&here)).is_new);
    fs::write(away.join("old"), "").unwrap();
    fs::write(here.join("new"), "").unwrap();
    let seen = loop {
        let sights = next(&mut watcher).await;
        if sights != [Sight::Lost] {
            break sights;
        }
    };
    assert!(
        matches!(&seen[0], Sight::Entry { name, kind: SightKind::Created, is_dir: false, .. } if name == "new"),
        "{seen:?}"
    );
}
