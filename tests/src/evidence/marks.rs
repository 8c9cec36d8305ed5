//! What a command writes down about itself.

use std::path::Path;

use anyhow::{Context, Result};

/// A library of bash: whoever reads it has written down its start, and writes down its end, however it ends (but for
/// `kill -9`). `$MARKS` names the file; a line is written whole. In a pod, `$POD_UID` tells which.
pub const LIBRARY: &str = r#"
mark() {
  printf '%s %s %s %s %s %s %s %s %s\n' "$1" "$GRIDFLOW_ATTEMPT_ID" "$GRIDFLOW_DAG_ID" "$GRIDFLOW_RUN_ID" \
    "$GRIDFLOW_TASK_ID" "$GRIDFLOW_TRY_NUMBER" "$BASHPID" "${EPOCHREALTIME/[.,]/}" "${POD_UID:--}" >> "$MARKS"
}
# A process of the attempt that leaves its session and takes its time.
leave_behind() {
  setsid bash -c '. "$LIBRARY" child; sleep "$1"' bash "$1" &
}
trap 'exit 143' TERM
trap "mark ${1:-command}-end" EXIT
mark "${1:-command}-start"
"#;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MarkKind {
    Start,
    End,
    /// Of a process that the command left behind.
    ChildStart,
    ChildEnd,
}

/// One line.
#[derive(Debug, Clone)]
pub struct Mark {
    pub kind: MarkKind,
    pub attempt: String,
    pub dag: String,
    pub run_id: String,
    pub task: String,
    pub pid: String,
    pub at: i64,
    /// The uid of the pod that it ran in; empty for a process of this machine.
    pub pod: String,
}

/// How many commands have begun and neither ended nor been killed with everything else.
pub(crate) fn running(path: &Path) -> Result<usize> {
    let (marks, killed_at) = read(path)?;
    let last = killed_at.into_iter().max().unwrap_or(i64::MIN);
    let since = |kind| marks.iter().filter(|mark| mark.kind == kind && last < mark.at).count();
    Ok(since(MarkKind::Start).saturating_sub(since(MarkKind::End)))
}

/// All marks, and the instants when everything was killed.
pub(super) fn read(path: &Path) -> Result<(Vec<Mark>, Vec<i64>)> {
    let text = match std::fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        text => text.context("reading what the commands wrote")?,
    };
    let (mut marks, mut killed_at) = (Vec::new(), Vec::new());
    for line in text.lines() {
        match line.strip_prefix("killed ") {
            Some(at) => killed_at.push(at.parse().context("when everything was killed")?),
            None => marks.push(parse(line).with_context(|| format!("reading the mark `{line}`"))?),
        }
    }
    Ok((marks, killed_at))
}

fn parse(line: &str) -> Option<Mark> {
    let [kind, attempt, dag, run_id, task, _try, pid, at, pod] = line.split(' ').collect::<Vec<_>>().try_into().ok()?;
    let kind = match kind {
        "command-start" => MarkKind::Start,
        "command-end" => MarkKind::End,
        "child-start" => MarkKind::ChildStart,
        "child-end" => MarkKind::ChildEnd,
        _ => return None,
    };
    let text = str::to_owned;
    Some(Mark {
        kind,
        attempt: text(attempt),
        dag: text(dag),
        run_id: text(run_id),
        task: text(task),
        pid: text(pid),
        at: at.parse().ok()?,
        pod: text(pod.trim_start_matches('-')),
    })
}
