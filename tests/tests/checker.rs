//! The checker itself: it finds nothing in a history that is well, and the one thing that is wrong in a doctored one.

use gridflow_tests::{
    check::{Finding, Invariant, Losses, Outputs, Rules, findings},
    evidence::{Attempt, Event, Evidence, LogRow, Mark, MarkKind, Run, TaskInstance},
};

/// Two runs of `load`: one that an event made, one that the task `call` of the first made. The first task of the first
/// run was lost once; the second run's ran in a pod.
fn healthy() -> Evidence {
    let run = |id: &str, parent: Option<(&str, &str)>| Run {
        id: id.into(),
        dag: "load".into(),
        run_id: format!("run-{id}"),
        state: "success".into(),
        has_started: true,
        reason: String::new(),
        parent: parent.map(|(run, task)| (run.into(), task.into())),
    };
    let ti = |run: &str, task_no: &str, task: &str, operator: &str, attempt: &str, losses: usize| TaskInstance {
        run: run.into(),
        dag: "load".into(),
        run_id: format!("run-{run}"),
        task_no: task_no.into(),
        map_index: "-1".into(),
        task: task.into(),
        operator: operator.into(),
        state: "success".into(),
        losses,
        attempt: attempt.into(),
        output: attempt.into(),
        reason: String::new(),
    };
    let attempt = |run: &str, id: &str, task_no: &str, outcome: &str, exit_code: &str| Attempt {
        run: run.into(),
        id: id.into(),
        task_no: task_no.into(),
        map_index: "-1".into(),
        state: "closed".into(),
        outcome: outcome.into(),
        exit_code: exit_code.into(),
        claim: if id == "b1" { "pod-1".into() } else { String::new() },
    };
    let log = |turn: i64, epoch: i64, run: &str, changes: &[&str]| LogRow {
        turn,
        epoch,
        run: run.into(),
        changes: changes.iter().map(|change| (*change).to_owned()).collect(),
    };
    let mark = |kind, attempt: &str, run: &str, task: &str, at: i64| Mark {
        kind,
        attempt: attempt.into(),
        dag: "load".into(),
        run_id: format!("run-{run}"),
        task: task.into(),
        pid: attempt.into(),
        at,
        pod: if attempt == "b1" { "pod-1".into() } else { String::new() },
    };
    Evidence {
        runs: vec![run("1", None), run("2", Some(("1", "1")))],
        task_instances: vec![
            ti("1", "0", "work", "bash", "a2", 1),
            TaskInstance {
                attempt: String::new(),
                output: String::new(),
                ..ti("1", "1", "call", "trigger_dag", "", 0)
            },
            ti("2", "0", "work", "bash", "b1", 0),
        ],
        attempts: vec![
            attempt("1", "a1", "0", "lost", ""),
            attempt("1", "a2", "0", "exited", "0"),
            attempt("2", "b1", "0", "exited", "0"),
        ],
        log: vec![
            log(1, 1, "1", &["run queued running", "ti 0 -1 - none 1", "ti 1 -1 - none 1", "ti 0 -1 none scheduled 1"]),
            log(2, 1, "1", &["ti 0 -1 scheduled queued 1", "attempt a1 - queued", "attempt a1 queued running"]),
            log(3, 2, "1", &["ti 0 -1 queued running 1", "attempt a1 running closed", "ti 0 -1 running scheduled 1"]),
            log(4, 2, "1", &["ti 0 -1 scheduled queued 2", "attempt a2 - queued"]),
            log(5, 2, "1", &["ti 0 -1 queued running 2", "attempt a2 queued running"]),
            log(6, 2, "1", &["ti 0 -1 running success 2", "attempt a2 running closed", "ti 1 -1 none scheduled 1"]),
            log(6, 2, "2", &["run - queued", "run queued running", "ti 0 -1 - none 1", "ti 0 -1 none scheduled 1"]),
            log(7, 2, "1", &["ti 1 -1 scheduled success 1", "run running success"]),
            log(8, 2, "2", &["ti 0 -1 scheduled queued 1", "attempt b1 - queued", "attempt b1 queued running"]),
            log(9, 2, "2", &["ti 0 -1 queued running 1", "ti 0 -1 running success 1", "attempt b1 running closed"]),
            log(10, 2, "2", &["run running success"]),
        ],
        events: vec![Event {
            id: "e".into(),
            dag: "load".into(),
            key: "1/load/file/x.csv".into(),
            outcome: "run".into(),
            run: "1".into(),
        }],
        marks: vec![
            mark(MarkKind::Start, "a1", "1", "work", 100),
            mark(MarkKind::Start, "a2", "1", "work", 220),
            mark(MarkKind::ChildStart, "a2", "1", "work", 230),
            mark(MarkKind::End, "a2", "1", "work", 250),
            mark(MarkKind::ChildEnd, "a2", "1", "work", 260),
            mark(MarkKind::Start, "b1", "2", "work", 300),
            mark(MarkKind::End, "b1", "2", "work", 350),
        ],
        killed_at: vec![200],
        last_seen: None,
        accepted: [("load".to_owned(), "run-1".to_owned())].into(),
        cancelled: [].into(),
        asked: ["key".to_owned()].into(),
        answered: ["key".to_owned()].into(),
        inbox: 0,
        commands_open: 0,
    }
}

fn rules() -> Rules {
    let dag = || "load".to_owned();
    Rules {
        parallelism: 1,
        pools: [("narrow".to_owned(), 2)].into(),
        slots: [((dag(), "work".to_owned()), ("narrow".to_owned(), 2))].into(),
        max_active_tasks: [(dag(), 1)].into(),
        max_active_runs: [(dag(), 1)].into(),
        losses: Losses::Expected,
        outputs: Outputs::AttemptId,
    }
}

/// Doctors the history and expects at least this to be found.
fn caught(invariant: Invariant, what: &str, doctor: impl Fn(&mut Evidence)) {
    let mut evidence = healthy();
    doctor(&mut evidence);
    let found = findings(&evidence, &rules());
    let is_caught = found.iter().any(|finding| finding.invariant == invariant);
    assert!(is_caught, "{what} is not caught as {invariant:?}: {found:?}");
}

#[test]
fn a_history_that_is_well_passes() {
    assert_eq!(findings(&healthy(), &rules()), Vec::<Finding>::new());
}

/// The attempt that was lost ran in a pod, whose commands were last seen then.
fn beside_a_killed_pod(evidence: &mut Evidence, last_seen: i64) {
    evidence.marks[0].pod = "pod-0".into();
    evidence.attempts[0].claim = "pod-0".into();
    evidence.killed_at.clear();
    evidence.last_seen = Some([("pod-0".to_owned(), last_seen)].into());
}

#[test]
fn a_command_that_was_killed_with_its_pod_ended_when_it_was_last_seen() {
    let mut evidence = healthy();
    beside_a_killed_pod(&mut evidence, 219);
    assert_eq!(findings(&evidence, &rules()), Vec::<Finding>::new());
    // Nobody saw it: it did not live for long.
    evidence.last_seen = Some([].into());
    assert_eq!(findings(&evidence, &rules()), Vec::<Finding>::new());
}

#[test]
fn doctored_starts_are_caught() {
    caught(Invariant::OneLaunch, "a command that started twice", |evidence| {
        let again = Mark { at: 310, pid: "other".into(), ..evidence.marks[5].clone() };
        evidence.marks.push(again);
    });
    caught(Invariant::OneLaunch, "an attempt beside a living one", |evidence| evidence.marks[1].at = 199);
    caught(Invariant::OneLaunch, "an attempt beside what another left behind", |evidence| {
        evidence.marks[0].at = 255;
        evidence.killed_at = vec![300];
    });
    caught(Invariant::OneLaunch, "a start in a pod that was never confirmed", |evidence| {
        evidence.marks[5].pod = "pod-2".into();
    });
    caught(Invariant::OneLaunch, "a start in a pod of an attempt without a claim", |evidence| {
        evidence.attempts[2].claim.clear();
    });
    caught(Invariant::OneLaunch, "an attempt beside a pod that lived", |evidence| {
        beside_a_killed_pod(evidence, 221);
    });
    caught(Invariant::OneLaunch, "a start of what never started", |evidence| {
        evidence.attempts[0].outcome = "never_started".into();
    });
    caught(Invariant::Truth, "a start that no table knows", |evidence| {
        let unknown = Mark { attempt: "x".into(), ..evidence.marks[5].clone() };
        evidence.marks.push(unknown);
    });
    caught(Invariant::Truth, "an end that nobody saw", |evidence| evidence.marks.retain(|mark| mark.attempt != "b1"));
    caught(Invariant::Truth, "a process without an end", |evidence| evidence.marks.truncate(6));
}

#[test]
fn doctored_losses_are_caught() {
    caught(Invariant::NoLoss, "a confirmed run that is gone", |evidence| {
        evidence.accepted.insert(("load".into(), "run-3".into()));
    });
    caught(Invariant::NoLoss, "a confirmed command that is gone", |evidence| evidence.answered.clear());
    caught(Invariant::NoLoss, "a letter that nobody opened", |evidence| evidence.inbox = 1);
    caught(Invariant::NoLoss, "a command without an answer", |evidence| evidence.commands_open = 1);
    caught(Invariant::NoLoss, "an event without an outcome", |evidence| evidence.events[0].outcome.clear());
    caught(Invariant::NoStuck, "a run that never ends", |evidence| evidence.runs[1].state = "running".into());
    caught(Invariant::NoStuck, "an attempt that stays open", |evidence| evidence.attempts[2].state = "running".into());
    caught(Invariant::NoStuck, "a task instance that waits", |evidence| {
        evidence.task_instances[0].state = "scheduled".into();
    });
}

#[test]
fn doctored_runs_are_caught() {
    caught(Invariant::OneRun, "an event that was taken twice", |evidence| {
        let again = Event { id: "f".into(), ..evidence.events[0].clone() };
        evidence.events.push(again);
    });
    caught(Invariant::OneRun, "a run for two events", |evidence| {
        let other = Event { id: "f".into(), key: "1/load/file/y.csv".into(), ..evidence.events[0].clone() };
        evidence.events.push(other);
    });
    caught(Invariant::OneRun, "an event whose run is not there", |evidence| evidence.events[0].run = "3".into());
    caught(Invariant::OneRun, "a trigger_dag that made two runs", |evidence| {
        let again = Run { id: "3".into(), ..evidence.runs[1].clone() };
        evidence.runs.push(again);
    });
    caught(Invariant::OneRun, "a trigger_dag that made none", |evidence| evidence.runs[1].parent = None);
}

#[test]
fn doctored_limits_are_caught() {
    let overlap = |evidence: &mut Evidence| evidence.marks[5].at = 240;
    let only = |rules: Rules| {
        let mut evidence = healthy();
        overlap(&mut evidence);
        findings(&evidence, &Rules { losses: Losses::Expected, ..rules })
    };
    let generous = || Rules { parallelism: 9, ..Rules::default() };
    let expect = |rules: Rules, what: &str| {
        let found = only(rules);
        assert!(found.iter().any(|finding| finding.text.starts_with(what)), "{what}: {found:?}");
    };
    expect(Rules { parallelism: 1, ..Rules::default() }, "parallelism");
    expect(Rules { pools: rules().pools, slots: rules().slots, ..generous() }, "slots of pool narrow");
    expect(Rules { max_active_runs: rules().max_active_runs, ..generous() }, "max_active_runs");
    assert_eq!(only(generous()), Vec::<Finding>::new());
    caught(Invariant::Limits, "two commands of a run at once", |evidence| {
        evidence.marks[5].run_id = "run-1".into();
        evidence.marks[5].task = "other".into();
        evidence.marks[5].at = 240;
    });
}

#[test]
fn doctored_logs_are_caught() {
    caught(Invariant::Fenced, "a turn of a deposed leader", |evidence| evidence.log[5].epoch = 1);
    caught(Invariant::Fenced, "one turn of two leaders", |evidence| evidence.log[6].epoch = 3);
    caught(Invariant::Legal, "a state that can't follow", |evidence| {
        evidence.log[9].changes[0] = "ti 0 -1 queued upstream_failed 1".into();
    });
    caught(Invariant::Replay, "a change that is missing", |evidence| drop(evidence.log.remove(4)));
    caught(Invariant::Replay, "a state that the log does not know", |evidence| {
        evidence.task_instances[2].state = "failed".into();
    });
    caught(Invariant::Replay, "a row that is gone", |evidence| drop(evidence.attempts.remove(0)));
}

#[test]
fn doctored_outcomes_are_caught() {
    caught(Invariant::Truth, "a loss that was not counted", |evidence| evidence.task_instances[0].losses = 0);
    caught(Invariant::Truth, "a second success", |evidence| {
        evidence.attempts[0].outcome = "exited".into();
        evidence.attempts[0].exit_code = "0".into();
    });
    caught(Invariant::Truth, "a success that was none", |evidence| evidence.attempts[2].exit_code = "1".into());
    caught(Invariant::Truth, "the output of another attempt", |evidence| {
        evidence.task_instances[0].output = "a1".into()
    });
    let found = findings(&healthy(), &Rules { losses: Losses::None, ..rules() });
    assert!(found.iter().any(|finding| finding.text.contains("given up")), "{found:?}");
}
