use std::{sync::Arc, time::Duration};

use gridflow_core::{AttemptId, AttemptOutcome, AttemptState, NodeBinding, NodeId, Output, RunKey, Turn, Usage};
use serde_json::json;

use super::fixture::*;
use crate::{
    api, hold,
    inbox::{self, Item},
    leader::Pass,
    node::{self, Known, Node},
    report::{News, Report},
};

fn node_id() -> NodeId {
    NodeId(uuid(1))
}

async fn report(fixture: &Fixture, turn_highest: i64, pass: Option<Pass>) {
    let binding = NodeBinding { node: node_id(), boot: "boot-1".into() };
    let node = Node { binding, hostname: "anvil".into(), turn_highest: Turn(turn_highest) };
    node::report(&mut fixture.conn().await, &node, pass).await.unwrap();
}

fn finished(outcome: AttemptOutcome) -> Report {
    let output = Output { value: Arc::new(json!({"text": "a NUL \u{0} and more", "n": 1})), bytes: 30 };
    let usage = Usage { cpu_user_ms: 1, cpu_system_ms: 2, rss_peak_bytes: 3 };
    let news = News::Finished { outcome, usage, output: Some(output) };
    Report { run: RunKey(uuid(1)), attempt: AttemptId(uuid(1_001)), at: now(), news }
}

async fn letters(fixture: &Fixture) -> Vec<Report> {
    let letters = inbox::all(&mut fixture.conn().await, 100).await.unwrap();
    let reports = letters.into_iter().map(|letter| match letter.item {
        Item::Report(report) => report,
        other => panic!("{other:?}"),
    });
    reports.collect()
}

#[tokio::test]
async fn a_report_reads_back_as_it_was_and_waits_only_once() {
    let fixture = fixture().await;
    let outcomes = [
        AttemptOutcome::Exited { code: 3 },
        AttemptOutcome::Signaled { signal: 9 },
        AttemptOutcome::OutOfMemory,
        AttemptOutcome::TimedOut,
        AttemptOutcome::Canceled,
        AttemptOutcome::NeverStarted,
        AttemptOutcome::SpawnFailed { message: "no `x`".into() },
        AttemptOutcome::OutputInvalid { message: "no JSON".into() },
        AttemptOutcome::Lost { reason: "gone".into() },
    ];
    for outcome in outcomes {
        let started = Report { news: News::Started { pid: 7 }, ..finished(outcome.clone()) };
        let both = [started, finished(outcome)];
        for _ in 0..2 {
            inbox::report(&mut fixture.conn().await, &both, now()).await.unwrap();
        }
        assert_eq!(letters(&fixture).await, both);
        fixture.execute("DELETE FROM inbox").await;
    }
}

#[tokio::test]
async fn a_node_learns_what_of_its_own_is_open_and_whether_the_leader_is_here() {
    let fixture = fixture().await;
    let mut leader = fixture.leader().await;
    leader.write_turn(&started_run(1), &[], now()).await.unwrap();
    report(&fixture, 0, None).await;
    let attempt = AttemptId(uuid(1_001));

    let charge = node::charge(&mut fixture.conn().await, node_id()).await.unwrap();
    assert_eq!((charge.epoch, charge.leads_here, charge.is_held), (leader.epoch().0, false, false));
    let open = &charge.open[&attempt];
    assert_eq!((open.run, open.state, open.has_started), (RunKey(uuid(1)), AttemptState::Queued, false));
    let other = node::charge(&mut fixture.conn().await, NodeId(uuid(2))).await.unwrap();
    assert!(other.open.is_empty());

    report(&fixture, 0, Some(leader.pass())).await;
    assert!(node::charge(&mut fixture.conn().await, node_id()).await.unwrap().leads_here);
    let asked = [(RunKey(uuid(1)), attempt), (RunKey(uuid(1)), AttemptId(uuid(9)))];
    let known = node::known(&mut fixture.conn().await, &asked).await.unwrap();
    assert_eq!(known.into_iter().collect::<Vec<_>>(), [(attempt, Known::Open)]);
}

#[tokio::test]
async fn a_node_is_silent_by_the_databases_clock() {
    let fixture = fixture().await;
    report(&fixture, 0, None).await;
    let silent = async |limit| node::silent(&mut fixture.conn().await, &[node_id()], limit).await.unwrap().len();
    assert_eq!(silent(Duration::from_secs(60)).await, 0);
    fixture.execute("UPDATE node SET seen_at = seen_at - interval '61 s'").await;
    assert_eq!(silent(Duration::from_secs(60)).await, 1);
    let nodes = api::node::all(&mut fixture.conn().await).await.unwrap();
    assert_eq!((nodes[0].is_silent, nodes[0].is_leader, nodes[0].open_attempts), (true, false, 0));
    node::seen(&mut fixture.conn().await, node_id()).await.unwrap();
    assert_eq!(silent(Duration::from_secs(60)).await, 0);
}

#[tokio::test]
async fn a_hold_stays_until_it_is_lifted_and_turns_then_go_on_above_all_that_was_seen() {
    let fixture = fixture().await;
    let mut leader = fixture.leader().await;
    let inside = leader.turn_at_takeover();
    let other = NodeId(uuid(2));
    assert_eq!(hold::ahead(&mut fixture.conn().await, other, inside).await.unwrap(), None);
    report(&fixture, 900, None).await;
    let ahead = hold::ahead(&mut fixture.conn().await, other, inside).await.unwrap();
    assert_eq!(ahead, Some((node_id(), Turn(900))));
    assert_eq!(hold::ahead(&mut fixture.conn().await, node_id(), inside).await.unwrap(), None, "its own is its own");

    let placed = hold::Hold { node: node_id(), outside: Turn(900), inside, since: now() };
    hold::place(&mut leader, &placed).await.unwrap();
    hold::place(&mut leader, &hold::Hold { outside: Turn(901), ..placed.clone() }).await.unwrap();
    assert_eq!(hold::get(&mut fixture.conn().await).await.unwrap(), Some(placed), "the first one stays");
    let unknown = [finished(AttemptOutcome::Exited { code: 0 })];
    for _ in 0..2 {
        hold::note_unknown(&mut fixture.conn().await, node_id(), &unknown).await.unwrap();
    }
    let noted = hold::unknown(&mut fixture.conn().await).await.unwrap();
    assert_eq!(noted.iter().map(|one| one.outcome.as_deref()).collect::<Vec<_>>(), [Some("exit code 0")]);

    let charge = node::charge(&mut fixture.conn().await, node_id()).await.unwrap();
    assert!(charge.is_held && charge.is_ahead);
    assert!(hold::lift(&mut fixture.conn().await, "ada", now()).await.unwrap());
    let charge = node::charge(&mut fixture.conn().await, node_id()).await.unwrap();
    assert!(!charge.is_held && !charge.is_ahead);
    assert!(matches!(leader.ping().await, Err(crate::Error::Fenced)), "whoever led is deposed");
    assert_eq!(hold::get(&mut fixture.conn().await).await.unwrap(), None);
    assert!(hold::unknown(&mut fixture.conn().await).await.unwrap().is_empty());
    assert!(!hold::lift(&mut fixture.conn().await, "ada", now()).await.unwrap(), "there is nothing to lift any more");
    drop(leader);
    eventually(
        &fixture,
        "SELECT NOT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory'
             AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))",
    )
    .await;
    let next = fixture.leader().await;
    assert_eq!(next.turn_at_takeover(), Turn(900));
    assert_eq!(hold::ahead(&mut fixture.conn().await, other, next.turn_at_takeover()).await.unwrap(), None);
}
