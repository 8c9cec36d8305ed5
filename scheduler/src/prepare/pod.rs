//! A pod.

use gridflow_core::Turn;
use gridflow_dag_spec::Rendered;
use gridflow_executor::kubernetes::{
    Launch, Object,
    manifest::{self, PodRequest, Process, TASK_CONTAINER, Wrap},
};

use super::{
    Files, Ground, OPERATOR_SPEC_FILE, Try, context_file,
    hash::Hash,
    nothing_to_launch,
    outside::{Texts, defaults, named_for_people, place},
    render, with_context,
};

/// Gridflow's program in its own image.
const PROGRAM: &str = "gridflow";

pub(super) fn launch(ground: &Ground<'_>, which: Try, turn: Turn) -> Result<Launch, String> {
    let Ground { compiled, facts, .. } = ground;
    let (task, run) = (compiled.dag.task(which.task_no), &facts.run);
    let layers = with_context(ground, which, |context| compiled.render_pod(which.task_no, context))?;
    let wanted = (layers.cluster.as_deref(), layers.namespace.as_deref());
    let (cluster, namespace) = place(ground.clusters, wanted)?;
    let (argv, env, files): (_, _, Files) = match render(ground, which)? {
        Rendered::Command { argv, env, files } => (Command::Task(argv), env, files),
        Rendered::Operator { name, spec, env } => {
            let argv = [PROGRAM, "operator", name, OPERATOR_SPEC_FILE].map(str::to_owned).to_vec();
            (Command::Own(argv), env, vec![(OPERATOR_SPEC_FILE.into(), spec.to_string().into_bytes().into())])
        }
        Rendered::Pod { env, files } => (Command::OfImage, env, files),
        Rendered::Spark(_) | Rendered::TriggerDag(_) | Rendered::Empty => return Err(nothing_to_launch(task)),
    };
    let texts = Texts::of(ground, which);
    let grace = compiled.settings[which.task_no.0 as usize].grace;
    let request = PodRequest {
        identity: texts.identity(ground, which),
        cluster: defaults(cluster),
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
