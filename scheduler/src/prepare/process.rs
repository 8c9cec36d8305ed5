//! A command of this machine.

use std::{collections::BTreeMap, path::Path};

use gridflow_core::Turn;
use gridflow_dag_spec::Rendered;
use gridflow_executor::local::Launch;
use serde_json::Value;

use super::{Files, Ground, OPERATOR_SPEC_FILE, Try, context_file, hash::Hash, nothing_to_launch, render, traceparent};

pub(super) fn launch(ground: &Ground<'_>, which: Try, turn: Turn) -> Result<Launch, String> {
    let Ground { compiled, facts, .. } = ground;
    let task = compiled.dag.task(which.task_no);
    let settings = &compiled.settings[which.task_no.0 as usize];
    let (argv, env, files) = match render(ground, which)? {
        Rendered::Command { argv, env, files } => (argv, env, files),
        Rendered::Operator { name, spec, env } => {
            let (argv, files) = operator(ground.program, name, &spec);
            (argv, env, files)
        }
        Rendered::Pod { .. } | Rendered::Spark(_) | Rendered::TriggerDag(_) | Rendered::Empty => {
            return Err(nothing_to_launch(task));
        }
    };
    let env: BTreeMap<String, String> = env.into_iter().collect();
    let run = &facts.run;
    let hash = Hash::default().part(task.id.as_str().as_bytes()).count(argv.len());
    let hash = argv.iter().fold(hash, |hash, arg| hash.part(arg.as_bytes()));
    let hash = env.iter().fold(hash, |hash, (name, value)| hash.part(name.as_bytes()).part(value.as_bytes()));
    let spec_hash = hash.files(&files).finish();
    Ok(Launch {
        attempt: which.attempt,
        run: run.key,
        dag_id: run.dag.clone(),
        task_id: task.id.clone(),
        run_id: run.run_id.clone(),
        map_index: which.map_index,
        try_number: which.number,
        logical_date: run.logical_date.map(|date| date.to_rfc3339()),
        owner: compiled.owner.clone().unwrap_or_default(),
        turn,
        spec_hash,
        argv,
        env,
        files,
        context: context_file(ground, task, which),
        execution_timeout: task.execution_timeout,
        grace: settings.grace,
        run_as: settings.run_as.clone(),
        traceparent: Some(traceparent(facts, which.attempt)),
    })
}

/// An operator is our own program, started by the host like any command: its arguments and files.
fn operator(program: &Path, name: &str, spec: &Value) -> (Vec<String>, Files) {
    let program = program.to_string_lossy().into_owned();
    let argv = vec![program, "operator".into(), name.into(), OPERATOR_SPEC_FILE.into()];
    (argv, vec![(OPERATOR_SPEC_FILE.into(), spec.to_string().into_bytes().into())])
}
