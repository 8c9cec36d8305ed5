//! W8: from a request to the first process.

use std::{
    collections::HashMap,
    thread,
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context, Result, ensure};

use crate::{
    bare,
    bench::Bench,
    db::{Db, Micros},
    line::{Line, Target},
    stats,
};

const TIMES: usize = 200;
const WITHIN: Duration = Duration::from_secs(60);
/// Between two requests, in milliseconds: long enough for everything to fall asleep.
const PAUSES_MS: std::ops::Range<u64> = 20..150;

/// Two commits and a process, on the machine that the targets are for: 2 × 0.6 ms + 0.5 ms.
const FOOTING_MS: f64 = 1.7;

pub fn measure(bench: &mut Bench) -> Result<Vec<Line>> {
    let times = if bench.is_quick() { TIMES / 4 } else { TIMES };
    let site = bench.site()?;
    site.add_dag("w8", "max_active_runs: 100\ntasks:\n  first: {exec: ['true']}\n")?;
    let (mut api, mut db, mut own) = (site.api()?, site.db()?, bare::database(&site.state_dir())?);
    bench.progress(&format!("{times} triggers with random pauses, and as many bare ones"));
    let prefix = bench.run_name();
    let mut pauses = Pauses(0x9e37_79b9_7f4a_7c15);
    let (mut sent, mut bare_ms) = (HashMap::new(), Vec::new());
    for number in 0..times {
        pauses.rest();
        let run = format!("{prefix}_{number}");
        sent.insert(run.clone(), now());
        api.trigger("w8", &run)?;
        // In turn, so that both meet the same machine.
        pauses.rest();
        bare_ms.push(bare_footing_ms(&mut own)?);
    }
    bench.count_runs("w8", times);
    db.wait_for_runs("w8", bench.runs_of("w8"), WITHIN)?;
    let starts = db.first_starts("w8")?;
    let latency = |(run, started): &(String, Micros)| Some((*started - sent.get(run)?) as f64 / 1e3);
    let latencies: Vec<f64> = starts.iter().filter_map(latency).collect();
    ensure!(latencies.len() == times, "{} of {times} runs have started", latencies.len());
    let line = |percent: f64, bound: f64| -> Result<Line> {
        let figure = |values: &[f64]| stats::percentile(values, percent).context("nothing measured");
        // Both targets are on the footing of an ordinary commit and process, not of an unlucky one.
        let footing = stats::median(&bare_ms).context("nothing measured")?;
        Ok(Line::lower("W8", format!("API trigger → first process, p{percent:.0}"), figure(&latencies)?, "ms")
            .limit("2 bare commits + 1 bare spawn, p50", footing)
            .target(Target::Footing { bound, footing: FOOTING_MS })
            .note(format!("{times} triggers; the bare p{percent:.0} is {:.2} ms", figure(&bare_ms)?)))
    };
    Ok(vec![line(50.0, 5.0)?, line(99.0, 20.0)?])
}

/// Two commits and the way to a process, whose end does not count.
fn bare_footing_ms(db: &mut Db) -> Result<f64> {
    let began = Instant::now();
    bare::commit(db)?;
    bare::commit(db)?;
    let commits = began.elapsed();
    let spawn = bare::spawn_times(&["true"], 1)?;
    Ok((commits + spawn.iter().sum::<Duration>()).as_secs_f64() * 1e3)
}

fn now() -> Micros {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("the clock is past 1970");
    since.as_micros() as Micros
}

/// The same pauses in every run.
struct Pauses(u64);

impl Pauses {
    fn rest(&mut self) {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let span = PAUSES_MS.end - PAUSES_MS.start;
        thread::sleep(Duration::from_millis(PAUSES_MS.start + (self.0 >> 33) % span));
    }
}
