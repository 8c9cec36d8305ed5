//! Levels of settings → fragments of a pod's manifest, weakest first.

use serde_json::{Map, Value, json};

use super::{
    KubernetesKeys, Level, TASK_CONTAINER,
    manifest::{Only, task_container},
    patch,
    source::{Added, SourceKind, SourceUse},
    text,
};
use crate::template::{RenderError, Renderer, Template, Tree};

/// What makes the pod of one attempt, without identity.
#[derive(Debug, Clone, PartialEq)]
pub struct PodLayers {
    /// By its name in the clusters file; `None` is the default one.
    pub cluster: Option<String>,
    /// `None` is the cluster's default one.
    pub namespace: Option<String>,
    /// Fragments of a pod's manifest for strategic merge, weakest first. The task's container is
    /// named [`TASK_CONTAINER`].
    pub layers: Vec<Value>,
    /// Operations of JSON Patch on what the layers come to.
    pub json_patch: Option<Value>,
    /// Whether a command of the task's container runs in Gridflow's wrapper, which gives it its working
    /// folder and its output. A `pod:` without a command runs what its image says, and is not wrapped.
    pub is_wrapped: bool,
}

/// Lists that add up over the levels: Kubernetes merges them only as a whole.
#[derive(Debug, Default)]
pub struct Accumulated {
    env_from: Vec<Value>,
    tolerations: Vec<Value>,
}

/// The layers of some levels, outer ones first. `is_wrapped` is the caller's to say.
pub fn pod_layers(levels: &[&Level], renderer: &Renderer) -> Result<PodLayers, RenderError> {
    let mut out = PodLayers { cluster: None, namespace: None, layers: Vec::new(), json_patch: None, is_wrapped: true };
    let mut accumulated = Accumulated::default();
    let mut operations = Vec::new();
    for level in levels {
        let keys = &level.keys;
        if let Some(file) = &keys.template_file {
            let (layer, namespace) = file.0.render_pod(renderer)?;
            out.layers.push(layer);
            out.namespace = namespace.or(out.namespace);
        }
        if let Some(spec) = &keys.spec {
            let mut pod = json!({ "spec": spec.0.render(renderer)? });
            text::pod_texts(&mut pod);
            task_container(&mut pod, Only::KeepsItsName);
            out.layers.push(pod);
        }
        let mut layer = short_keys(keys, TASK_CONTAINER, renderer, &mut accumulated)?;
        let words = |words: &[Template]| words.iter().map(|word| renderer.text(word)).collect::<Result<Vec<_>, _>>();
        for (key, value) in [("command", &level.run.command), ("args", &level.run.args)] {
            if let Some(value) = value {
                container_of(&mut layer, TASK_CONTAINER).insert(key.into(), words(value)?.into());
            }
        }
        if layer.as_object().is_some_and(|layer| !layer.is_empty()) {
            out.layers.push(layer);
        }
        let name = |template: &Option<Template>| template.as_ref().map(|name| renderer.text(name)).transpose();
        out.cluster = name(&keys.cluster)?.or(out.cluster);
        out.namespace = name(&keys.namespace)?.or(out.namespace);
        if let Some(patch) = &keys.json_patch {
            operations.extend(patch.render(renderer)?);
        }
    }
    out.json_patch = patch::join(operations);
    Ok(out)
}

/// Whether some layer gives the task's container a command.
pub fn is_wrapped(layers: &[Value]) -> bool {
    let mut commands = layers.iter().filter_map(|layer| {
        let containers = layer.pointer("/spec/containers")?.as_array()?;
        containers.iter().find(|container| container["name"] == TASK_CONTAINER)?.get("command")?.as_array()
    });
    commands.next_back().is_some_and(|command| !command.is_empty())
}

/// The container of a layer, made on its first use.
fn container_of<'l>(layer: &'l mut Value, name: &str) -> &'l mut Map<String, Value> {
    let containers = &mut layer["spec"]["containers"];
    if containers.is_null() {
        *containers = json!([{ "name": name }]);
    }
    containers[0].as_object_mut().expect("a container was made as a map")
}

/// The keys besides `spec`, `template_file` and `json_patch`, as a fragment of a pod.
pub fn short_keys(
    keys: &KubernetesKeys,
    container: &str,
    renderer: &Renderer,
    accumulated: &mut Accumulated,
) -> Result<Value, RenderError> {
    let text = |template: &Option<Template>| -> Result<Option<Value>, RenderError> {
        template.as_ref().map(|template| renderer.text(template).map(Value::from)).transpose()
    };
    let tree = |tree: Option<&Tree>| tree.map(|tree| tree.render(renderer)).transpose();
    let mut added = added(&keys.secrets.0, &keys.config_maps.0, renderer)?;
    if let Some(env_from) = tree(keys.env_from.as_ref().map(|it| &it.0))? {
        added.env_from = [list(env_from), added.env_from].concat();
    }
    let volumes = [list(tree(keys.volumes.as_ref().map(|it| &it.0))?.unwrap_or_default()), added.volumes].concat();
    let mounts =
        [list(tree(keys.volume_mounts.as_ref().map(|it| &it.0))?.unwrap_or_default()), added.volume_mounts].concat();
    let tolerations = list(tree(keys.tolerations.as_ref().map(|it| &it.0))?.unwrap_or_default());
    let resources = keys.resources.as_ref().map(|resources| resources.render(renderer)).transpose()?;
    let pull_secrets = keys.image_pull_secrets.0.iter().map(|name| Ok(json!({ "name": renderer.text(name)? })));
    let pull_secrets = pull_secrets.collect::<Result<Vec<_>, RenderError>>()?;

    let of_container = [
        ("image", text(&keys.image)?),
        ("imagePullPolicy", keys.image_pull_policy.map(|policy| policy.0.into())),
        ("env", some(added.env)),
        ("envFrom", add(&mut accumulated.env_from, added.env_from)),
        ("resources", resources),
        ("volumeMounts", some(mounts)),
        ("securityContext", tree(keys.security_context.as_ref().map(|it| &it.0))?),
    ];
    let of_pod = [
        ("imagePullSecrets", some(pull_secrets)),
        ("nodeSelector", tree(keys.node_selector.as_ref().map(|it| &it.0))?),
        ("affinity", tree(keys.affinity.as_ref().map(|it| &it.0))?),
        ("tolerations", add(&mut accumulated.tolerations, tolerations)),
        ("serviceAccountName", text(&keys.service_account)?),
        ("volumes", some(volumes)),
        ("initContainers", tree(keys.init_containers.as_ref().map(|it| &it.0))?),
        ("securityContext", tree(keys.pod_security_context.as_ref().map(|it| &it.0))?),
        ("priorityClassName", text(&keys.priority_class)?),
        ("runtimeClassName", text(&keys.runtime_class)?),
        ("schedulerName", text(&keys.scheduler_name)?),
        ("hostNetwork", keys.host_network.map(Value::from)),
        ("dnsPolicy", keys.dns_policy.map(|policy| policy.0.into())),
        ("automountServiceAccountToken", keys.automount_service_account_token.map(Value::from)),
    ];
    let metadata = [
        ("labels", tree(keys.labels.as_ref().map(|it| &it.0))?),
        ("annotations", tree(keys.annotations.as_ref().map(|it| &it.0))?),
    ];

    let mut layer = json!({});
    for (key, value) in metadata {
        set(&mut layer["metadata"], key, value);
    }
    for (key, value) in of_pod {
        set(&mut layer["spec"], key, value);
    }
    for (key, value) in of_container {
        if let Some(value) = value {
            container_of(&mut layer, container).insert(key.into(), value);
        }
    }
    text::pod_texts(&mut layer);
    Ok(layer)
}

fn added(secrets: &[SourceUse], config_maps: &[SourceUse], renderer: &Renderer) -> Result<Added, RenderError> {
    let mut added = Added::default();
    for (kind, sources) in [(SourceKind::ConfigMap, config_maps), (SourceKind::Secret, secrets)] {
        for source in sources {
            source.add(kind, renderer, &mut added)?;
        }
    }
    Ok(added)
}

/// What came so far with what comes here; `None` where nothing comes.
fn add(so_far: &mut Vec<Value>, more: Vec<Value>) -> Option<Value> {
    let before = so_far.len();
    for item in more {
        if !so_far.contains(&item) {
            so_far.push(item);
        }
    }
    (before < so_far.len()).then(|| so_far.clone().into())
}

fn some(items: Vec<Value>) -> Option<Value> {
    (!items.is_empty()).then(|| items.into())
}

fn list(value: Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items,
        Value::Null => Vec::new(),
        // The executor's own check of the manifest says what is wrong with it.
        other => vec![other],
    }
}

fn set(place: &mut Value, key: &str, value: Option<Value>) {
    if let Some(value) = value {
        place[key] = value;
    }
}
