//! A pod.

use gridflow_core::Turn;
use gridflow_dag_spec::{PodLayers, Rendered};
use gridflow_executor::{
    identity::Identity,
    kubernetes::{
        Launch, Object,
        manifest::{self, ClusterDefaults, PodRequest, Process, TASK_CONTAINER, Wrap},
    },
};
use serde_json::{Value, json};

use super::{
    Files, Ground, OPERATOR_SPEC_FILE, Try, context_file, hash::Hash, nothing_to_launch, render, traceparent,
    with_context,
};
use crate::Cluster;

/// Gridflow's program in its own image.
const PROGRAM: &str = "gridflow";

pub(super) fn launch(ground: &Ground<'_>, which: Try, turn: Turn) -> Result<Launch, String> {
    let Ground { compiled, facts, .. } = ground;
    let (task, run) = (compiled.dag.task(which.task_no), &facts.run);
    let layers = with_context(ground, which, |context| compiled.render_pod(which.task_no, context))?;
    let (cluster, namespace) = place(ground.clusters, &layers)?;
    let (argv, env, files): (_, _, Files) = match render(ground, which)? {
        Rendered::Command { argv, env, files } => (Command::Task(argv), env, files),
        Rendered::Operator { name, spec, env } => {
            let argv = [PROGRAM, "operator", name, OPERATOR_SPEC_FILE].map(str::to_owned).to_vec();
            (Command::Own(argv), env, vec![(OPERATOR_SPEC_FILE.into(), spec.to_string().into_bytes().into())])
        }
        Rendered::Pod { env, files } => (Command::OfImage, env, files),
        Rendered::Spark(_) | Rendered::TriggerDag(_) | Rendered::Empty => return Err(nothing_to_launch(task)),
    };
    let logical_date = run.logical_date.map(|date| date.to_rfc3339());
    let traceparent = traceparent(facts, which.attempt);
    let grace = compiled.settings[which.task_no.0 as usize].grace;
    let request = PodRequest {
        identity: Identity {
            attempt: which.attempt,
            dag_id: &run.dag,
            task_id: &task.id,
            run_id: &run.run_id,
            map_index: which.map_index,
            try_number: which.number,
            logical_date: logical_date.as_deref(),
            owner: compiled.owner.as_deref().unwrap_or_default(),
            traceparent: Some(&traceparent),
        },
        cluster: ClusterDefaults {
            image: cluster.image.as_deref(),
            task_image: cluster.task_image.as_deref(),
            service_account: cluster.service_account.as_deref(),
            pod: cluster.pod.as_ref(),
        },
        namespace,
        process: match &argv {
            Command::Task(argv) => Process::Command(argv),
            Command::Own(argv) => Process::Operator(argv),
            Command::OfImage if layers.is_wrapped => Process::Image { wrap: Wrap::WhereThereIsACommand },
            Command::OfImage => Process::Image { wrap: Wrap::Never },
        },
        layers: &layers.layers,
        json_patch: layers.json_patch.as_ref(),
        env: &env,
        files: &files,
        context: &context_file(ground, task, which),
        grace,
    };
    let made = manifest::pod(&request).map_err(|error| crate::chain(&error))?;
    let payload_files = made.payload.as_ref().map(|payload| payload.files.as_slice()).unwrap_or_default();
    let spec_hash = Hash::default().part(made.pod.to_string().as_bytes()).files(payload_files).finish();
    let object = Object::Pod(named_for_people(made.pod, &request.identity));
    Ok(Launch {
        attempt: which.attempt,
        run: run.key,
        turn,
        spec_hash,
        cluster: cluster.reach.name.clone(),
        namespace: namespace.into(),
        object,
        payload: made.payload,
        container: TASK_CONTAINER.into(),
        execution_timeout: task.execution_timeout,
        grace,
    })
}

/// Whose command runs.
enum Command {
    Task(Vec<String>),
    Own(Vec<String>),
    OfImage,
}

/// The cluster and the namespace that the layers ask for, if this scheduler serves them.
fn place<'a>(clusters: &'a [Cluster], layers: &'a PodLayers) -> Result<(&'a Cluster, &'a str), String> {
    let Some(default) = clusters.first() else {
        return Err(
            "it needs a Kubernetes cluster, and none is configured: start Gridflow with `--kubernetes FILE`".into()
        );
    };
    let names = |names: Vec<&str>| names.join("`, `");
    let cluster = match layers.cluster.as_deref() {
        None => default,
        Some(wanted) => clusters.iter().find(|cluster| *cluster.reach.name == *wanted).ok_or_else(|| {
            let known = names(clusters.iter().map(|cluster| &*cluster.reach.name).collect());
            format!("there is no cluster `{wanted}` in the clusters file; it has `{known}`")
        })?,
    };
    let served = &cluster.reach.namespaces;
    let namespace = match layers.namespace.as_deref() {
        None => served.first().map(|namespace| &**namespace),
        Some(wanted) => served.iter().map(|namespace| &**namespace).find(|namespace| *namespace == wanted),
    };
    let namespace = namespace.ok_or_else(|| {
        let (name, served) = (&cluster.reach.name, names(served.iter().map(|namespace| &**namespace).collect()));
        let wanted = layers.namespace.as_deref().unwrap_or_default();
        format!("the namespace `{wanted}` is not served: the clusters file lists `{served}` for the cluster `{name}`")
    })?;
    Ok((cluster, namespace))
}

/// Labels that people select by where they can be such, and the whole names as annotations.
fn named_for_people(mut pod: Value, identity: &Identity<'_>) -> Value {
    let names =
        [("dag", identity.dag_id.as_str()), ("task", identity.task_id.as_str()), ("run-id", identity.run_id.as_str())];
    let metadata = &mut pod["metadata"];
    for (key, name) in names {
        if is_label_value(name) {
            metadata["labels"][format!("gridflow.io/{key}")] = name.into();
        }
        metadata["annotations"][format!("gridflow.io/{key}")] = name.into();
    }
    metadata["annotations"]["gridflow.io/try-number"] = json!(identity.try_number.0.to_string());
    pod
}

fn is_label_value(text: &str) -> bool {
    let is_inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let has_ends = |test: fn(&char) -> bool| {
        text.chars().next().as_ref().is_some_and(test) && text.chars().last().as_ref().is_some_and(test)
    };
    text.len() <= 63 && text.chars().all(is_inner) && has_ends(char::is_ascii_alphanumeric)
}
