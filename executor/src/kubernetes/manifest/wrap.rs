//! The task's command below `gridflow-pod`, with an init step that lays out its files.
//!
//! ```text
//! gridflow-init  (Gridflow's image)  Secret ─▶ emptyDir: work/…, bin/gridflow-pod
//! task           (the task's image)  bin/gridflow-pod run -- COMMAND
//! ```

use std::sync::Arc;

use gridflow_core::AttemptId;
use gridflow_pod::{layout, payload};
use serde_json::{Map, Value, json};

use super::{
    ManifestError, Payload, PodRequest, Process, TASK_CONTAINER, Wrap, container_mut, expansion::literal, list_mut,
    shape, strategic,
};
use crate::kubernetes::identity;

/// The init step. Layers may add to it by this name: resources, a security context.
pub const INIT_CONTAINER: &str = "gridflow-init";
const VOLUME: &str = "gridflow";
const PAYLOAD_VOLUME: &str = "gridflow-payload";

/// Room that is left for the termination messages of containers that the cluster itself adds to pods.
const FOREIGN_CONTAINERS: usize = 3;

/// What is known before the JSON patch: the image of operators, the command, and the task's `env:`.
pub(super) fn set_process(pod: &mut Value, request: &PodRequest<'_>) -> Result<(), ManifestError> {
    let Some(task) = container_mut(pod, TASK_CONTAINER) else {
        return Err(ManifestError::unfit(
            "spec.containers",
            "there is no container `task`: the task's container has that name",
        ));
    };
    match request.process {
        Process::Command(argv) => set_command(task, argv),
        Process::Operator(argv) => {
            let purpose = "operators of Gridflow's own run in it";
            task["image"] = request.cluster.image.ok_or(ManifestError::NoOwnImage { purpose })?.into();
            set_command(task, argv);
        }
        Process::Image { .. } => {}
    }
    if task["image"].as_str().is_none_or(str::is_empty) {
        return Err(ManifestError::NoImage);
    }
    for (name, value) in request.env {
        set_variable(task, name, literal(value)).ok_or_else(env_is_no_list)?;
    }
    Ok(())
}

/// Wraps the task's container where there is a command to wrap, and tells it who it is.
pub(super) fn wrap(pod: &mut Value, request: &PodRequest<'_>) -> Result<Option<Payload>, ManifestError> {
    let containers = ["containers", "initContainers"].map(|list| pod["spec"][list].as_array().map_or(0, Vec::len));
    let task = container_mut(pod, TASK_CONTAINER).expect("the pod was checked to have it");
    let command = match request.process {
        Process::Command(_) | Process::Operator(_) | Process::Image { wrap: Wrap::WhereThereIsACommand } => {
            whole_command(task)
        }
        Process::Image { wrap: Wrap::Never } => None,
    };
    let message_path = task["terminationMessagePath"].as_str().unwrap_or(layout::TERMINATION_MESSAGE).to_owned();
    // What the end of a log says is no output, even if it reads as one.
    task["terminationMessagePolicy"] = "File".into();
    let mut env: Vec<(&str, String)> = request.identity.variables();
    if command.is_some() || !request.files.is_empty() {
        env.push(("GRIDFLOW_CONTEXT", format!("{}/{}", layout::WORK, layout::CONTEXT_FILE)));
    }
    match &command {
        Some(_) => env.push(("GRIDFLOW_OUTPUT", format!("{}/{}", layout::WORK, layout::OUTPUT_FILE))),
        // Whatever the image runs can leave a small output by itself.
        None => env.push(("GRIDFLOW_OUTPUT", message_path.clone())),
    }
    promise(task, env).ok_or_else(env_is_no_list)?;
    if let Some(command) = &command {
        let count = containers.iter().sum::<usize>() + 1;
        task["command"] = line(command, &message_path, count, Codes::OfTheCommand).into();
        task.as_object_mut().map(|task| task.remove("args"));
    }
    if command.is_none() && request.files.is_empty() {
        return Ok(None);
    }
    lay_out(pod, TASK_CONTAINER, request.cluster.image, request.identity.attempt)?;
    Ok(Some(pack(request.files, request.context)?))
}

/// The files of the attempt's Secret come to a container, by way of an init step in Gridflow's own image.
pub(super) fn lay_out(
    pod: &mut Value,
    container: &str,
    image: Option<&str>,
    attempt: AttemptId,
) -> Result<(), ManifestError> {
    let purpose = "the init step of every pod with files or a command runs in it";
    let image = image.ok_or(ManifestError::NoOwnImage { purpose })?;
    let container = container_mut(pod, container).expect("the pod was checked to have it");
    mount(container, VOLUME, layout::ROOT)?;
    let init = init_step(image, container);
    add_init_step(pod, init, attempt)
}

/// What an exit code above 128 of a wrapped command says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codes {
    /// Nothing but itself: a signal that ends the command is seen.
    OfTheCommand,
    /// Which signal has ended what ran below it, as small programs for PID 1 tell it.
    OrOfItsSignal,
}

/// `gridflow-pod run -- COMMAND`, in a pod with so many containers.
pub(super) fn line(command: &[Value], message_path: &str, containers: usize, codes: Codes) -> Vec<Value> {
    let mut line: Vec<Value> = vec![layout::PROGRAM.into(), "run".into()];
    if message_path != layout::TERMINATION_MESSAGE {
        line.extend(["--message".into(), message_path.into()]);
    }
    if codes == Codes::OrOfItsSignal {
        line.push("--codes-tell-signals".into());
    }
    line.extend(["--message-max".into(), message_bytes_max(containers).to_string().into(), "--".into()]);
    line.extend(command.iter().cloned());
    line
}

/// Of a pod with so many containers: each has an equal share of what the kubelet keeps.
fn message_bytes_max(containers: usize) -> usize {
    layout::MESSAGE_BYTES_MAX.min(layout::MESSAGES_BYTES_MAX / (containers + FOREIGN_CONTAINERS))
}

fn set_command(task: &mut Value, argv: &[String]) {
    task["command"] = argv.iter().map(|arg| literal(arg)).collect();
    task["workingDir"] = layout::WORK.into();
    task.as_object_mut().map(|task| task.remove("args"));
}

/// `None` if it is the image's own.
fn whole_command(task: &Value) -> Option<Vec<Value>> {
    let command = task["command"].as_array().filter(|command| !command.is_empty())?;
    Some(command.iter().chain(task["args"].as_array().into_iter().flatten()).cloned().collect())
}

fn env_is_no_list() -> ManifestError {
    ManifestError::unfit(format!("spec.containers[{TASK_CONTAINER}].env"), "a list is needed")
}

/// In front, so that the layers' own variables can refer to them; and nothing else may have these names.
fn promise(task: &mut Value, promised: Vec<(&str, String)>) -> Option<()> {
    let env = list_mut(task, "env")?;
    env.retain(|variable| promised.iter().all(|(name, _)| variable["name"] != *name));
    let promised = promised.into_iter().map(|(name, value)| json!({ "name": name, "value": literal(&value) }));
    env.splice(0..0, promised);
    Some(())
}

fn set_variable(task: &mut Value, name: &str, value: String) -> Option<()> {
    let env = list_mut(task, "env")?;
    let variable = json!({ "name": name, "value": value });
    match env.iter_mut().find(|other| other["name"] == name) {
        Some(other) => *other = variable,
        None => env.push(variable),
    }
    Some(())
}

fn mount(container: &mut Value, volume: &str, path: &str) -> Result<(), ManifestError> {
    let name = container["name"].as_str().unwrap_or_default().to_owned();
    let at = || format!("spec.containers[{name}].volumeMounts");
    let mounts = list_mut(container, "volumeMounts").ok_or_else(|| ManifestError::unfit(at(), "a list is needed"))?;
    let is_taken = |other: &Value| other["mountPath"].as_str().is_some_and(|it| it.trim_end_matches('/') == path);
    if mounts.iter().any(is_taken) {
        return Err(ManifestError::unfit(at(), format!("`{path}` is where the task's files are: mount it elsewhere")));
    }
    mounts.push(json!({ "name": volume, "mountPath": path }));
    Ok(())
}

fn add_init_step(pod: &mut Value, mut init: Value, attempt: AttemptId) -> Result<(), ManifestError> {
    let spec = &mut pod["spec"];
    let steps = list_mut(spec, "initContainers")
        .ok_or_else(|| ManifestError::unfit("spec.initContainers", "a list is needed"))?;
    if let Some(place) = steps.iter().position(|step| step["name"] == INIT_CONTAINER) {
        let own = steps.remove(place);
        let at = |source| ManifestError::unfit(format!("spec.initContainers[{INIT_CONTAINER}]"), format!("{source}"));
        let (Some(init), Some(own)) = (init.as_object_mut(), own.as_object()) else { unreachable!("both are maps") };
        strategic::merge(init, own, &shape::CONTAINER).map_err(at)?;
    }
    mount(&mut init, VOLUME, layout::ROOT)?;
    mount(&mut init, PAYLOAD_VOLUME, layout::PAYLOAD)?;
    // First, so that the others find the files.
    steps.insert(0, init);
    let volumes = list_mut(spec, "volumes").ok_or_else(|| ManifestError::unfit("spec.volumes", "a list is needed"))?;
    if let Some(taken) = volumes.iter().find(|volume| volume["name"] == VOLUME || volume["name"] == PAYLOAD_VOLUME) {
        let problem = format!("{} is Gridflow's own: name yours otherwise", taken["name"]);
        return Err(ManifestError::unfit("spec.volumes", problem));
    }
    volumes.push(json!({ "name": VOLUME, "emptyDir": {} }));
    volumes.push(json!({ "name": PAYLOAD_VOLUME, "secret": { "secretName": identity::name(attempt) } }));
    Ok(())
}

fn init_step(image: &str, task: &Value) -> Value {
    let mut init = json!({
        "name": INIT_CONTAINER,
        "image": image,
        "command": ["gridflow-pod", "init"],
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "capabilities": { "drop": ["ALL"] },
            "readOnlyRootFilesystem": true,
        },
    });
    if let Some(resources) = init_resources(&task["resources"]) {
        init["resources"] = resources;
    }
    init
}

/// As much as the task has: it costs nothing, since a pod is given the larger of both, and quotas and limit ranges
/// that every container has to obey are obeyed.
fn init_resources(task: &Value) -> Option<Value> {
    let mut resources = Map::new();
    for kind in ["requests", "limits"] {
        let amounts = task[kind].as_object().into_iter().flatten();
        // Not devices.
        let amounts = amounts.filter(|(name, _)| ["cpu", "memory", "ephemeral-storage"].contains(&name.as_str()));
        let amounts: Map<_, _> = amounts.map(|(name, amount)| (name.clone(), amount.clone())).collect();
        if !amounts.is_empty() {
            resources.insert(kind.to_owned(), amounts.into());
        }
    }
    (!resources.is_empty()).then_some(Value::Object(resources))
}

pub(super) fn pack(files: &[(String, Arc<[u8]>)], context: &Value) -> Result<Payload, ManifestError> {
    let context = context.to_string();
    let files = files.iter().map(|(path, bytes)| (path.as_str(), &**bytes));
    let keys = payload::pack(files.chain([(layout::CONTEXT_FILE, context.as_bytes())]))?;
    Ok(Payload { files: keys.into_iter().map(|(key, bytes)| (key.to_owned(), Arc::from(bytes))).collect() })
}
