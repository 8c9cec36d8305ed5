//! How fast pods are made and confirmed, beside a bare loop of the same two calls against the same API server.
//!
//! `KUBECONFIG=FILE cargo run --release --example pod_rate -- NAMESPACE [PODS [kwok]]`
//!
//! The pods ask for a node that is not there: nothing but the API server and the scheduler is measured. With `kwok` they
//! go to nodes that KWOK plays (`tests/services/kwok start`), where they start at once and end a second later, while the
//! rest is made. Also said is by how much this process grows until it watches all of them.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use futures_util::{StreamExt, TryStreamExt, stream};
use gridflow_core::{AttemptId, InstallationId, RunKey};
use gridflow_executor::kubernetes::{
    Access, ClusterConfig, Config, KubernetesExecutor, Launch, Limits, Object, Report, Running, clean, identity,
};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use uuid::Uuid;

const TIMES: usize = 5;
const SETTLE: Duration = Duration::from_secs(10);

/// Where the pods run.
#[derive(Debug, Clone, Copy)]
enum Nodes {
    None,
    Kwok,
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let namespace = args.next().context("name a namespace")?;
    let count: usize = args.next().map_or(Ok(500), |text| text.parse())?;
    let nodes = match args.next().as_deref() {
        None => Nodes::None,
        Some("kwok") => Nodes::Kwok,
        Some(other) => bail!("`{other}` is not `kwok`"),
    };
    let kubeconfig = PathBuf::from(std::env::var_os("KUBECONFIG").context("set KUBECONFIG")?);
    let config = Config {
        installation: InstallationId(Uuid::now_v7()),
        state_dir: std::env::temp_dir().join("gridflow-pod-rate"),
        clusters: vec![ClusterConfig::new(
            "c",
            Access::Kubeconfig { path: kubeconfig, context: None },
            &[namespace.as_str()],
        )],
    };
    let client = Client::try_default().await?;
    let pods: Api<Pod> = Api::namespaced(client, &namespace);

    // Ours once before, while this process is still small. Then in turn, so that both meet the same servers.
    let (_, grown_kb) = ours(&pods, &config, &namespace, nodes, count).await?;
    println!("{count} pods: {grown_kb} kB");
    let mut ratios = Vec::new();
    for _ in 0..TIMES {
        tidy(&config).await?;
        let bare_rate = bare(&pods, &config, &namespace, nodes, count).await?;
        tidy(&config).await?;
        let (ours_rate, _) = ours(&pods, &config, &namespace, nodes, count).await?;
        println!("bare {bare_rate:.0}/s, executor {ours_rate:.0}/s: {:.0} %", 100.0 * ours_rate / bare_rate);
        ratios.push(ours_rate / bare_rate);
    }
    ratios.sort_by(f64::total_cmp);
    println!("median: {:.0} %", 100.0 * ratios[TIMES / 2]);
    clean(&config, Running::End).await?;
    Ok(())
}

/// Removes the pods, and lets the servers finish what they do about that.
async fn tidy(config: &Config) -> Result<()> {
    clean(config, Running::End).await?;
    tokio::time::sleep(SETTLE).await;
    Ok(())
}

/// Proportional set size of this process.
fn memory_kb() -> Result<u64> {
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup")?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).context("its memory")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

fn launch(namespace: &str, nodes: Nodes) -> Launch {
    let selector = match nodes {
        Nodes::None => json!({"there-is": "no-such-node"}),
        Nodes::Kwok => json!({"type": "kwok"}),
    };
    let pod = json!({"spec": {
        "restartPolicy": "Never",
        "nodeSelector": selector,
        "tolerations": [{"key": "kwok.x-k8s.io/node", "operator": "Exists"}],
        "containers": [{"name": "task", "image": "none.invalid/none:1", "command": ["true"]}],
    }});
    let sample = Launch::sample(RunKey(Uuid::now_v7()), AttemptId(Uuid::now_v7()), Object::Pod(pod));
    Launch { namespace: namespace.into(), grace: Duration::ZERO, ..sample }
}

async fn bare(pods: &Api<Pod>, config: &Config, namespace: &str, nodes: Nodes, count: usize) -> Result<f64> {
    let begun = Instant::now();
    let one = |()| async move {
        let launch = launch(namespace, nodes);
        let Object::Pod(pod) = launch.object.clone() else { unreachable!("it makes pods") };
        let pod: Pod = serde_json::from_value(identity::stamp_pod(pod, config.installation, &launch))?;
        let made = pods.create(&PostParams::default(), &pod).await?;
        let patch: Value = json!({
            "metadata": {"uid": made.metadata.uid, "finalizers": [identity::FINALIZER]},
            "spec": {"schedulingGates": [{"name": identity::GATE, "$patch": "delete"}]},
        });
        pods.patch(&identity::name(launch.attempt), &PatchParams::default(), &Patch::Strategic(patch)).await?;
        anyhow::Ok(())
    };
    let calls = stream::iter((0..count).map(|_| ())).map(one);
    calls.buffer_unordered(Limits::default().launches_at_once).try_collect::<Vec<()>>().await?;
    Ok(count as f64 / begun.elapsed().as_secs_f64())
}

async fn ours(pods: &Api<Pod>, config: &Config, namespace: &str, nodes: Nodes, count: usize) -> Result<(f64, u64)> {
    let before_kb = memory_kb()?;
    let (handle, mut reports) = KubernetesExecutor::start(config.clone(), Vec::new()).await?;
    while !matches!(reports.recv().await.context("it ended")?, Report::Synced { .. }) {}
    let begun = Instant::now();
    handle.launch((0..count).map(|_| launch(namespace, nodes)).collect()).await?;
    let mut claimed = 0;
    while claimed < count {
        if let Report::Claimed { run, attempt, claim } = reports.recv().await.context("it ended")? {
            claimed += 1;
            handle.confirm(vec![(run, attempt, Arc::clone(&claim))]).await?;
        }
    }
    let grown_kb = memory_kb()?.saturating_sub(before_kb);
    let ours = ListParams::default().labels(&identity::selector(config.installation));
    loop {
        let list = pods.list_metadata(&ours).await?;
        if list.items.iter().filter(|pod| pod.metadata.finalizers.is_some()).count() == count {
            return Ok((count as f64 / begun.elapsed().as_secs_f64(), grown_kb));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
