//! The bundle against real folders.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use gridflow_core::DagId;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{
    loader::{Loader, Look},
    *,
};

const EMPTY: &str = "tasks:\n  a:\n    empty:\n";
const BROKEN: &str = "tasks:\n  a: [broken\n";
const SCRIPT: &str = "tasks:\n  a:\n    bash: {file: run.sh}\n";

/// A folder of DAGs, with what is published from it.
struct Folder {
    /// The bundle is a folder inside, so that there is an outside.
    dir: TempDir,
    loader: Loader,
    published: BTreeMap<DagId, Published>,
}

impl Folder {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("dags")).unwrap();
        let loader = Loader::new(dir.path().join("dags"), Limits::default());
        Self { dir, loader, published: BTreeMap::new() }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.dir.path().join("dags").join(file)
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.path(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn remove(&self, file: &str) {
        fs::remove_file(self.path(file)).unwrap();
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.path(from), self.path(to)).unwrap();
    }

    /// Looks, says what changes, and publishes it.
    fn look(&mut self) -> String {
        let look = self.loader.look();
        self.publish(&look.snapshot)
    }

    fn publish(&mut self, snapshot: &Snapshot) -> String {
        let change = BundleChange::between(&self.published, snapshot);
        for loaded in &change.changed {
            let live = Published { file: loaded.path.clone(), hash: loaded.hash() };
            self.published.insert(loaded.id().clone(), live);
        }
        for dag in &change.removed {
            self.published.remove(dag);
        }
        render(&change)
    }

    /// Looks until no file is so fresh that it is read again anyway.
    fn settle(&mut self) -> Look {
        wait_for(|| Some(self.loader.look()).filter(|look| !look.is_unsettled))
    }
}

fn render(change: &BundleChange) -> String {
    let changed = change.changed.iter().map(|loaded| format!("changed {} in {}\n", loaded.id(), loaded.path));
    let removed = change.removed.iter().map(|dag| format!("removed {dag}\n"));
    let errors = change.import_errors.iter().map(|(file, error)| {
        let dag = error.dag.as_ref().map_or(String::new(), |dag| format!(" ({dag})"));
        format!("error in {file}{dag}: {}\n", error.message())
    });
    changed.chain(removed).chain(errors).collect()
}

fn wait_for<T>(mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(Instant::now() < deadline, "it did not happen in time");
        std::thread::yield_now();
    }
}

#[test]
fn a_new_file_is_a_new_dag_and_a_removed_one_takes_it_away() {
    let mut folder = Folder::new();
    folder.write("hello.yaml", EMPTY);
    folder.write("team/other.yml", &format!("dag: named\n{EMPTY}"));
    folder.write("values.yaml", "a: 1");
    folder.write("readme.md", "tasks:");
    insta::assert_snapshot!(folder.look(), @"
    changed hello in hello.yaml
    changed named in team/other.yml
    ");
    insta::assert_snapshot!(folder.look(), @"");
    folder.remove("hello.yaml");
    insta::assert_snapshot!(folder.look(), @"removed hello");
}

#[test]
fn a_renamed_file_keeps_its_dag_if_the_id_is_written_in_it() {
    let mut folder = Folder::new();
    folder.write("a.yaml", &format!("dag: x\n{EMPTY}"));
    folder.write("y.yaml", EMPTY);
    folder.look();
    folder.rename("a.yaml", "b.yaml");
    folder.rename("y.yaml", "z.yaml");
    insta::assert_snapshot!(folder.look(), @"
    changed x in b.yaml
    changed z in z.yaml
    removed y
    ");
}

#[test]
fn a_broken_file_keeps_its_last_good_version_until_it_is_fixed_or_gone() {
    let mut folder = Folder::new();
    folder.write("a.yaml", EMPTY);
    folder.look();
    folder.write("a.yaml", BROKEN);
    let text = folder.look();
    assert!(text.starts_with("error in a.yaml (a): GF01"), "{text}");
    folder.write("a.yaml", &format!("tags: [x]\n{EMPTY}"));
    insta::assert_snapshot!(folder.look(), @"changed a in a.yaml");
    folder.write("a.yaml", BROKEN);
    folder.look();
    folder.remove("a.yaml");
    insta::assert_snapshot!(folder.look(), @"removed a");
}

#[test]
fn a_published_file_that_loses_its_tasks_is_an_error_and_not_a_removal() {
    let mut folder = Folder::new();
    folder.write("a.yaml", EMPTY);
    folder.look();
    folder.write("a.yaml", "");
    insta::assert_snapshot!(folder.look(), @"error in a.yaml (a): GF0204 line 1: the file has no top-level `tasks:` any more");
    folder.write(".gridflowignore", "a.yaml");
    insta::assert_snapshot!(folder.look(), @"removed a");
}

#[test]
fn of_two_files_with_one_id_the_live_one_keeps_it_else_the_first() {
    let mut folder = Folder::new();
    let text = format!("dag: x\n{EMPTY}");
    folder.write("b.yaml", &text);
    folder.write("c.yaml", &text);
    insta::assert_snapshot!(folder.look(), @"
    changed x in b.yaml
    error in c.yaml (x): GF0806 line 1: `c.yaml` and `b.yaml` both define the DAG `x`
    ");
    folder.write("a.yaml", &text);
    insta::assert_snapshot!(folder.look(), @"
    error in a.yaml (x): GF0806 line 1: `a.yaml` and `b.yaml` both define the DAG `x`
    error in c.yaml (x): GF0806 line 1: `c.yaml` and `b.yaml` both define the DAG `x`
    ");
    folder.write("b.yaml", &format!("dag: x\n{BROKEN}"));
    let broken = folder.look();
    assert!(broken.contains("error in a.yaml (x): GF0806") && broken.contains("error in b.yaml (x): GF01"), "{broken}");
    folder.remove("b.yaml");
    insta::assert_snapshot!(folder.look(), @"
    changed x in a.yaml
    error in c.yaml (x): GF0806 line 1: `c.yaml` and `a.yaml` both define the DAG `x`
    ");
}

#[test]
fn a_changed_script_compiles_its_dag_and_no_other() {
    let mut folder = Folder::new();
    folder.write("run.sh", "true");
    folder.write("with.yaml", SCRIPT);
    folder.write("without.yaml", EMPTY);
    folder.look();
    assert_eq!(folder.settle().compiled, 0);

    folder.write("run.sh", "echo changed");
    let look = folder.loader.look();
    assert_eq!((look.compiled, look.is_changed), (1, true));
    insta::assert_snapshot!(folder.publish(&look.snapshot), @"changed with in with.yaml");
}

#[test]
fn a_missing_script_is_an_error_and_its_arrival_the_cure() {
    let mut folder = Folder::new();
    folder.write("a.yaml", SCRIPT);
    insta::assert_snapshot!(folder.look(), @"error in a.yaml: GF0801 line 3: there is no file `run.sh`");
    folder.settle();
    folder.write("run.sh", "true");
    insta::assert_snapshot!(folder.look(), @"changed a in a.yaml");
    folder.settle();
    folder.remove("run.sh");
    insta::assert_snapshot!(folder.look(), @"error in a.yaml (a): GF0801 line 3: there is no file `run.sh`");
}

#[test]
fn a_file_that_a_pattern_names_is_part_of_the_version() {
    let mut folder = Folder::new();
    folder.write("sub/a.yaml", "files: ['../sql/*.sql', 'lib/**/*.py']\ntasks:\n  a:\n    empty:\n");
    for file in ["sql/b.sql", "sql/a.sql", "sql/.hidden.sql", "sql/deep/c.sql", "sub/lib/m.py", "sub/lib/x/n.py"] {
        folder.write(file, "1");
    }
    insta::assert_snapshot!(folder.look(), @"changed a in sub/a.yaml");
    let look = folder.settle();
    let Some(FileState::Dag(loaded)) = look.snapshot.files.get("sub/a.yaml") else { panic!() };
    let files: Vec<_> = loaded.compiled.files.keys().map(String::as_str).collect();
    assert_eq!(files, ["../sql/a.sql", "../sql/b.sql", "lib/m.py", "lib/x/n.py"]);
    folder.write("sub/lib/y.txt", "no match");
    let look = folder.settle();
    assert_eq!(folder.publish(&look.snapshot), "");
    folder.write("sub/lib/y/z.py", "a match");
    insta::assert_snapshot!(folder.look(), @"changed a in sub/a.yaml");
}

#[test]
fn touched_and_copied_files_are_read_but_not_compiled() {
    let mut folder = Folder::new();
    folder.write("run.sh", "true");
    folder.write("a.yaml", SCRIPT);
    folder.look();
    folder.settle();
    for file in ["a.yaml", "run.sh"] {
        let text = fs::read_to_string(folder.path(file)).unwrap();
        folder.write("copy", &text);
        folder.rename("copy", file);
    }
    let look = folder.loader.look();
    assert_eq!((look.compiled, look.is_changed), (0, false));
}

#[test]
fn nothing_outside_the_bundle_is_read() {
    let mut folder = Folder::new();
    let outside = folder.dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("secret.sh"), "true").unwrap();
    fs::write(outside.join("dag.yaml"), EMPTY).unwrap();
    symlink(&outside, folder.path("linked")).unwrap();
    symlink(outside.join("dag.yaml"), folder.path("link.yaml")).unwrap();
    symlink(outside.join("secret.sh"), folder.path("run.sh")).unwrap();
    folder.write("by_link.yaml", SCRIPT);
    folder.write("by_dots.yaml", "tasks:\n  a:\n    bash: {file: ../outside/secret.sh}\n");
    folder.write("by_linked_folder.yaml", "tasks:\n  a:\n    bash: {file: linked/secret.sh}\n");
    insta::assert_snapshot!(folder.look(), @"
    error in by_dots.yaml: GF0802 line 3: `../outside/secret.sh` lies outside the bundle
    error in by_link.yaml: GF0802 line 3: `run.sh` lies outside the bundle
    error in by_linked_folder.yaml: GF0802 line 3: `linked/secret.sh` lies outside the bundle
    error in link.yaml: GF0802 line 1: `link.yaml` is a link that leads out of the bundle
    error in linked: GF0802 line 1: `linked` is a link that leads out of the bundle
    ");
}

#[test]
fn links_inside_the_bundle_work_as_kubernetes_volumes_have_them() {
    let mut folder = Folder::new();
    folder.write("..v1/a.yaml", EMPTY);
    folder.write("..v2/a.yaml", &format!("tags: [new]\n{EMPTY}"));
    symlink("..v1", folder.path("..data")).unwrap();
    symlink("..data/a.yaml", folder.path("a.yaml")).unwrap();
    insta::assert_snapshot!(folder.look(), @"changed a in a.yaml");
    symlink("..v2", folder.path("..new")).unwrap();
    folder.rename("..new", "..data");
    insta::assert_snapshot!(folder.look(), @"changed a in a.yaml");
    symlink(".", folder.path("loop")).unwrap();
    insta::assert_snapshot!(folder.look(), @"error in loop: GF0803 line 1: `loop` is a link to a folder that it lies in");
}

#[test]
fn a_folder_that_is_away_for_a_while_takes_no_dag_away() {
    let mut folder = Folder::new();
    folder.write("a.yaml", EMPTY);
    folder.look();
    let (here, away) = (folder.path(""), folder.dir.path().join("away"));
    fs::rename(&here, &away).unwrap();
    let text = folder.look();
    assert!(text.starts_with("error in .: GF0803 line 1: cannot read the folder of DAGs `"), "{text}");
    fs::rename(&away, &here).unwrap();
    insta::assert_snapshot!(folder.look(), @"");
}

/// Looks as somebody whom permissions bind, also where tests run as root.
fn look_as_nobody(folder: &mut Folder) -> String {
    let look = || {
        if nix::unistd::Uid::effective().is_root() {
            // For this thread and those that it starts.
            nix::unistd::setfsuid(nix::unistd::Uid::from_raw(65534));
        }
        folder.look()
    };
    std::thread::scope(|scope| scope.spawn(look).join()).unwrap()
}

#[test]
fn what_can_not_be_read_keeps_its_last_version_and_recovers() {
    let mut folder = Folder::new();
    let set_mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    set_mode(folder.dir.path(), 0o755);
    folder.write("a.yaml", EMPTY);
    folder.write("sub/b.yaml", EMPTY);
    look_as_nobody(&mut folder);
    set_mode(&folder.path("a.yaml"), 0);
    set_mode(&folder.path("sub"), 0);
    insta::assert_snapshot!(look_as_nobody(&mut folder), @"
    error in a.yaml (a): GF0803 line 1: cannot read `a.yaml`: permission denied
    error in sub: GF0803 line 1: cannot look into `sub`: permission denied
    ");
    set_mode(&folder.path("a.yaml"), 0o644);
    set_mode(&folder.path("sub"), 0o755);
    insta::assert_snapshot!(look_as_nobody(&mut folder), @"");
    set_mode(&folder.path(""), 0);
    let text = look_as_nobody(&mut folder);
    assert!(text.starts_with("error in .: GF0803 line 1: cannot look into `.`: permission denied"), "{text}");
    set_mode(&folder.path(""), 0o755);
    insta::assert_snapshot!(look_as_nobody(&mut folder), @"");
}

#[test]
fn a_link_to_nowhere_and_a_pipe_are_no_dags_and_block_nothing() {
    let mut folder = Folder::new();
    symlink("nowhere.yaml", folder.path("link.yaml")).unwrap();
    nix::unistd::mkfifo(&folder.path("pipe.yaml"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    nix::unistd::mkfifo(&folder.path("run.sh"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    folder.write("a.yaml", SCRIPT);
    insta::assert_snapshot!(folder.look(), @"error in a.yaml: GF0803 line 3: cannot read `run.sh`: it is no regular file");
}

#[test]
fn ignored_files_are_not_looked_at() {
    let mut folder = Folder::new();
    folder.write(".gridflowignore", "/drafts\n*_old.yaml\n!keep_old.yaml\n");
    for file in
        ["drafts/a.yaml", "x_old.yaml", "keep_old.yaml", "sub/drafts/b.yaml", ".hidden/c.yaml", ".d.yaml.swp.yaml"]
    {
        folder.write(file, &format!("dag: {}\n{EMPTY}", file.replace(['/', '.'], "-")));
    }
    folder.write(".gitignore", "*");
    insta::assert_snapshot!(folder.look(), @"
    changed keep_old-yaml in keep_old.yaml
    changed sub-drafts-b-yaml in sub/drafts/b.yaml
    ");
}

#[test]
fn limits_stop_the_look_and_give_nothing_up() {
    let mut folder = Folder::new();
    for n in 0..5 {
        folder.write(&format!("{n}.yaml"), EMPTY);
    }
    folder.look();
    folder.loader = Loader::new(folder.path(""), Limits { files_max: 3, ..Limits::default() });
    insta::assert_snapshot!(folder.look(), @"error in .: GF0207 line 1: the folder has more than 3 YAML files");
    folder.loader = Loader::new(folder.path(""), Limits { bytes_max: 40, ..Limits::default() });
    insta::assert_snapshot!(folder.look(), @"error in .: GF0207 line 1: the YAML files have more than 40 bytes in all");
}

#[test]
fn a_file_too_large_to_be_a_dag_is_reported_only_if_it_looks_like_one() {
    let mut folder = Folder::new();
    let filler = format!("# {}\n", "x".repeat(1000)).repeat(1100);
    folder.write("data.yaml", &filler);
    folder.write("dag.yaml", &format!("{EMPTY}{filler}"));
    insta::assert_snapshot!(folder.look(), @"error in dag.yaml: GF0102 line 1: cannot read `dag.yaml`: it is too large");
}

#[test]
fn a_thousand_dags_load_at_once_and_then_cost_nothing() {
    let mut folder = Folder::new();
    let tasks: String = (0..10).map(|n| format!("  t{n}:\n    empty:\n")).collect();
    for n in 0..1000 {
        folder.write(&format!("team_{}/dag_{n}.yaml", n % 20), &format!("tasks:\n{tasks}"));
    }
    assert_eq!(folder.look().lines().count(), 1000);
    let look = folder.settle();
    assert_eq!((look.compiled, look.is_changed), (0, false));
}

#[test]
fn a_listing_has_dags_ignored_files_and_errors() {
    let folder = Folder::new();
    folder.write("a.yaml", EMPTY);
    folder.write("b.yaml", BROKEN);
    folder.write("values.yaml", "a: 1");
    let listing = scan_once(&folder.path(""));
    assert_eq!(listing.dags.iter().map(|dag| dag.id().as_str()).collect::<Vec<_>>(), ["a"]);
    assert_eq!(listing.ignored, ["values.yaml".into()]);
    assert_eq!(&*listing.diagnostics[0].file, folder.path("b.yaml").to_str().unwrap());
}

#[test]
fn a_single_file_is_a_dag_whatever_its_name() {
    let folder = Folder::new();
    folder.write("dag.txt", EMPTY);
    folder.write("sub/run.sh", "true");
    folder.write("sub/deep/b.yaml", "tasks:\n  a:\n    bash: {file: ../run.sh}\n");
    assert_eq!(compile_file(&folder.path("dag.txt")).unwrap().id().as_str(), "dag.txt");
    assert_eq!(compile_file(&folder.path("sub/deep/b.yaml")).unwrap_err()[0].code.as_str(), "GF0802");
    // A root further up makes its parent's files part of the bundle.
    folder.write("gridflow.yaml", "");
    assert!(compile_file(&folder.path("sub/deep/b.yaml")).is_ok());
    assert_eq!(compile_file(&folder.path("none.yaml")).unwrap_err()[0].code.as_str(), "GF0801");
}

/// A running component over a folder.
struct Running {
    folder: Folder,
    snapshots: watch::Receiver<Option<Arc<Snapshot>>>,
    shutdown: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Running {
    fn over(folder: Folder) -> Self {
        let (bundle, snapshots) = Bundle::new(Config::new(folder.path("")));
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(bundle.run(shutdown.clone()));
        Self { folder, snapshots, shutdown, task }
    }

    /// Waits until the folder's DAGs and errors are these. The slow rescan comes after the deadline,
    /// so it is the notification that did it.
    async fn sees(&mut self, expected: &str) {
        let is_so =
            |snapshot: &Option<Arc<Snapshot>>| snapshot.as_deref().is_some_and(|snapshot| files(snapshot) == expected);
        let seen = tokio::time::timeout(Duration::from_secs(20), self.snapshots.wait_for(is_so)).await.is_ok();
        let last = self.snapshots.borrow().as_deref().map(files);
        assert!(seen, "expected `{expected}`, last seen {last:?}");
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.unwrap();
    }
}

fn files(snapshot: &Snapshot) -> String {
    let files = snapshot.files.values().zip(snapshot.files.keys()).filter_map(|(state, path)| match state {
        FileState::Dag(loaded) => Some(format!("{path}#{}", loaded.compiled.dag.tasks().len())),
        FileState::Broken(_) => Some(format!("{path}!")),
        FileState::Ignored => None,
    });
    let gaps = snapshot.gaps.iter().map(|gap| format!("?{}", gap.below));
    files.chain(gaps).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn a_watched_folder_shows_every_kind_of_change() {
    let mut running = Running::over(Folder::new());
    running.sees("").await;
    running.folder.write("a.yaml", EMPTY);
    running.sees("a.yaml#1").await;
    // As editors save: a new file takes the place of the old one.
    running.folder.write(".a.yaml.tmp", &format!("{EMPTY}  b:\n    empty:\n"));
    running.folder.rename(".a.yaml.tmp", "a.yaml");
    running.sees("a.yaml#2").await;
    // New folders within new folders, made faster than anyone can watch.
    running.folder.write("x/y/z/b.yaml", EMPTY);
    running.sees("a.yaml#2 x/y/z/b.yaml#1").await;
    running.folder.rename("x", "w");
    running.sees("a.yaml#2 w/y/z/b.yaml#1").await;
    running.folder.write("w/y/z/b.yaml", BROKEN);
    running.sees("a.yaml#2 w/y/z/b.yaml!").await;
    fs::remove_dir_all(running.folder.path("w")).unwrap();
    running.sees("a.yaml#2").await;
    running.folder.write(".gridflowignore", "a.yaml");
    running.sees("").await;
    running.stop().await;
}

#[tokio::test]
async fn a_watched_script_in_an_ignored_folder_is_seen() {
    let folder = Folder::new();
    folder.write(".gridflowignore", "/scripts");
    folder.write("a.yaml", "tasks:\n  a:\n    bash: {file: scripts/run.sh}\n");
    let mut running = Running::over(folder);
    running.sees("a.yaml!").await;
    running.folder.write("scripts/run.sh", "true");
    running.sees("a.yaml#1").await;
    running.folder.remove("scripts/run.sh");
    running.sees("a.yaml!").await;
    running.stop().await;
}

#[tokio::test]
async fn a_watched_folder_may_come_go_and_be_exchanged() {
    let folder = Folder::new();
    let (root, v1, v2) = (folder.path(""), folder.dir.path().join("v1"), folder.dir.path().join("v2"));
    fs::remove_dir(&root).unwrap();
    let link = folder.dir.path().join("dags");
    let mut running = Running::over(folder);
    running.sees("?").await;
    for (dir, file) in [(&v1, "one.yaml"), (&v2, "two.yaml")] {
        fs::create_dir(dir).unwrap();
        fs::write(dir.join(file), EMPTY).unwrap();
    }
    symlink(&v1, &link).unwrap();
    running.sees("one.yaml#1").await;
    symlink(&v2, link.with_extension("new")).unwrap();
    fs::rename(link.with_extension("new"), &link).unwrap();
    running.sees("two.yaml#1").await;
    fs::remove_file(&link).unwrap();
    running.sees("?").await;
    running.stop().await;
}

/// How often each DAG of the folder is tried again.
fn retries(look: &Look) -> Vec<(&str, u32)> {
    let dags = look.snapshot.files.iter().filter_map(|(path, state)| match state {
        FileState::Dag(loaded) => Some((&**path, loaded)),
        FileState::Broken(_) | FileState::Ignored => None,
    });
    dags.map(|(path, loaded)| (path, loaded.compiled.dag.tasks().next().unwrap().1.retries)).collect()
}

#[test]
fn the_file_of_the_bundle_holds_for_all_its_dags_from_the_moment_it_is_there() {
    let mut folder = Folder::new();
    folder.write("a.yaml", EMPTY);
    folder.write("team/b.yaml", "tasks:\n  a: {empty: , retries: 1}\n");
    folder.write("team/gridflow.yaml", "defaults: {retries: 9}\n");
    assert_eq!(retries(&folder.settle()), [("a.yaml", 0), ("team/b.yaml", 1)]);
    let before = folder.look();
    assert!(before.contains("changed a in a.yaml"), "{before}");
    // That it is not there costs nothing, also where the files are new ones with the same bytes.
    folder.remove("a.yaml");
    folder.write("a.yaml", EMPTY);
    assert_eq!(folder.settle().compiled, 0);

    folder.write("gridflow.yaml", "defaults: {retries: 5}\n");
    let look = folder.settle();
    assert_eq!(retries(&look), [("a.yaml", 5), ("team/b.yaml", 1)]);
    assert!(look.dependencies.contains(&folder.path("gridflow.yaml").canonicalize().unwrap()), "it is watched");
    assert_eq!(folder.look(), "changed a in a.yaml\nchanged b in team/b.yaml\n", "both have a new version");
    folder.write("gridflow.yaml", "defaults: {retris: 5}\n");
    let broken = folder.look();
    assert!(broken.contains("error in a.yaml (a)") && broken.contains("unknown key `retris`"), "{broken}");
    assert!(!broken.contains("removed"), "the last good versions stay: {broken}");
    folder.remove("gridflow.yaml");
    assert_eq!(retries(&folder.settle()), [("a.yaml", 0), ("team/b.yaml", 1)]);
}

#[test]
fn the_servers_defaults_lie_below_those_of_the_bundle() {
    let mut folder = Folder::new();
    folder.write("a.yaml", EMPTY);
    folder.settle();
    folder.loader.set_server_defaults(Some(b"defaults: {retries: 3, pool_slots: 2}"[..].into()));
    assert_eq!(retries(&folder.settle()), [("a.yaml", 3)]);
    folder.write("gridflow.yaml", "defaults: {retries: 5}\n");
    assert_eq!(retries(&folder.settle()), [("a.yaml", 5)]);
    let again = Some(b"defaults: {retries: 3, pool_slots: 2}"[..].into());
    folder.loader.set_server_defaults(again);
    assert_eq!(folder.settle().compiled, 0, "the same");
}

#[test]
fn a_single_file_has_the_defaults_of_its_bundle_and_their_mistakes_are_said_once() {
    let folder = Folder::new();
    folder.write("gridflow.yaml", "defaults: {retries: 5}\n");
    folder.write("team/a.yaml", EMPTY);
    folder.write("b.yaml", EMPTY);
    let loaded = compile_file(&folder.path("team/a.yaml")).unwrap();
    assert_eq!(loaded.compiled.dag.tasks().next().unwrap().1.retries, 5);
    let listing = scan_once(&folder.path(""));
    assert_eq!((listing.dags.len(), listing.ignored.len()), (2, 0), "{:?}", listing.ignored);
    folder.write("gridflow.yaml", "defaults: {retris: 5}\n");
    let listing = scan_once(&folder.path(""));
    assert_eq!(listing.diagnostics.len(), 1, "{:?}", listing.diagnostics);
    assert!(listing.diagnostics[0].file.ends_with("dags/gridflow.yaml"), "{}", listing.diagnostics[0].file);
}
