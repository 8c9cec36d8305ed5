//! The ways to an API server that a kubeconfig knows, on a real one.

use std::{fs, os::unix::fs::PermissionsExt};

use anyhow::{Context, Result};
use gridflow_core::AttemptOutcome;
use gridflow_executor::kubernetes::{Access, Report};
use serde_json::{Value, json};

use super::support::{Fixture, Term};

/// The administrator's kubeconfig with another user in it, in the fixture's folder.
fn reach_as(fixture: &mut Fixture, user: impl FnOnce(&Value) -> Result<Value>) -> Result<()> {
    let admin = fixture.namespace.cluster().kubectl(&["config", "view", "--raw", "--output=json"])?;
    let mut kubeconfig: Value = serde_json::from_str(&admin).context("a kubeconfig")?;
    kubeconfig["users"][0]["user"] = user(&kubeconfig["users"][0]["user"])?;
    let path = fixture.config.state_dir.join("kubeconfig");
    fs::write(&path, kubeconfig.to_string())?;
    fixture.config.clusters[0].access = Access::Kubeconfig { path, context: None };
    Ok(())
}

/// A service account that may do everything in the fixture's namespace, and a token of it.
fn account(fixture: &Fixture, name: &str) -> Result<String> {
    let namespace = &fixture.namespace;
    namespace.kubectl(&["create", "serviceaccount", name])?;
    bind(fixture, name)?;
    let subject = format!("--serviceaccount={}:{name}", namespace.name());
    // `admin` leaves events out.
    let more = format!("{name}-events");
    namespace.kubectl(&["create", "role", &more, "--verb=list", "--resource=events"])?;
    namespace.kubectl(&["create", "rolebinding", &more, &format!("--role={more}"), &subject])?;
    namespace.kubectl(&["create", "token", name, "--duration=10m"])
}

fn bind(fixture: &Fixture, name: &str) -> Result<()> {
    let subject = format!("--serviceaccount={}:{name}", fixture.namespace.name());
    fixture.namespace.kubectl(&["create", "rolebinding", name, "--clusterrole=admin", &subject]).map(drop)
}

/// What the running attempt is said to wait for, once it is this.
async fn until_told(term: &mut Term, is: impl Fn(Option<&str>) -> bool) -> Result<()> {
    let told = |report: &Report| match report {
        Report::Waits { has_started: true, reason, .. } => is(reason.as_deref()).then_some(()),
        _ => None,
    };
    term.until("a word on what it waits for", told).await
}

async fn runs_a_pod(fixture: &Fixture, term: &mut Term) -> Result<()> {
    let launch = fixture.launch("echo hello");
    term.begin(&launch).await?;
    assert_eq!(term.finished(launch.attempt).await?.outcome, AttemptOutcome::Exited { code: 0 });
    assert_eq!(fixture.log(launch.attempt), "hello\n");
    term.acknowledge(&launch).await?;
    fixture.until_no_pod(launch.attempt).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_in_a_file_is_exchanged_under_a_term_that_goes_on() -> Result<()> {
    let Some(mut fixture) = Fixture::new()? else { return Ok(()) };
    let file = fixture.config.state_dir.join("token");
    // With the line break that kubectl ends it with.
    fs::write(&file, account(&fixture, "first")?)?;
    reach_as(&mut fixture, |_| Ok(json!({ "tokenFile": file })))?;
    let mut term = fixture.term(Vec::new()).await?;
    runs_a_pod(&fixture, &mut term).await?;

    fs::write(&file, account(&fixture, "second")?)?;
    // From now on the first token is worth nothing.
    fixture.namespace.kubectl(&["delete", "serviceaccount", "first"])?;
    fixture.namespace.kubectl(&["delete", "rolebinding", "first", "first-events"])?;
    runs_a_pod(&fixture, &mut term).await
}

/// As when a token has expired, and as when somebody takes rights away.
#[tokio::test(flavor = "multi_thread")]
async fn what_runs_goes_on_while_nobody_may_look_and_is_collected_afterwards() -> Result<()> {
    let Some(mut fixture) = Fixture::new()? else { return Ok(()) };
    let file = fixture.config.state_dir.join("token");
    fs::write(&file, account(&fixture, "first")?)?;
    reach_as(&mut fixture, |_| Ok(json!({ "tokenFile": file })))?;
    let mut term = fixture.term(Vec::new()).await?;
    let launch = fixture.launch("echo up; until test -e /tmp/go; do sleep 0.2; done; echo over; exit 3");
    term.begin(&launch).await?;
    fixture.until_log(launch.attempt, "up").await?;
    term.started(launch.attempt).await?;

    fixture.namespace.kubectl(&["delete", "serviceaccount", "first"])?;
    until_told(&mut term, |reason| reason.is_some_and(|reason| reason.contains("(401)"))).await?;
    fs::write(&file, account(&fixture, "second")?)?;
    until_told(&mut term, |reason| reason.is_none()).await?;

    fixture.namespace.kubectl(&["delete", "rolebinding", "second"])?;
    until_told(&mut term, |reason| reason.is_some_and(|reason| reason.contains("(403)"))).await?;
    fixture.namespace.kubectl(&["exec", &format!("gf-{}", launch.attempt), "--", "touch", "/tmp/go"])?;
    fixture
        .until_pod(launch.attempt, "over", |pod| {
            !pod["status"]["containerStatuses"][0]["state"]["terminated"].is_null()
        })
        .await?;
    bind(&fixture, "second")?;
    assert_eq!(term.finished(launch.attempt).await?.outcome, AttemptOutcome::Exited { code: 3 });
    assert!(fixture.log(launch.attempt).starts_with("up\nover\ngridflow: "), "{}", fixture.log(launch.attempt));
    term.acknowledge(&launch).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_gives_tokens() -> Result<()> {
    let Some(mut fixture) = Fixture::new()? else { return Ok(()) };
    let program = fixture.config.state_dir.join("give-token");
    let credential = json!({
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": { "token": account(&fixture, "robot")?.trim() },
    });
    fs::write(&program, format!("#!/bin/sh\necho '{credential}'\n"))?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700))?;
    reach_as(&mut fixture, |_| {
        Ok(json!({ "exec": {
            "apiVersion": "client.authentication.k8s.io/v1", "command": program, "interactiveMode": "Never",
        }}))
    })?;
    let mut term = fixture.term(Vec::new()).await?;
    runs_a_pod(&fixture, &mut term).await
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_lie_in_files_beside_the_kubeconfig() -> Result<()> {
    let Some(mut fixture) = Fixture::new()? else { return Ok(()) };
    let folder = fixture.config.state_dir.clone();
    let admin = fixture.namespace.cluster().kubectl(&["config", "view", "--raw", "--flatten", "--output=json"])?;
    let admin: Value = serde_json::from_str(&admin).context("a kubeconfig")?;
    for (part, name) in [("client-certificate", "client.crt"), ("client-key", "client.key")] {
        let data = admin["users"][0]["user"][format!("{part}-data")].as_str().context("no data in it")?;
        fs::write(folder.join(name), decoded(data)?)?;
    }
    reach_as(&mut fixture, |_| Ok(json!({ "client-certificate": "client.crt", "client-key": "client.key" })))?;
    let mut term = fixture.term(Vec::new()).await?;
    runs_a_pod(&fixture, &mut term).await
}

fn decoded(base64: &str) -> Result<Vec<u8>> {
    use std::{
        io::Write,
        process::{Command, Stdio},
    };
    let mut child = Command::new("base64").arg("-d").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    child.stdin.take().context("a pipe")?.write_all(base64.as_bytes())?;
    Ok(child.wait_with_output()?.stdout)
}
