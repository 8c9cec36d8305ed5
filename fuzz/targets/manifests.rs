//! Any text as a manifest beside a DAG, and as a clusters file: it is refused when it is loaded, or renders, or says why not.
#![no_main]

use std::{collections::BTreeMap, sync::Arc};

use gridflow_core::{RunType, Timestamp};
use gridflow_dag_spec::{Context, RunContext, TaskInstanceContext, clusters, compile, render_text};
use libfuzzer_sys::fuzz_target;
use serde_json::json;

fuzz_target!(|text: &str| {
    if let Err(diagnostics) = clusters::read("clusters.yaml", text) {
        assert!(!render_text(&diagnostics).is_empty());
    }
    let files = BTreeMap::from([("a.yaml".to_owned(), Arc::<[u8]>::from(text.as_bytes()))]);
    for operator in ["pod", "spark"] {
        let yaml = format!("params: {{x: a}}\ntasks: {{t: {{{operator}: {{template_file: a.yaml}}}}}}");
        let Some(dag) = compile("fuzz.yaml", yaml.as_bytes(), &files).dag else { continue };
        let conf = json!({});
        let Ok(params) = dag.params(&conf) else { continue };
        let at: Timestamp = "2025-03-30T01:30:00Z".parse().expect("a constant");
        let context = Context {
            run: RunContext {
                run_id: "manual__2025-03-30T01:30:00+00:00",
                run_type: RunType::Manual,
                logical_date: Some(at),
                data_interval: None,
                run_after: at,
                start_date: None,
                conf: &conf,
            },
            ti: TaskInstanceContext { try_number: 1, map_index: -1, attempt_id: "0194b5c1", start_date: at },
            params: &params,
            trigger: None,
            outputs: &|_| None,
            variables: &|_| Some("value".to_owned()),
        };
        let task = dag.dag.task_no("t").expect("it is in the file");
        let _ = dag.render(task, &context);
        let _ = dag.render_pod(task, &context);
    }
});
