//! Whether what should be flat is flat: the last quarter beside the second one. The first is for warming up.

use crate::sample::Sample;

/// Growth from the second to the last quarter that is none: what a machine with other work on it shows anyway.
const MEMORY_GROWTH_MAX: f64 = 1.15;
const LATENCY_GROWTH_MAX: f64 = 1.5;
const BOUNDED_GROWTH_MAX: f64 = 1.5;
/// Differences below these are noise whatever the ratio.
const MEMORY_NOISE: f64 = 4e6;
const LATENCY_NOISE_MS: f64 = 50.0;
const BOUNDED_NOISE: f64 = 1e6;
/// Of what is asked for, that much must be done.
const DONE_MIN: f64 = 0.95;

/// One line each; true if all is well.
pub fn verdict(samples: &[Sample], tasks_per_second_asked: f64) -> bool {
    let quarter = samples.len() / 4;
    let (second, last) = (&samples[quarter..2 * quarter], &samples[samples.len() - quarter..]);
    let is_flat = |what: &str, growth_max: f64, noise: f64, value: fn(&Sample) -> f64| {
        let (before, after) = (median(second, value), median(last, value));
        let is_flat = after <= before * growth_max || after <= before + noise;
        let mark = if is_flat { "flat" } else { "GROWS" };
        println!("{what:<18} {before:>14.0} → {after:>14.0}  {mark}");
        is_flat
    };
    let done = median(last, |sample| sample.tasks_per_second) / tasks_per_second_asked;
    let is_done = DONE_MIN <= done;
    println!("done of what was asked for: {:.0} %  {}", 100.0 * done, if is_done { "all" } else { "FALLS BEHIND" });
    [
        is_done,
        is_flat("scheduler, bytes", MEMORY_GROWTH_MAX, MEMORY_NOISE, |sample| sample.scheduler_bytes as f64),
        is_flat("host, bytes", MEMORY_GROWTH_MAX, MEMORY_NOISE, |sample| sample.host_bytes as f64),
        is_flat("run p50, ms", LATENCY_GROWTH_MAX, LATENCY_NOISE_MS, |sample| sample.latency_p50_ms),
        is_flat("run p99, ms", 2.0 * LATENCY_GROWTH_MAX, LATENCY_NOISE_MS, |sample| sample.latency_p99_ms),
        is_flat("inbox, bytes", BOUNDED_GROWTH_MAX, BOUNDED_NOISE, |sample| sample.bounded_bytes as f64),
        is_flat("history, B/task", BOUNDED_GROWTH_MAX, 0.0, |sample| sample.history_bytes_per_task),
    ]
    .iter()
    .all(|is_well| *is_well)
}

fn median(samples: &[Sample], value: fn(&Sample) -> f64) -> f64 {
    let mut values: Vec<f64> = samples.iter().map(value).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}
