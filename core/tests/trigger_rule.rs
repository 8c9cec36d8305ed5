//! Every trigger rule on every small combination of upstream states, against a second opinion that
//! is written from the reference's sentences and looks at states instead of counts.

use gridflow_core::{TaskState, TriggerRule, UpstreamCounts, Verdict, verdict};

/// None: not finished yet.
type Upstream = Option<TaskState>;

const STATES: [Upstream; 6] = [
    None,
    Some(TaskState::Success),
    Some(TaskState::Failed),
    Some(TaskState::Skipped),
    Some(TaskState::UpstreamFailed),
    Some(TaskState::Removed),
];

#[test]
fn every_rule_agrees_with_the_reference_on_all_combinations_of_up_to_four_upstreams() {
    let mut compared = 0;
    for rule in TriggerRule::ALL {
        for upstreams in combinations(4) {
            let expected = oracle(rule, &upstreams);
            assert_eq!(verdict(rule, counts(&upstreams)), expected, "{} on {upstreams:?}", rule.as_str());
            compared += 1;
        }
    }
    assert_eq!(compared, 13 * (1 + 6 + 36 + 216 + 1296));
}

#[test]
fn no_rule_waits_once_all_upstreams_are_done() {
    for rule in TriggerRule::ALL {
        for upstreams in combinations(4).into_iter().filter(|upstreams| upstreams.iter().all(Option::is_some)) {
            assert_ne!(verdict(rule, counts(&upstreams)), Verdict::Wait, "{} on {upstreams:?}", rule.as_str());
        }
    }
}

#[test]
fn a_decision_to_run_early_holds_whatever_the_others_become() {
    // Early skips and failures may differ from what a later look would say (the first one counts);
    // a task that already runs must not be one that would have been failed.
    for rule in [TriggerRule::OneSuccess, TriggerRule::OneFailed, TriggerRule::OneDone, TriggerRule::Always] {
        for upstreams in combinations(3).into_iter().filter(|u| verdict(rule, counts(u)) == Verdict::Run) {
            for later in combinations(3).into_iter().filter(|later| follows(&upstreams, later)) {
                assert_eq!(verdict(rule, counts(&later)), Verdict::Run, "{}: {upstreams:?} {later:?}", rule.as_str());
            }
        }
    }
}

/// The reference's table, sentence by sentence.
fn oracle(rule: TriggerRule, upstreams: &[Upstream]) -> Verdict {
    use TaskState::{Failed, Removed, Skipped, Success, UpstreamFailed};
    let any = |states: &[TaskState]| upstreams.iter().flatten().any(|state| states.contains(state));
    let all = |states: &[TaskState]| upstreams.iter().all(|state| state.is_some_and(|state| states.contains(&state)));
    let done = upstreams.iter().all(Option::is_some);
    if upstreams.is_empty() {
        return Verdict::Run; // "A task with no upstream always passes."
    }
    let first = |cases: &[(bool, Verdict)]| {
        cases.iter().find(|(holds, _)| *holds).map_or(Verdict::Wait, |(_, verdict)| *verdict)
    };
    match rule {
        TriggerRule::AllSuccess => first(&[
            (any(&[Failed, UpstreamFailed]), Verdict::UpstreamFailed),
            (any(&[Skipped]), Verdict::Skip),
            (all(&[Success, Removed]), Verdict::Run),
        ]),
        TriggerRule::AllFailed => {
            first(&[(any(&[Success, Skipped]), Verdict::Skip), (all(&[Failed, UpstreamFailed, Removed]), Verdict::Run)])
        }
        // Without setup tasks the setup rule is the plain one.
        TriggerRule::AllDone | TriggerRule::AllDoneSetupSuccess => first(&[(done, Verdict::Run)]),
        TriggerRule::AllDoneMinOneSuccess => first(&[
            (any(&[Skipped]), Verdict::Skip),
            (done && any(&[Success]), Verdict::Run),
            (done, Verdict::UpstreamFailed),
        ]),
        TriggerRule::OneSuccess => {
            first(&[(any(&[Success]), Verdict::Run), (all(&[Skipped]), Verdict::Skip), (done, Verdict::UpstreamFailed)])
        }
        TriggerRule::OneFailed => first(&[(any(&[Failed, UpstreamFailed]), Verdict::Run), (done, Verdict::Skip)]),
        TriggerRule::OneDone => first(&[(any(&[Success, Failed]), Verdict::Run), (done, Verdict::Skip)]),
        TriggerRule::NoneFailed => first(&[
            (any(&[Failed, UpstreamFailed]), Verdict::UpstreamFailed),
            (all(&[Success, Skipped, Removed]), Verdict::Run),
        ]),
        TriggerRule::NoneFailedMinOneSuccess => first(&[
            (any(&[Failed, UpstreamFailed]), Verdict::UpstreamFailed),
            (all(&[Success, Skipped, Removed]) && any(&[Success]), Verdict::Run),
            // "All skipped → skipped"; removed ones are as good as absent.
            (all(&[Skipped, Removed]), Verdict::Skip),
        ]),
        TriggerRule::NoneSkipped => first(&[(any(&[Skipped]), Verdict::Skip), (done, Verdict::Run)]),
        TriggerRule::AllSkipped => {
            first(&[(any(&[Success, Failed, UpstreamFailed]), Verdict::Skip), (all(&[Skipped, Removed]), Verdict::Run)])
        }
        TriggerRule::Always => Verdict::Run,
    }
}

fn counts(upstreams: &[Upstream]) -> UpstreamCounts {
    let mut counts = UpstreamCounts { total: upstreams.len() as u32, ..UpstreamCounts::default() };
    upstreams.iter().flatten().for_each(|state| counts.add(*state));
    counts
}

/// All lists of states up to this length.
fn combinations(length_max: usize) -> Vec<Vec<Upstream>> {
    let mut all = vec![vec![]];
    let mut longest = vec![vec![]];
    for _ in 0..length_max {
        longest = longest
            .iter()
            .flat_map(|list: &Vec<Upstream>| STATES.iter().map(|state| [list.as_slice(), &[*state]].concat()))
            .collect();
        all.extend(longest.iter().cloned());
    }
    all
}

/// Whether the second can come after the first: finished states stay.
fn follows(before: &[Upstream], after: &[Upstream]) -> bool {
    before.len() == after.len() && before.iter().zip(after).all(|(before, after)| before.is_none() || before == after)
}
