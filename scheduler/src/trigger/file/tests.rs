//! File triggers against real folders and a real database.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Write,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::Utc;
use gridflow_core::DagId;
use gridflow_dag_spec::{Dedup, Existing, FileTrigger};
use gridflow_store::{Database, Durability, Options, event};
use gridflow_testkit::postgres::Postgres;
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::{FileTriggers, Wanted};

const DEADLINE: Duration = Duration::from_secs(60);

/// A folder, a database, and what triggers there should be.
struct Fixture {
    dir: TempDir,
    database: Database,
    wanted: watch::Sender<Arc<Wanted>>,
}

/// Triggers at work; they end like a killed leader when dropped.
struct Running {
    received: Arc<Notify>,
    shutdown: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Fixture {
    async fn new() -> Self {
        let url = Postgres::shared().create_database().unwrap();
        let options = Options { durability: Durability::NotNeeded, ..Options::default() };
        let database = gridflow_store::connect(&url, options).await.unwrap();
        gridflow_store::migrate(&database, Utc::now()).await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("in")).unwrap();
        Self { dir, database, wanted: watch::Sender::new(Arc::new(BTreeMap::new())) }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.dir.path().join("in").join(file)
    }

    fn write(&self, file: &str, text: &str) {
        fs::create_dir_all(self.path(file).parent().unwrap()).unwrap();
        fs::write(self.path(file), text).unwrap();
    }

    /// Wants these triggers and no others.
    fn want(&self, triggers: &[(&str, FileTrigger)]) {
        let key = |dag: &str| (DagId::parse(dag).unwrap(), "file".to_owned());
        self.wanted
            .send_replace(Arc::new(triggers.iter().map(|(dag, spec)| (key(dag), Arc::new(spec.clone()))).collect()));
    }

    fn start(&self) -> Running {
        let received = Arc::new(Notify::new());
        let triggers = FileTriggers {
            root: self.dir.path().to_owned(),
            database: self.database.clone(),
            wanted: self.wanted.subscribe(),
            received: received.clone(),
        };
        let shutdown = CancellationToken::new();
        Running { received, task: tokio::spawn(triggers.run(shutdown.clone())), shutdown }
    }

    async fn events(&self) -> Vec<event::PendingEvent> {
        let mut conn = self.database.pool().acquire().await.unwrap();
        event::all_pending(&mut conn, 100_000).await.unwrap()
    }

    /// The path of each event's file below its folder, sorted.
    async fn names(&self) -> Vec<String> {
        let relative = |event: &event::PendingEvent| event.payload["relative"].as_str().unwrap().to_owned();
        let mut names: Vec<_> = self.events().await.iter().map(relative).collect();
        names.sort_unstable();
        names
    }

    async fn position(&self, dag: &str) -> Option<Value> {
        let mut conn = self.database.pool().acquire().await.unwrap();
        let trigger = event::TriggerKey { dag: DagId::parse(dag).unwrap(), name: "file".to_owned() };
        event::position(&mut conn, &trigger).await.unwrap()
    }

    /// Waits until the trigger has noted what it looks at: what comes from now on is new.
    async fn began(&self, dag: &str, folder: &str) {
        let folder = self.dir.path().join(folder);
        self.wait_for(async || {
            let position = self.position(dag).await;
            position.is_some_and(|position| position["folder"].as_str() == folder.to_str()).then_some(())
        })
        .await;
    }

    /// Waits for so many events; each one's path below the folder, sorted.
    async fn arrive(&self, count: usize) -> Vec<String> {
        self.wait_for(async || {
            let names = self.names().await;
            assert!(names.len() <= count, "{count} were expected: {names:?}");
            (names.len() == count).then_some(names)
        })
        .await
    }

    /// Lets a file arrive and go its way: whatever should have come before it has come then.
    async fn fence(&self, name: &str, count: usize) -> Vec<String> {
        self.write(name, "fence");
        self.arrive(count + 1).await
    }

    async fn wait_for<T>(&self, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(found) = condition().await {
                return found;
            }
            assert!(Instant::now() < deadline, "it did not happen in time: {:?}", self.names().await);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Running {
    async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.unwrap();
    }
}

fn trigger() -> FileTrigger {
    FileTrigger {
        path: "in".to_owned(),
        glob: vec![],
        suffix: vec![],
        recursive: false,
        min_size: None,
        max_size: None,
        stable_for: Duration::from_millis(50),
        marker: None,
        dedup: Dedup::Path,
        existing: Existing::Ignore,
    }
}

#[tokio::test]
async fn each_file_that_lands_is_one_event() {
    let fixture = Fixture::new().await;
    fixture.want(&[("d", FileTrigger { suffix: vec![".csv".into()], ..trigger() })]);
    let running = fixture.start();
    fixture.began("d", "in").await;
    fixture.write("a.csv", "1");
    fixture.write("b.txt", "not looked for");
    fixture.write(".c.csv", "hidden");
    fixture.write("d.part", "renamed when it is whole");
    fs::rename(fixture.path("d.part"), fixture.path("d.csv")).unwrap();
    assert_eq!(fixture.arrive(2).await, ["a.csv", "d.csv"]);
    running.received.notified().await;
    let event = fixture.events().await.into_iter().find(|event| event.payload["name"] == "a.csv").unwrap();
    assert_eq!(event.trigger.dag.as_str(), "d");
    assert_eq!(event.payload["path"].as_str(), fixture.path("a.csv").to_str());
    assert_eq!(event.payload["size"], 1);
    // The same name with another content is another delivery, a touched mode is none.
    fs::set_permissions(fixture.path("d.csv"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    fixture.write("a.csv", "22");
    assert_eq!(fixture.arrive(3).await, ["a.csv", "a.csv", "d.csv"]);
    running.stop().await;
}

#[tokio::test]
async fn what_was_there_before_is_passed_over_unless_it_should_fire() {
    let fixture = Fixture::new().await;
    fixture.write("old.csv", "1");
    fixture.want(&[("d", trigger()), ("eager", FileTrigger { existing: Existing::Fire, ..trigger() })]);
    let running = fixture.start();
    fixture.began("d", "in").await;
    fixture.began("eager", "in").await;
    assert_eq!(fixture.fence("new.csv", 2).await, ["new.csv", "new.csv", "old.csv"]);
    // It stays passed over, whoever looks again.
    running.stop().await;
    let running = fixture.start();
    assert_eq!(fixture.fence("newer.csv", 4).await, ["new.csv", "new.csv", "newer.csv", "newer.csv", "old.csv"]);
    running.stop().await;
}

#[tokio::test]
async fn files_that_came_while_nobody_looked_fire_after_the_start_and_once() {
    let fixture = Fixture::new().await;
    fixture.want(&[("d", trigger())]);
    let running = fixture.start();
    fixture.began("d", "in").await;
    fixture.write("a.csv", "1");
    fixture.arrive(1).await;
    running.stop().await;
    fixture.write("b.csv", "1");
    for _ in 0..3 {
        let running = fixture.start();
        assert_eq!(fixture.arrive(2).await, ["a.csv", "b.csv"]);
        running.stop().await;
    }
    let running = fixture.start();
    assert_eq!(fixture.fence("c.csv", 2).await, ["a.csv", "b.csv", "c.csv"]);
    running.stop().await;
}

#[tokio::test]
async fn a_trigger_killed_at_any_moment_loses_and_doubles_nothing() {
    const FILES: usize = 300;
    let fixture = Fixture::new().await;
    fixture.want(&[("d", FileTrigger { stable_for: Duration::from_millis(1), ..trigger() })]);
    let running = fixture.start();
    fixture.began("d", "in").await;
    running.stop().await;
    let writing = {
        let folder = fixture.path("");
        tokio::task::spawn_blocking(move || {
            for n in 0..FILES {
                // Whole at once: a start can't tell a writer that was interrupted from one that is done.
                fs::write(folder.join(".new"), n.to_string()).unwrap();
                fs::rename(folder.join(".new"), folder.join(format!("{n:04}.csv"))).unwrap();
                std::thread::yield_now();
            }
        })
    };
    // Each life is cut off a little later, also in the middle of a transaction.
    for life in 0..25 {
        let running = fixture.start();
        tokio::time::timeout(Duration::from_millis(life * 3), std::future::pending::<()>()).await.unwrap_err();
        running.task.abort();
        let _ = running.task.await;
    }
    writing.await.unwrap();
    let running = fixture.start();
    let names = fixture.arrive(FILES).await;
    assert_eq!(names.len(), FILES);
    running.stop().await;
}

#[tokio::test]
async fn two_leaders_at_once_make_one_event_of_a_file() {
    let fixture = Fixture::new().await;
    fixture.want(&[("d", trigger())]);
    let (first, second) = (fixture.start(), fixture.start());
    fixture.began("d", "in").await;
    // The slower one may still pass over what it finds; it finds nothing yet.
    for n in 0..50 {
        fixture.write(&format!("{n}.csv"), "1");
    }
    assert_eq!(fixture.arrive(50).await.len(), 50);
    first.stop().await;
    assert_eq!(fixture.fence("last.csv", 50).await.len(), 51);
    second.stop().await;
}

#[tokio::test]
async fn a_file_that_still_grows_is_not_taken() {
    let fixture = Fixture::new().await;
    fixture.want(&[("d", trigger())]);
    let running = fixture.start();
    fixture.began("d", "in").await;
    let mut slow = File::create(fixture.path("slow.csv")).unwrap();
    slow.write_all(b"half").unwrap();
    assert_eq!(fixture.fence("fence.csv", 0).await, ["fence.csv"], "the writer still has it open");
    slow.write_all(b" whole").unwrap();
    drop(slow);
    assert_eq!(fixture.arrive(2).await, ["fence.csv", "slow.csv"]);
    let events = fixture.events().await;
    assert_eq!(events.iter().find(|event| event.payload["name"] == "slow.csv").unwrap().payload["size"], 10);
    running.stop().await;
}

#[tokio::test]
async fn a_marker_says_that_a_file_is_complete() {
    let fixture = Fixture::new().await;
    fixture.write("early.csv", "1");
    fixture.want(&[("d", FileTrigger { marker: Some(".done".into()), ..trigger() })]);
    let running = fixture.start();
    fixture.began("d", "in").await;
    fixture.write("a.csv", "1");
    fixture.write("b.csv", "1");
    fixture.write("b.csv.done", "");
    assert_eq!(fixture.arrive(1).await, ["b.csv"]);
    // Without its marker a file was not there before, either.
    fixture.write("early.csv.done", "");
    fixture.write("a.csv.done", "");
    assert_eq!(fixture.arrive(3).await, ["a.csv", "b.csv", "early.csv"]);
    // The marker of the last delivery says nothing about the next one.
    fixture.write("b.csv", "22");
    fixture.write("fence.csv", "");
    fixture.write("fence.csv.done", "");
    assert_eq!(fixture.arrive(4).await, ["a.csv", "b.csv", "early.csv", "fence.csv"]);
    fixture.write("b.csv.done", "");
    assert_eq!(fixture.arrive(5).await.len(), 5);
    running.stop().await;
}

#[tokio::test]
async fn the_same_content_is_one_event_where_asked() {
    let fixture = Fixture::new().await;
    fixture.want(&[("d", FileTrigger { dedup: Dedup::Content, ..trigger() })]);
    let running = fixture.start();
    fixture.began("d", "in").await;
    fixture.write("a.csv", "abc");
    fixture.arrive(1).await;
    fixture.write("again.csv", "abc");
    fixture.write("a.csv", "abc");
    assert_eq!(fixture.fence("other.csv", 1).await, ["a.csv", "other.csv"]);
    let event = fixture.events().await.into_iter().find(|event| event.payload["name"] == "a.csv").unwrap();
    assert_eq!(event.payload["sha256"], "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    running.stop().await;
}

#[tokio::test]
async fn folders_inside_count_where_asked() {
    let fixture = Fixture::new().await;
    fixture.want(&[("flat", trigger()), ("deep", FileTrigger { recursive: true, ..trigger() })]);
    let running = fixture.start();
    fixture.began("flat", "in").await;
    fixture.began("deep", "in").await;
    fixture.write("x/y/a.csv", "1");
    assert_eq!(fixture.arrive(1).await, ["x/y/a.csv"]);
    fixture.write("x/y/b.csv", "1");
    assert_eq!(fixture.arrive(2).await, ["x/y/a.csv", "x/y/b.csv"]);
    let deep = fixture.events().await;
    assert!(deep.iter().all(|event| event.trigger.dag.as_str() == "deep"));
    fs::rename(fixture.path("x"), fixture.path("z")).unwrap();
    assert_eq!(fixture.arrive(4).await, ["x/y/a.csv", "x/y/b.csv", "z/y/a.csv", "z/y/b.csv"]);
    running.stop().await;
}

#[tokio::test]
async fn a_folder_may_come_late_go_and_come_back() {
    let fixture = Fixture::new().await;
    let late = fixture.dir.path().join("late/box");
    fixture.want(&[("d", FileTrigger { path: "late/box".into(), ..trigger() })]);
    let running = fixture.start();
    fixture.began("d", "late/box").await;
    // Nobody was there before the first file, so it is new.
    for (n, name) in ["a.csv", "b.csv"].into_iter().enumerate() {
        fs::create_dir_all(&late).unwrap();
        fs::write(late.join(name), "1").unwrap();
        fixture.arrive(n + 1).await;
        fs::remove_dir_all(late.parent().unwrap()).unwrap();
    }
    running.stop().await;
}

#[tokio::test]
async fn changed_patterns_keep_what_was_read_and_do_not_reach_back() {
    let fixture = Fixture::new().await;
    let csv = FileTrigger { suffix: vec![".csv".into()], ..trigger() };
    fixture.want(&[("d", csv.clone())]);
    let running = fixture.start();
    fixture.began("d", "in").await;
    fixture.write("a.txt", "not looked for then");
    fixture.write("a.csv", "1");
    fixture.arrive(1).await;
    // While nobody looks, one arrives for the old patterns; they are changed before the next start.
    running.stop().await;
    fixture.write("b.csv", "1");
    fixture.want(&[("d", FileTrigger { suffix: vec![".csv".into(), ".txt".into()], ..csv })]);
    let running = fixture.start();
    assert_eq!(fixture.arrive(2).await, ["a.csv", "b.csv"]);
    assert_eq!(fixture.fence("c.txt", 2).await, ["a.csv", "b.csv", "c.txt"]);
    running.stop().await;
}

#[tokio::test]
async fn a_trigger_that_is_not_wanted_for_a_while_misses_nothing() {
    let fixture = Fixture::new().await;
    fixture.want(&[("d", trigger())]);
    let running = fixture.start();
    fixture.began("d", "in").await;
    fixture.want(&[]);
    fixture.write("a.csv", "1");
    fixture.want(&[("d", trigger())]);
    assert_eq!(fixture.arrive(1).await, ["a.csv"]);
    running.stop().await;
}

#[tokio::test]
async fn thousands_of_files_at_once_are_as_many_events() {
    const FILES: usize = 5_000;
    let fixture = Fixture::new().await;
    fixture.want(&[("d", trigger())]);
    let running = fixture.start();
    fixture.began("d", "in").await;
    for n in 0..FILES {
        fs::write(fixture.path(&format!("{n}.csv")), "1").unwrap();
    }
    assert_eq!(fixture.arrive(FILES).await.len(), FILES);
    running.stop().await;
}

#[tokio::test]
async fn triggers_of_one_folder_under_two_names_both_see_its_files() {
    let fixture = Fixture::new().await;
    std::os::unix::fs::symlink(fixture.path(""), fixture.dir.path().join("link")).unwrap();
    fixture.want(&[("a", trigger()), ("b", trigger()), ("c", FileTrigger { path: "link".into(), ..trigger() })]);
    let running = fixture.start();
    for (dag, folder) in [("a", "in"), ("b", "in"), ("c", "link")] {
        fixture.began(dag, folder).await;
    }
    fixture.write("x.csv", "1");
    assert_eq!(fixture.arrive(3).await, ["x.csv", "x.csv", "x.csv"]);
    running.stop().await;
}
