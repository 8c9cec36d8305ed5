//! With the rights of `packaging/kubernetes/rbac.yaml`, and no others.

use std::sync::Arc;

use anyhow::Result;
use gridflow_core::AttemptOutcome;
use gridflow_executor::kubernetes::{Access, Launch, Payload};
use serde_json::json;

use super::support::Fixture;

fn with_a_file(fixture: &Fixture, script: &str) -> Launch {
    let mut launch = fixture.launch(script);
    let secret = format!("gf-{}", launch.attempt);
    if let gridflow_executor::kubernetes::Object::Pod(pod) = &mut launch.object {
        pod["spec"]["volumes"] = json!([{ "name": "files", "secret": { "secretName": secret } }]);
        pod["spec"]["containers"][0]["volumeMounts"] = json!([{ "name": "files", "mountPath": "/files" }]);
    }
    launch.payload = Some(Payload { files: vec![("name".to_owned(), Arc::from(&b"Ada"[..]))] });
    launch
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_rights_are_enough_for_the_whole_life_of_a_pod() -> Result<()> {
    let Some(mut fixture) = Fixture::new()? else { return Ok(()) };
    let path = fixture.config.state_dir.join("kubeconfig");
    let _rights = fixture.namespace.rights(&path)?;
    fixture.config.clusters[0].access = Access::Kubeconfig { path, context: None };
    let mut term = fixture.term(Vec::new()).await?;

    let well = with_a_file(&fixture, "echo hello $(cat /files/name)");
    term.handle.launch(vec![well.clone()]).await?;
    term.claimed(well.attempt).await?;
    // Asked for once more, as after a takeover: its secret is there already.
    drop(term);
    let mut term = fixture.term(Vec::new()).await?;
    term.begin(&well).await?;
    assert!(term.started(well.attempt).await?.starts_with("gridflow-node/"));
    assert_eq!(term.finished(well.attempt).await?.outcome, AttemptOutcome::Exited { code: 0 });
    assert_eq!(fixture.log(well.attempt), "hello Ada\n");
    term.acknowledge(&well).await?;
    fixture.until_no_pod(well.attempt).await?;

    // Events are read for what cannot start, and a cancel deletes.
    let lost =
        fixture.launch_with("true", |pod| pod["spec"]["containers"][0]["image"] = "gridflow.local/none:1".into());
    term.begin(&lost).await?;
    let ended = term.finished(lost.attempt).await?;
    assert!(matches!(ended.outcome, AttemptOutcome::SpawnFailed { .. }), "{:?}", ended.outcome);
    let long = fixture.launch("echo up; sleep 1000");
    term.begin(&long).await?;
    fixture.until_log(long.attempt, "up").await?;
    term.cancel(&long).await?;
    assert_eq!(term.finished(long.attempt).await?.outcome, AttemptOutcome::Canceled);
    for launch in [&lost, &long] {
        term.acknowledge(launch).await?;
    }
    Ok(())
}
