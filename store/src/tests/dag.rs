use gridflow_core::Writes;
use serde_json::json;

use super::fixture::*;
use crate::{
    Error,
    dag::{self, Change, ClearedErrors, ImportError, Publication, VersionFile, publish},
    dag_version, recovery, run,
};

#[tokio::test]
async fn a_version_without_runs_is_overwritten_and_one_with_runs_kept() {
    let fixture = fixture().await;
    let mut leader = fixture.leader().await;
    let created = published(&mut leader, vec![publish_dag("sales", 1)]).await.remove(0);
    let same = published(&mut leader, vec![publish_dag("sales", 1)]).await.remove(0);
    let overwritten = published(&mut leader, vec![publish_dag("sales", 2)]).await.remove(0);
    assert_eq!(
        [created.change, same.change, overwritten.change],
        [Change::Created, Change::Unchanged, Change::Overwritten]
    );
    assert_eq!(created.version, overwritten.version);

    let mut pinned = new_run(1);
    pinned.queued.version = created.version;
    let mut conn = fixture.conn().await;
    run::create(&mut conn, &pinned).await.unwrap();
    let second = published(&mut leader, vec![publish_dag("sales", 3)]).await.remove(0);
    assert_eq!(second.change, Change::NewVersion);
    assert_ne!(second.version, created.version);
    let old = dag_version::source(&mut conn, created.version).await.unwrap().unwrap();
    let new = dag_version::source(&mut conn, second.version).await.unwrap().unwrap();
    assert_eq!((old.number, old.hash), (1, [2; 32]));
    assert_eq!((new.number, new.hash), (2, [3; 32]));
    assert_eq!(dag::current(&mut conn, &dag_id("sales")).await.unwrap().unwrap().version, second.version);
    let live = dag::live(&mut conn).await.unwrap();
    assert_eq!(live.iter().map(|row| (row.dag.clone(), row.hash)).collect::<Vec<_>>(), [(dag_id("sales"), [3; 32])]);
}

#[tokio::test]
async fn a_version_comes_back_with_its_files() {
    let fixture = fixture().await;
    let mut leader = fixture.leader().await;
    let mut dag = publish_dag("sales", 1);
    dag.files = vec![
        VersionFile { path: "jobs/extract.sh".into(), hash: [8; 32], mode: 0o755 },
        VersionFile { path: "copy.sh".into(), hash: [8; 32], mode: 0o644 },
    ];
    let mut publication = publication(vec![dag]);
    publication.contents.insert([8; 32], b"\0binary"[..].into());
    let published = publish(&mut leader, &publication, now()).await.unwrap().remove(0);

    let source = dag_version::source(&mut fixture.conn().await, published.version).await.unwrap().unwrap();
    assert_eq!(source.yaml, "dag: sales\n");
    assert_eq!(source.file, "sales.yaml");
    let files: Vec<_> = source.files.iter().map(|file| (&*file.path, file.mode, &*file.content)).collect();
    assert_eq!(files, [("copy.sh", 0o644, &b"\0binary"[..]), ("jobs/extract.sh", 0o755, b"\0binary")]);
    let tags: Vec<String> = fixture.value("SELECT tags FROM dag").await;
    assert_eq!(tags, ["sales", "a \"quoted\" one"]);
}

#[tokio::test]
async fn a_content_that_nobody_gave_fails_the_whole_publication() {
    let fixture = fixture().await;
    let mut leader = fixture.leader().await;
    let incomplete = Publication { dags: vec![publish_dag("sales", 1)], ..Publication::default() };
    let error = publish(&mut leader, &incomplete, now()).await.unwrap_err();
    assert!(matches!(error, Error::Database(_)), "{error}");
    assert_eq!(fixture.value::<i64>("SELECT count(*) FROM dag").await, 0);
    assert!(matches!(leader.ping().await, Err(Error::Fenced)));
}

#[tokio::test]
async fn a_dag_that_left_keeps_its_rows_and_may_return() {
    let fixture = fixture().await;
    let mut leader = fixture.leader().await;
    let first = published(&mut leader, vec![publish_dag("sales", 1)]).await.remove(0);
    let paused = Writes { paused: vec![(dag_id("sales"), true)], ..Writes::default() };
    leader.write_turn(&paused, &[], now()).await.unwrap();
    let gone = Publication { removed: vec![dag_id("sales"), dag_id("never-seen")], ..Publication::default() };
    publish(&mut leader, &gone, now()).await.unwrap();
    let rows = recovery::read(&mut leader, recovery::Limits::default()).await.unwrap();
    assert_eq!(rows.dags[0].current, None);

    let back = published(&mut leader, vec![publish_dag("sales", 1)]).await.remove(0);
    assert_eq!((back.change, back.version, back.is_paused), (Change::Returned, first.version, true));
    let rows = recovery::read(&mut leader, recovery::Limits::default()).await.unwrap();
    assert_eq!(rows.dags[0].current, Some(first.version));
}

#[tokio::test]
async fn import_errors_come_and_go_with_their_files() {
    let fixture = fixture().await;
    let mut leader = fixture.leader().await;
    let error = |file: &str| ImportError {
        file: file.into(),
        dag: None,
        message: "a\0b".into(),
        diagnostics: json!([{"code": "GF0001"}]),
    };
    let files = "SELECT coalesce(string_agg(file, ' ' ORDER BY file), '') FROM import_error";
    let found = Publication { import_errors: vec![error("a.yaml"), error("b.yaml")], ..Publication::default() };
    publish(&mut leader, &found, now()).await.unwrap();
    publish(&mut leader, &found, now()).await.unwrap();
    assert_eq!(fixture.value::<String>(files).await, "a.yaml b.yaml");

    let looked_at = ClearedErrors::Of(vec!["a.yaml".into(), "c.yaml".into()]);
    let partly = Publication { import_errors: vec![error("c.yaml")], cleared: looked_at, ..Publication::default() };
    publish(&mut leader, &partly, now()).await.unwrap();
    assert_eq!(fixture.value::<String>(files).await, "b.yaml c.yaml");

    publish(&mut leader, &Publication::default(), now()).await.unwrap();
    assert_eq!(fixture.value::<String>(files).await, "");
}

#[tokio::test]
async fn a_thousand_dags_are_published_in_one_transaction() {
    let fixture = fixture().await;
    let mut leader = fixture.leader().await;
    let dags: Vec<_> = (0..1_000u32)
        .map(|n| {
            let mut dag = publish_dag(&format!("dag_{n:04}"), 1);
            dag.source = [0; 32];
            dag.source[..4].copy_from_slice(&n.to_be_bytes());
            dag.tasks = (0..10)
                .map(|task| dag::TaskSummary { task_id: format!("task_{task}"), ..dag.tasks[0].clone() })
                .collect();
            dag
        })
        .collect();
    let publication = publication(dags);
    let since = std::time::Instant::now();
    let first = publish(&mut leader, &publication, now()).await.unwrap();
    let took_first = since.elapsed();
    let again = publish(&mut leader, &publication, now()).await.unwrap();
    println!("first {took_first:?}, again {:?}", since.elapsed() - took_first);
    assert!(first.iter().all(|dag| dag.change == Change::Created));
    assert!(again.iter().all(|dag| dag.change == Change::Unchanged));
    assert_eq!(fixture.value::<i64>("SELECT count(*) FROM dag_version_task").await, 10_000);
    assert_eq!(fixture.value::<i64>("SELECT count(*) FROM blob").await, 1_000);
}
