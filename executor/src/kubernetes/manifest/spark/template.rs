//! The pod templates of driver and executors.

use gridflow_pod::layout;
use serde_json::{Value, json};

use super::{
    super::{container_mut, error::Error, expansion::literal, list_mut, wrap},
    SparkRequest,
};
use crate::kubernetes::spark::{DRIVER_CONTAINER, EXECUTOR_CONTAINER, MUTATED_LABEL};

/// Whether anything is laid out in the driver: the files of the DAG, or what its command is wrapped with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    Needed,
    Needless,
}

/// The driver's own command is what Spark's arguments are for. It is wrapped where it is written: an image's own
/// entrypoint is not known.
pub(super) fn driver(driver: &mut Value, request: &SparkRequest<'_>, names_files: bool) -> Result<Layout, Error> {
    let template = template(driver, "driver", DRIVER_CONTAINER)?;
    if !template["spec"]["nodeName"].is_null() {
        // The API server refuses it beside a gate.
        let problem = "it is not possible here: write `nodeSelector: {kubernetes.io/hostname: …}`";
        return Err(Error::unfit("spec.driver.template.spec.nodeName", problem));
    }
    template["spec"]["terminationGracePeriodSeconds"] = request.grace.as_secs().max(1).into();
    let containers = ["containers", "initContainers"].map(|list| template["spec"][list].as_array().map_or(0, Vec::len));
    let container = container_mut(template, DRIVER_CONTAINER).expect("it was just put there");
    let message = container["terminationMessagePath"].as_str().unwrap_or(layout::TERMINATION_MESSAGE).to_owned();
    container["terminationMessagePolicy"] = "File".into();
    let mut identity: Vec<_> = request.identity.variables();
    let command = container["command"].as_array().filter(|command| !command.is_empty());
    let layout = if request.files.is_empty() && command.is_none() { Layout::Needless } else { Layout::Needed };
    match command {
        Some(command) => {
            // Its arguments stay, Spark's own come behind them.
            let count = containers.iter().sum::<usize>() + 1;
            container["command"] = wrap::line(command, &message, count, wrap::Codes::OrOfItsSignal).into();
            identity.push(("GRIDFLOW_OUTPUT", format!("{}/{}", layout::WORK, layout::OUTPUT_FILE)));
        }
        None => identity.push(("GRIDFLOW_OUTPUT", message)),
    }
    if layout == Layout::Needed {
        identity.push(("GRIDFLOW_CONTEXT", format!("{}/{}", layout::WORK, layout::CONTEXT_FILE)));
    }
    for (name, value) in request.env {
        add_variable(container, name, value, Existing::Keeps)?;
    }
    for (name, value) in &identity {
        add_variable(container, name, value, Existing::Goes)?;
    }
    // Spark copies the files it is told of into its working folder, and deletes first what has their name there: were
    // it theirs, they would be gone.
    if !request.files.is_empty() && !names_files {
        container["workingDir"] = layout::WORK.into();
    }
    if layout == Layout::Needed {
        wrap::lay_out(template, DRIVER_CONTAINER, request.cluster.image, request.identity.attempt)?;
    }
    Ok(layout)
}

/// Has a template of its own only where there is something to say: else the operator makes it.
pub(super) fn executor(executor: &mut Value, request: &SparkRequest<'_>, reads_files: bool) -> Result<(), Error> {
    if request.env.is_empty() && !reads_files {
        return Ok(());
    }
    let template = template(executor, "executor", EXECUTOR_CONTAINER)?;
    let container = container_mut(template, EXECUTOR_CONTAINER).expect("it was just put there");
    for (name, value) in request.env {
        add_variable(container, name, value, Existing::Keeps)?;
    }
    if reads_files {
        wrap::lay_out(template, EXECUTOR_CONTAINER, request.cluster.image, request.identity.attempt)?;
    }
    Ok(())
}

/// The template of a role, with the container that Spark looks for, and with the label that lets the operator's webhook
/// do what other fields of the role ask for: where there is a template, the operator leaves that to its author.
fn template<'a>(role: &'a mut Value, name: &str, container: &str) -> Result<&'a mut Value, Error> {
    for path in ["template", "template.metadata", "template.metadata.labels", "template.spec"] {
        let found = role.pointer(&format!("/{}", path.replace('.', "/")));
        if found.is_some_and(|found| !found.is_null() && !found.is_object()) {
            return Err(Error::unfit(format!("spec.{name}.{path}"), "a map is needed"));
        }
    }
    let template = &mut role["template"];
    let label = &mut template["metadata"]["labels"][MUTATED_LABEL];
    if label.is_null() {
        *label = "true".into();
    }
    let spec = &mut template["spec"];
    if spec.is_null() || spec["containers"].is_null() {
        spec["containers"] = json!([]);
    }
    let containers = spec["containers"].as_array_mut();
    let containers =
        containers.ok_or_else(|| Error::unfit(format!("spec.{name}.template.spec.containers"), "a list is needed"))?;
    if containers.iter().all(|found| found["name"] != container) {
        containers.push(json!({ "name": container }));
    }
    Ok(template)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Existing {
    Keeps,
    Goes,
}

fn add_variable(container: &mut Value, name: &str, value: &str, existing: Existing) -> Result<(), Error> {
    let path = format!("spec.….{}.env", container["name"].as_str().unwrap_or_default());
    let env = list_mut(container, "env").ok_or_else(|| Error::unfit(path, "a list is needed"))?;
    let found = env.iter().position(|variable| variable["name"] == name);
    let variable = json!({ "name": name, "value": literal(value) });
    match (found, existing) {
        (Some(_), Existing::Keeps) => {}
        (Some(at), Existing::Goes) => env[at] = variable,
        (None, Existing::Keeps | Existing::Goes) => env.push(variable),
    }
    Ok(())
}
