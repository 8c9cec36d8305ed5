//! What the protocol needs of a pod, whatever its layers say.

use serde_json::{Value, json};

use super::{TASK_CONTAINER, container_mut, error::Error, list_mut};

/// Labels and annotations that are Gridflow's own.
const RESERVED: &str = "gridflow.io/";

/// Puts right what can be, and refuses what cannot.
pub(super) fn repair(pod: &mut Value, namespace: &str) -> Result<(), Error> {
    for part in ["metadata", "spec"] {
        if !pod.get(part).is_some_and(Value::is_object) {
            return Err(Error::unfit(part, "a map is needed"));
        }
    }
    check_metadata(&mut pod["metadata"], namespace)?;
    let spec = pod["spec"].as_object_mut().expect("it is a map");
    match spec.get("restartPolicy").and_then(Value::as_str) {
        Some("Never") => {}
        None => drop(spec.insert("restartPolicy".into(), "Never".into())),
        Some(other) => {
            let problem = format!("`{other}` is not possible, each try is a pod of its own: write `retries:`");
            return Err(Error::unfit("spec.restartPolicy", problem));
        }
    }
    if let Some(node) = spec.remove("nodeName") {
        let Some(node) = node.as_str().filter(|node| !node.is_empty()).map(ToOwned::to_owned) else {
            return Err(Error::unfit("spec.nodeName", "the name of a node is needed"));
        };
        require_node(&mut pod["spec"], &node)?;
    }
    if names_no_service_account(&pod["spec"]) {
        let spec = pod["spec"].as_object_mut().expect("it is a map");
        spec.entry("automountServiceAccountToken").or_insert(Value::Bool(false));
    }
    check_containers(pod)?;
    task_first(pod);
    Ok(())
}

fn check_metadata(metadata: &mut Value, namespace: &str) -> Result<(), Error> {
    if let Some(other) = metadata.get("namespace").filter(|given| *given != namespace) {
        let problem =
            format!("it is {other}, and the task runs in `{namespace}`: write `namespace:` under `kubernetes:`");
        return Err(Error::unfit("metadata.namespace", problem));
    }
    for name in ["labels", "annotations"] {
        for (key, value) in metadata[name].as_object().into_iter().flatten() {
            if key.starts_with(RESERVED) {
                return Err(Error::unfit(format!("metadata.{name}"), format!("`{key}` is Gridflow's own")));
            }
            if !value.is_string() {
                let problem = format!("`{key}` is {value}, and text is needed: write it in quotes");
                return Err(Error::unfit(format!("metadata.{name}"), problem));
            }
        }
        if metadata[name].is_null() {
            metadata.as_object_mut().map(|metadata| metadata.remove(name));
        }
    }
    Ok(())
}

/// A pod with `nodeName` is bound from the start, and cannot be held back by a gate. The same node by affinity.
fn require_node(spec: &mut Value, node: &str) -> Result<(), Error> {
    const PATH: &str = "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms";
    let unfit = || Error::unfit(PATH, "a list of maps is needed");
    let wanted = json!({ "key": "metadata.name", "operator": "In", "values": [node] });
    let mut at = spec;
    for name in ["affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution"] {
        let below = at.as_object_mut().ok_or_else(unfit)?.entry(name).or_insert_with(|| json!({}));
        if below.is_null() {
            *below = json!({});
        }
        at = below;
    }
    let terms = list_mut(at, "nodeSelectorTerms").ok_or_else(unfit)?;
    if terms.is_empty() {
        terms.push(json!({}));
    }
    // One term is enough for a node, so each has to ask for it.
    for term in terms {
        list_mut(term, "matchFields").ok_or_else(unfit)?.push(wanted.clone());
    }
    Ok(())
}

fn names_no_service_account(spec: &Value) -> bool {
    ["serviceAccountName", "serviceAccount"].iter().all(|name| spec[*name].as_str().is_none_or(str::is_empty))
}

fn check_containers(pod: &Value) -> Result<(), Error> {
    let mut names = Vec::new();
    for list in ["containers", "initContainers"] {
        let path = format!("spec.{list}");
        let containers = match &pod["spec"][list] {
            Value::Null => continue,
            Value::Array(containers) => containers,
            _ => return Err(Error::unfit(path, "a list is needed")),
        };
        for container in containers {
            let Some(name) = container["name"].as_str() else {
                return Err(Error::unfit(path, "a container has no name"));
            };
            if !is_dns_label(name) {
                let problem = format!("`{name}` is no name of a container: at most 63 of a-z, 0-9 and `-`");
                return Err(Error::unfit(path, problem));
            }
            if names.contains(&name) {
                return Err(Error::unfit(path, format!("there are two containers `{name}`")));
            }
            names.push(name);
            check_env(container).map_err(|problem| Error::unfit(format!("{path}[{name}].env"), problem))?;
        }
    }
    let has_task = pod["spec"]["containers"].as_array().into_iter().flatten().any(|it| it["name"] == TASK_CONTAINER);
    if !has_task {
        let problem = format!("there is no container `{TASK_CONTAINER}`: the task's container has that name");
        return Err(Error::unfit("spec.containers", problem));
    }
    Ok(())
}

fn check_env(container: &Value) -> Result<(), String> {
    for variable in container["env"].as_array().into_iter().flatten() {
        let name = variable["name"].as_str().ok_or("a variable has no name")?;
        match &variable["value"] {
            Value::Null | Value::String(_) => {}
            other => return Err(format!("`{name}` is {other}, and text is needed: write it in quotes")),
        }
    }
    Ok(())
}

fn is_dns_label(name: &str) -> bool {
    let is_inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    (1..=63).contains(&name.len()) && name.bytes().all(is_inner) && !name.starts_with('-') && !name.ends_with('-')
}

/// As people and tools expect it; a merge puts what a stronger layer adds in front.
fn task_first(pod: &mut Value) {
    if let Some(containers) = pod["spec"]["containers"].as_array_mut() {
        containers.sort_by_key(|container| container["name"] != TASK_CONTAINER);
    }
}

/// No container gains privileges, unless its layers speak of it.
pub(super) fn default_security(pod: &mut Value) {
    let Some(container) = container_mut(pod, TASK_CONTAINER).and_then(Value::as_object_mut) else { return };
    let security = container.entry("securityContext").or_insert_with(|| json!({}));
    let Some(security) = security.as_object_mut() else { return };
    // Kubernetes refuses these together.
    let adds = security.get("capabilities").and_then(|it| it["add"].as_array());
    let is_admin = adds.into_iter().flatten().any(|name| name == "SYS_ADMIN" || name == "CAP_SYS_ADMIN");
    let is_privileged = security.get("privileged") == Some(&Value::Bool(true));
    if !is_admin && !is_privileged {
        security.entry("allowPrivilegeEscalation").or_insert(Value::Bool(false));
    }
    if security.is_empty() {
        container.remove("securityContext");
    }
}
