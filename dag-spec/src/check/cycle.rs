//! Cycles of `needs`.

use super::FlatTask;
use crate::{code::Code, read::Cx};

#[derive(Clone, Copy, PartialEq)]
enum Mark {
    New,
    Open,
    Done,
}

/// Reports each cycle once, by its whole path. Without one, returns the tasks with upstreams first.
pub fn check(tasks: &[FlatTask], cx: &mut Cx<'_>) -> Option<Vec<usize>> {
    let mut marks = vec![Mark::New; tasks.len()];
    let mut order = Vec::with_capacity(tasks.len());
    let mut reported = vec![false; tasks.len()];
    let mut has_cycle = false;
    for start in 0..tasks.len() {
        if marks[start] != Mark::New {
            continue;
        }
        // A depth-first walk along `needs`, by hand: a chain of ten thousand tasks is no reason to
        // overflow a stack.
        let mut path: Vec<(usize, usize)> = vec![(start, 0)];
        marks[start] = Mark::Open;
        while let Some((task, next)) = path.last_mut() {
            let task = *task;
            let Some((upstream, span)) = tasks[task].upstream.get(*next) else {
                marks[task] = Mark::Done;
                order.push(task);
                path.pop();
                continue;
            };
            *next += 1;
            match marks[*upstream] {
                Mark::Done => {}
                Mark::New => {
                    marks[*upstream] = Mark::Open;
                    path.push((*upstream, 0));
                }
                Mark::Open => {
                    has_cycle = true;
                    let from = path.iter().position(|(task, _)| task == upstream).unwrap_or(0);
                    let cycle: Vec<usize> = path[from..].iter().map(|(task, _)| *task).collect();
                    if !cycle.iter().any(|task| reported[*task]) {
                        let names = cycle
                            .iter()
                            .chain([upstream])
                            .map(|task| format!("`{}`", tasks[*task].id))
                            .collect::<Vec<_>>();
                        cx.report(
                            Code::Cycle,
                            *span,
                            format!("tasks need each other in a circle: {}", names.join(" → ")),
                        )
                        .help = Some("each task needs the one behind its arrow; remove one of these `needs`".into());
                    }
                    cycle.iter().for_each(|task| reported[*task] = true);
                }
            }
        }
    }
    (!has_cycle).then_some(order)
}
