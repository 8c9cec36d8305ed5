//! Any text as a template: it is refused when the file is loaded, or renders, or says why not.
#![no_main]

use gridflow_core::{DataInterval, RunType, Timestamp};
use gridflow_dag_spec::{Context, NoFiles, RunContext, TaskInstanceContext, compile};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

fuzz_target!(|text: &str| {
    // JSON's quotes are YAML's.
    let quoted = Value::from(text).to_string();
    let file = format!(
        "params: {{x: {{type: string, default: a}}}}\ntasks:\n  up: {{exec: [\"true\"]}}\n  t:\n    needs: up\n    exec: [{quoted}]\n    env: {{V: {quoted}}}\n"
    );
    let Some(dag) = compile("fuzz.yaml", file.as_bytes(), &NoFiles).dag else { return };
    let conf = json!({});
    let Ok(params) = dag.params(&conf) else { return };
    let at: Timestamp = "2025-03-30T01:30:00Z".parse().expect("a constant");
    let context = Context {
        run: RunContext {
            run_id: "manual__2025-03-30T01:30:00+00:00",
            run_type: RunType::Manual,
            logical_date: Some(at),
            data_interval: Some(DataInterval { start: at, end: at }),
            run_after: at,
            start_date: None,
            conf: &conf,
        },
        ti: TaskInstanceContext { try_number: 1, map_index: -1, attempt_id: "0194b5c1", start_date: at },
        params: &params,
        trigger: None,
        outputs: &|_| Some(json!({"rows": 7, "names": ["a", "ü"], "none": null})),
        variables: &|_| Some("value".to_owned()),
    };
    let task = dag.dag.task_no("t").expect("it is in the file");
    let _ = dag.render(task, &context);
});
