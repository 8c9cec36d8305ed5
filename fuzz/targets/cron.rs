//! Any text as a schedule: it is refused, or its ticks go forward and come within their bounds.
#![no_main]

use gridflow_core::{ScheduleCursor, Timestamp};
use gridflow_dag_spec::{NoFiles, compile};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

const ZONES: [&str; 4] = ["UTC", "Europe/Berlin", "America/St_Johns", "Pacific/Apia"];

fuzz_target!(|input: (u32, u8, bool, bool, &str)| {
    let (seconds, zone, catchup, has_start, schedule) = input;
    let zone = ZONES[zone as usize % ZONES.len()];
    let start = if has_start { "start_date: 2024-02-29\n" } else { "" };
    let schedule = Value::from(schedule).to_string();
    let file = format!(
        "schedule: {schedule}\ntimezone: {zone}\ncatchup: {catchup}\n{start}tasks:\n  t: {{exec: [\"true\"]}}\n"
    );
    let Some(dag) = compile("fuzz.yaml", file.as_bytes(), &NoFiles).dag else { return };
    let timetable = dag.dag.timetable();
    let now = Timestamp::from_timestamp(i64::from(seconds), 0).expect("within the calendar");
    let mut cursor = timetable.begin(ScheduleCursor::default(), now);
    for _ in 0..20 {
        let Some(tick) = timetable.next(cursor, now) else { return };
        assert!(cursor.last < Some(tick.run_after), "{schedule} {zone}: {:?} after {cursor:?}", tick.run_after);
        assert!(tick.data_interval.start <= tick.data_interval.end, "{schedule} {zone}: {tick:?}");
        cursor = ScheduleCursor { last: Some(tick.run_after) };
    }
});
