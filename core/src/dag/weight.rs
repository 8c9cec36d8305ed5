//! The weight that admission goes by: a task's own and that of all it leads to, or comes from.

use super::{Dag, WeightRule};
use crate::id::TaskNo;

/// Clipped to `i32`, as Airflow does.
///
/// A task reached on two paths counts once, so sums of sums won't do: each task gets the set of the
/// tasks it reaches as bits. For 10,000 tasks that is 12.5 MB for a moment.
pub(super) fn weights_of(dag: &Dag) -> Vec<i32> {
    let mut weights: Vec<i32> = dag.tasks().map(|(_, task)| task.priority_weight).collect();
    let needs = |rule| dag.tasks().any(|(_, task)| task.weight_rule == rule);
    if needs(WeightRule::Downstream) {
        let reached = reached(dag, dag.order.iter().rev().copied(), |no| dag.downstream(no).collect());
        sum_up(dag, WeightRule::Downstream, &reached, &mut weights);
    }
    if needs(WeightRule::Upstream) {
        let reached = reached(dag, dag.order.iter().copied(), |no| dag.upstream(no).collect());
        sum_up(dag, WeightRule::Upstream, &reached, &mut weights);
    }
    weights
}

struct BitRows {
    words: usize,
    bits: Vec<u64>,
}

/// What each task reaches, itself included. Neighbours must come before those that lead to them.
fn reached(dag: &Dag, order: impl Iterator<Item = TaskNo>, neighbours: impl Fn(TaskNo) -> Vec<TaskNo>) -> BitRows {
    let words = dag.task_count().div_ceil(64);
    let mut bits = vec![0_u64; words * dag.task_count()];
    for no in order {
        let own = no.0 as usize;
        bits[own * words + own / 64] |= 1 << (own % 64);
        for neighbour in neighbours(no) {
            let other = neighbour.0 as usize;
            for word in 0..words {
                bits[own * words + word] |= bits[other * words + word];
            }
        }
    }
    BitRows { words, bits }
}

fn sum_up(dag: &Dag, rule: WeightRule, reached: &BitRows, weights: &mut [i32]) {
    let own: Vec<i64> = dag.tasks().map(|(_, task)| i64::from(task.priority_weight)).collect();
    let is_uniform = own.iter().all(|weight| *weight == 1);
    for (no, task) in dag.tasks().filter(|(_, task)| task.weight_rule == rule) {
        let index = no.0 as usize;
        debug_assert_eq!(task.weight_rule, rule);
        let row = &reached.bits[index * reached.words..(index + 1) * reached.words];
        let sum: i64 = if is_uniform {
            row.iter().map(|word| i64::from(word.count_ones())).sum()
        } else {
            row.iter().enumerate().map(|(word, bits)| sum_of_bits(*bits, &own[word * 64..])).sum()
        };
        weights[index] = sum.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32;
    }
}

fn sum_of_bits(mut bits: u64, weights: &[i64]) -> i64 {
    let mut sum = 0;
    while bits != 0 {
        sum += weights[bits.trailing_zeros() as usize];
        bits &= bits - 1;
    }
    sum
}
