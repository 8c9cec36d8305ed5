//! What stands between the executor and the API server, and how it fails.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::{Context, Result};
use gridflow_core::AttemptOutcome;
use gridflow_executor::kubernetes::Access;
use kube::config::Kubeconfig;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    task::JoinSet,
};

use super::support::Fixture;

/// A way to the API server.
struct Wire {
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    is_silent: AtomicBool,
    is_closed: AtomicBool,
    connections: Mutex<JoinSet<()>>,
}

impl Wire {
    /// Puts it between this fixture's executors and the API server.
    async fn into(fixture: &mut Fixture) -> Result<Self> {
        let Access::Kubeconfig { path, .. } = &fixture.config.clusters[0].access else { unreachable!() };
        let mut kubeconfig = Kubeconfig::read_from(path)?;
        let cluster = kubeconfig.clusters.first_mut().and_then(|known| known.cluster.as_mut()).context("no cluster")?;
        let server = cluster.server.take().context("no server")?;
        let upstream: SocketAddr = server.trim_start_matches("https://").parse()?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        cluster.server = Some(format!("https://{}", listener.local_addr()?));
        let path = fixture.config.state_dir.join("kubeconfig");
        std::fs::write(&path, serde_json::to_string(&kubeconfig)?)?;
        fixture.config.clusters[0].access = Access::Kubeconfig { path, context: None };
        let state = Arc::new(State::default());
        tokio::spawn(carry(listener, upstream, state.clone()));
        Ok(Self { state })
    }

    /// Ends all connections.
    fn cut(&self) {
        self.state.connections.lock().expect("nobody panics with it").abort_all();
    }

    /// Ends all connections, and refuses new ones.
    fn close(&self) {
        self.state.is_closed.store(true, Ordering::Relaxed);
        self.cut();
    }

    /// Nothing gets through, and nobody is told.
    fn silence(&self) {
        self.state.is_silent.store(true, Ordering::Relaxed);
    }

    fn heal(&self) {
        self.state.is_silent.store(false, Ordering::Relaxed);
        self.state.is_closed.store(false, Ordering::Relaxed);
    }
}

async fn carry(listener: TcpListener, upstream: SocketAddr, state: Arc<State>) {
    while let Ok((near, _)) = listener.accept().await {
        if state.is_closed.load(Ordering::Relaxed) {
            continue;
        }
        let Ok(far) = TcpStream::connect(upstream).await else { continue };
        let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
        let mut connections = state.connections.lock().expect("nobody panics with it");
        let (one, other) = (state.clone(), state.clone());
        connections.spawn(async move {
            tokio::select! {
                () = pour(near_in, far_out, one) => {}
                () = pour(far_in, near_out, other) => {}
            }
        });
    }
}

async fn pour(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, state: Arc<State>) {
    let mut bytes = vec![0; 16 << 10];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        while state.is_silent.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        if to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_that_is_away_while_a_pod_runs_is_waited_for() -> Result<()> {
    let Some(mut fixture) = Fixture::new()? else { return Ok(()) };
    let wire = Wire::into(&mut fixture).await?;
    let mut term = fixture.term(Vec::new()).await?;
    let launch = fixture.launch("echo one; sleep 3; echo two");
    term.begin(&launch).await?;
    term.started(launch.attempt).await?;
    wire.close();
    fixture.until_pod(launch.attempt, "over", |pod| pod["status"]["phase"] == "Succeeded").await?;
    wire.heal();
    assert_eq!(term.finished(launch.attempt).await?.outcome, AttemptOutcome::Exited { code: 0 });
    assert_eq!(fixture.log(launch.attempt), "one\ntwo\n");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_that_is_cut_silently_is_noticed_and_begun_again() -> Result<()> {
    let Some(mut fixture) = Fixture::new()? else { return Ok(()) };
    let wire = Wire::into(&mut fixture).await?;
    let mut term = fixture.term(Vec::new()).await?;
    let launch = fixture.launch("true");
    term.handle.launch(vec![launch.clone()]).await?;
    let claim = term.claimed(launch.attempt).await?;
    wire.silence();
    term.handle.confirm(vec![(launch.run, launch.attempt, claim)]).await?;
    // The call has its own deadline, and so has the watch: both give up on the connections that they have.
    tokio::time::timeout(Duration::from_secs(20), async { while term.hears().await {} }).await.ok();
    wire.cut();
    wire.heal();
    assert_eq!(term.finished(launch.attempt).await?.outcome, AttemptOutcome::Exited { code: 0 });
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_break_again_and_again_start_nothing_twice_and_lose_nothing() -> Result<()> {
    let Some(mut fixture) = Fixture::new()? else { return Ok(()) };
    let wire = Wire::into(&mut fixture).await?;
    let mut term = fixture.term(Vec::new()).await?;
    let launches: Vec<_> = (0..6).map(|no| fixture.launch(&format!("echo run {no}"))).collect();
    let breaking = async {
        loop {
            tokio::time::sleep(Duration::from_millis(150)).await;
            wire.cut();
        }
    };
    let running = async {
        for launch in &launches {
            term.begin(launch).await?;
        }
        for (no, launch) in launches.iter().enumerate() {
            assert_eq!(term.finished(launch.attempt).await?.outcome, AttemptOutcome::Exited { code: 0 });
            assert_eq!(fixture.log(launch.attempt), format!("run {no}\n"));
            term.acknowledge(launch).await?;
        }
        for launch in &launches {
            fixture.until_no_pod(launch.attempt).await?;
        }
        Ok(())
    };
    tokio::select! {
        result = running => result,
        () = breaking => unreachable!("it breaks for ever"),
    }
}
