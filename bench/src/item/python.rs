//! W3: what a Python task costs beyond its interpreter.

use std::{fs, process::Command, time::Duration};

use anyhow::{Context, Result, ensure};

use crate::{
    bare,
    bench::Bench,
    dag,
    line::{Line, Target},
    stats,
};

const TASKS: usize = 40;
const RUNS: usize = 3;
const WITHIN: Duration = Duration::from_secs(120);

pub fn measure(bench: &mut Bench) -> Result<Vec<Line>> {
    let interpreter = interpreter()?;
    let runs = bench.few(RUNS);
    let site = bench.site()?;
    let script = site.folder().join("nothing.py");
    fs::write(&script, "pass\n")?;
    let operator = format!("python: {{code: 'pass', interpreter: '{interpreter}'}}");
    site.add_dag("w3", &dag::chain("", TASKS, &operator))?;
    let mut db = site.db()?;
    let (mut cycles, mut starts) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        bench.progress(&format!("a chain of {TASKS} Python tasks"));
        starts.push(bare::spawn_ms(&[&interpreter, &script.to_string_lossy()], TASKS)?);
        let run = bench.trigger("w3")?;
        db.wait_for_runs("w3", bench.runs_of("w3"), WITHIN)?;
        let spans = db.spans("w3", &run)?;
        ensure!(spans.len() == TASKS, "{} of {TASKS} tasks ended well", spans.len());
        // From end to end: whatever happens between two tasks, and the task.
        cycles.extend(spans.windows(2).map(|pair| (pair[1].ended - pair[0].ended) as f64 / 1e3));
    }
    let median = |values: &[f64]| stats::median(values).context("nothing measured");
    let (cycle, start) = (median(&cycles)?, median(&starts)?);
    let line =
        Line::lower("W3", format!("chain of {TASKS} Python tasks: each beyond its interpreter"), cycle - start, "ms")
            .limit("the interpreter's own start and end", start)
            .target(Target::Absolute(5.0))
            .note(format!("{cycle:.1} ms a task; {}", version(&interpreter)?));
    Ok(vec![line])
}

/// The interpreter itself: what `python3` names may be a script that looks for one.
fn interpreter() -> Result<String> {
    let output = Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output();
    let output = output.context("there is no python3")?;
    let path = String::from_utf8(output.stdout)?.trim().to_owned();
    ensure!(output.status.success() && !path.is_empty(), "python3 does not say where it is");
    Ok(path)
}

/// What goes into the kept figures: a path would tell whose machine it was.
fn version(interpreter: &str) -> Result<String> {
    let output = Command::new(interpreter).arg("--version").output()?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
