//! How many commands a second: bare, through the host, and with everything a launch prepares.
//!
//! ```text
//! cargo build --release -p gridflow-executor --bins --example spawn_rate
//! target/release/examples/spawn_rate [COUNT]
//! ```
//!
//! It works in the temporary folder (`TMPDIR`) and removes its files at the end. On ext4, let some minutes pass before
//! the next run there: creating files passes over inodes that were freed just now one by one, which costs far more
//! than the spawning.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use gridflow_core::{AttemptId, DagId, InstallationId, MapIndex, NodeId, RunId, RunKey, TaskId, TryNumber, Turn};
use gridflow_executor::local::{Config, Launch, LocalExecutor, Report};
use uuid::Uuid;

/// Slots, as a pool or the parallelism would give them.
const AT_ONCE: u32 = 64;

fn main() {
    let count = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(2000);
    let bare = bare(count);
    println!("bare spawn and wait, one after the other  {bare:>7.0}/s");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let (host, chain) = runtime.expect("a runtime can be made").block_on(through_host(count));
    println!("executor, 64 at a time                    {host:>7.0}/s   {:.2} of bare", host / bare);
    println!("executor, one after the other             {chain:>7.0}/s   {:.2} of bare", chain / bare);
}

fn bare(count: u32) -> f64 {
    let start = Instant::now();
    for _ in 0..count {
        let status = Command::new("true").stdin(Stdio::null()).stdout(Stdio::null()).status();
        assert!(status.expect("`true` can be started").success(), "`true` succeeds");
    }
    f64::from(count) / start.elapsed().as_secs_f64()
}

async fn through_host(count: u32) -> (f64, f64) {
    let dir = tempfile::tempdir().expect("a temporary folder can be made");
    let mut config = Config::new(
        dir.path().to_owned(),
        vec![host_program().into()],
        InstallationId(Uuid::now_v7()),
        NodeId(Uuid::now_v7()),
    );
    config.environment = BTreeMap::from([("PATH".into(), "/usr/bin:/bin".into())]);
    config.host_linger = Duration::from_millis(100);
    let (handle, mut reports) = LocalExecutor::connect_or_start(config).await.expect("the host starts");

    let start = Instant::now();
    handle.launch((0..AT_ONCE.min(count)).map(|_| launch()).collect()).await.expect("the executor lives");
    let (mut to_launch, mut left) = (count.saturating_sub(AT_ONCE), count);
    while left != 0 {
        if let Some(Report::Finished { attempt, .. }) = reports.recv().await {
            left -= 1;
            handle.acknowledge(vec![attempt]).await.expect("the executor lives");
            if to_launch != 0 {
                to_launch -= 1;
                handle.launch(vec![launch()]).await.expect("the executor lives");
            }
        }
    }
    let at_once = f64::from(count) / start.elapsed().as_secs_f64();

    let chain = count / 10;
    let start = Instant::now();
    for _ in 0..chain {
        handle.launch(vec![launch()]).await.expect("the executor lives");
        while let Some(report) = reports.recv().await {
            if let Report::Finished { attempt, .. } = report {
                handle.acknowledge(vec![attempt]).await.expect("the executor lives");
                break;
            }
        }
    }
    (at_once, f64::from(chain) / start.elapsed().as_secs_f64())
}

/// Beside the folder of examples.
fn host_program() -> PathBuf {
    let exe = std::env::current_exe().expect("a running program has a path");
    let dir = exe.parent().and_then(Path::parent).expect("examples have a folder of their own");
    dir.join("gridflow-test-host")
}

fn launch() -> Launch {
    Launch {
        attempt: AttemptId(Uuid::now_v7()),
        run: RunKey(Uuid::now_v7()),
        dag_id: DagId::parse("bench").expect("a valid id"),
        task_id: TaskId::parse("true").expect("a valid id"),
        run_id: RunId::parse("manual__1").expect("a valid id"),
        map_index: MapIndex::UNMAPPED,
        try_number: TryNumber(1),
        logical_date: None,
        owner: "bench".into(),
        turn: Turn(1),
        spec_hash: [0; 32],
        argv: vec!["true".into()],
        env: BTreeMap::new(),
        files: Vec::new(),
        context: serde_json::json!({"dag": {"dag_id": "bench"}, "params": {}, "run_id": "manual__1"}),
        execution_timeout: Some(Duration::from_secs(60)),
        grace: Duration::from_secs(5),
        run_as: None,
        traceparent: None,
    }
}
