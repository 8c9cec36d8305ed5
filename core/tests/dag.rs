//! Graphs, weights, delays, and the tables of allowed transitions.

mod common;

use std::time::Duration;

use common::{parse_dag, task};
use gridflow_core::{
    AttemptState, Dag, DagError, RunState, Task, TaskNo, TaskState, TryNumber, WeightRule, retry_delay,
};

#[test]
fn a_cycle_is_named_by_its_path() {
    let (dag, _) = parse_dag("a\nb <- a\nc <- b\nd");
    let mut parts = dag.parts().clone();
    parts.tasks[0].upstream.push(TaskNo(2));
    let Err(DagError::Cycle { path }) = Dag::new(parts) else { panic!("it is a cycle") };
    assert_eq!(path.len(), 3);
    assert!([0, 1, 2].iter().all(|no| path.contains(&TaskNo(*no))));
}

#[test]
fn an_upstream_that_does_not_exist_is_refused() {
    let (dag, _) = parse_dag("a");
    let mut parts = dag.parts().clone();
    parts.tasks[0].upstream.push(TaskNo(7));
    let unknown = DagError::UnknownUpstream { task: TaskNo(0), upstream: TaskNo(7) };
    assert_eq!(Dag::new(parts).err(), Some(unknown));
}

#[test]
fn a_task_reached_on_two_paths_counts_once_in_a_weight() {
    assert_eq!(weights(WeightRule::Downstream), [4, 2, 2, 1]);
    assert_eq!(weights(WeightRule::Upstream), [1, 2, 2, 4]);
    assert_eq!(weights(WeightRule::Absolute), [1, 1, 1, 1]);
}

#[test]
fn weights_of_big_dags_add_up_beyond_one_word_of_bits() {
    let chain: String = (0..200).map(|no| format!("t{no} {} ; weight=3\n", upstream(no))).collect();
    let (dag, _) = parse_dag(&chain);
    let mut parts = dag.parts().clone();
    parts.tasks.iter_mut().for_each(|task| task.weight_rule = WeightRule::Downstream);
    let dag = Dag::new(parts).expect("a DAG");
    assert_eq!((dag.priority_weight(TaskNo(0)), dag.priority_weight(TaskNo(199))), (600, 3));
}

#[test]
fn downstreams_are_those_that_name_a_task_as_upstream() {
    let (dag, _) = parse_dag("a\nb <- a\nc <- a, b\nd");
    let downstream = |no| dag.downstream(TaskNo(no)).map(|no| no.0).collect::<Vec<_>>();
    assert_eq!([downstream(0), downstream(1), downstream(2), downstream(3)], [vec![1, 2], vec![2], vec![], vec![]]);
    assert_eq!([0, 1, 2, 3].map(|no| dag.is_leaf(TaskNo(no))), [false, false, true, true]);
}

#[test]
fn a_delay_without_backoff_is_constant() {
    let task = Task { retry_delay: Duration::from_millis(1_500), ..task("a", vec![]) };
    assert!((1..9).all(|number| retry_delay(&task, TryNumber(number), &["d"]) == Duration::from_millis(1_500)));
}

#[test]
fn a_growing_delay_lies_between_its_base_and_twice_that_and_is_the_same_each_time() {
    let task = Task { retry_delay: Duration::from_secs(10), retry_backoff: Some(2.0), ..task("a", vec![]) };
    for number in 1..9 {
        let base = 10 * 2_u64.pow(number - 1);
        let delay = retry_delay(&task, TryNumber(number), &["d", "a"]).as_secs();
        assert!((base..2 * base).contains(&delay), "try {number}: {delay} s, base {base} s");
        assert_eq!(delay, retry_delay(&task, TryNumber(number), &["d", "a"]).as_secs());
    }
}

#[test]
fn a_growing_delay_ends_at_a_day_or_at_the_tasks_own_cap() {
    let long = Task { retry_delay: Duration::from_secs(3_600), retry_backoff: Some(3.0), ..task("a", vec![]) };
    assert_eq!(retry_delay(&long, TryNumber(2_000), &["d"]), Duration::from_secs(86_400));
    let capped = Task { retry_delay_max: Some(Duration::from_secs(60)), ..long };
    assert_eq!(retry_delay(&capped, TryNumber(3), &["d"]), Duration::from_secs(60));
    let nothing = Task { retry_delay: Duration::ZERO, retry_backoff: Some(2.0), ..task("a", vec![]) };
    assert_eq!(retry_delay(&nothing, TryNumber(1), &["d"]), Duration::from_secs(1));
}

#[test]
fn what_is_finished_becomes_nothing_else_and_nothing_becomes_itself() {
    for state in TaskState::ALL {
        let next = TaskState::ALL.into_iter().filter(|to| state.may_become(*to)).collect::<Vec<_>>();
        assert_eq!(next.is_empty(), state.is_finished(), "{}", state.as_str());
        assert!(!next.contains(&state) && !next.contains(&TaskState::NoStatus));
        assert_eq!(TaskState::parse(state.as_str()), Some(state));
    }
    for state in RunState::ALL {
        assert_eq!(RunState::ALL.into_iter().any(|to| state.may_become(to)), !state.is_finished());
    }
    assert!(!AttemptState::ALL.into_iter().any(|to| AttemptState::Closed.may_become(to)));
}

/// Of a diamond.
fn weights(rule: WeightRule) -> Vec<i32> {
    let (dag, _) = parse_dag("a\nb <- a\nc <- a\nd <- b, c");
    let mut parts = dag.parts().clone();
    parts.tasks.iter_mut().for_each(|task| task.weight_rule = rule);
    let dag = Dag::new(parts).expect("a DAG");
    dag.tasks().map(|(no, _)| dag.priority_weight(no)).collect()
}

fn upstream(no: u32) -> String {
    no.checked_sub(1).map_or(String::new(), |before| format!("<- t{before}"))
}
