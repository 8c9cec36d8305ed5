//! `driver:` and `executor:`: sizes, and pods.

use serde_json::{Map, Value, json};

use super::keys::{ExecutorKeys, PartKeys, SparkPodKeys};
use crate::{
    code::Code,
    kubernetes::{Accumulated, KubernetesKeys, check_quantity, short_keys},
    read::{Cx, Definitions, Fields, Read, Shape, Spec, object_schema},
    template::{RenderError, Renderer, Template},
    yaml::Node,
};

/// The driver.
#[derive(Debug, Clone)]
pub struct SparkPart {
    keys: PartKeys,
    pub pod: SparkPodKeys,
}

/// The executors.
#[derive(Debug, Clone)]
pub struct SparkExecutor {
    own: ExecutorKeys,
    pub part: SparkPart,
}

impl SparkPart {
    fn read_fields(fields: &mut Fields<'_>, cx: &mut Cx<'_>) -> Option<Self> {
        for key in ["core_request", "core_limit"] {
            if let Some(entry) = fields.entry(key) {
                check_quantity("cpu", &entry.value, cx);
            }
        }
        if let Some(entry) = fields.entry("resources") {
            cx.report(Code::UnknownKey, entry.key_span, "Spark has no `resources`").help = Some(
                "write `cores: 2` and `memory: 4g`; `core_request` and `core_limit` are what Kubernetes sees".into(),
            );
        }
        let keys = PartKeys::read_fields(fields, cx);
        let pod = SparkPodKeys::read_fields(fields, cx);
        Some(Self { keys: keys?, pod: pod? })
    }
}

impl Read for SparkPart {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let Some(map) = node.map() else {
            cx.wrong_type(node, "a map such as `{cores: 1, memory: 2g}`");
            return None;
        };
        let mut fields = Fields::new(node, map, cx);
        let read = Self::read_fields(&mut fields, cx);
        fields.finish("`spark.driver`", cx);
        read
    }

    fn shape(definitions: &mut Definitions) -> Shape {
        definitions.refer::<PartKeys>();
        let mut fields = PartKeys::fields(definitions);
        fields.extend(SparkPodKeys::fields(definitions));
        definitions.schemas.insert("spark.driver".into(), object_schema(PartKeys::doc(), &fields));
        Shape::new("map of [`spark.driver`](#spark.driver)", json!({ "$ref": "#/$defs/spark.driver" }))
    }
}

impl Read for SparkExecutor {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let Some(map) = node.map() else {
            cx.wrong_type(node, "a map such as `{instances: 2, cores: 2, memory: 4g}`");
            return None;
        };
        let mut fields = Fields::new(node, map, cx);
        let own = ExecutorKeys::read_fields(&mut fields, cx);
        let part = SparkPart::read_fields(&mut fields, cx);
        fields.finish("`spark.executor`", cx);
        Some(Self { own: own?, part: part? })
    }

    fn shape(definitions: &mut Definitions) -> Shape {
        definitions.refer::<ExecutorKeys>();
        let mut fields = ExecutorKeys::fields(definitions);
        fields.extend(PartKeys::fields(definitions));
        fields.extend(SparkPodKeys::fields(definitions));
        definitions.schemas.insert("spark.executor".into(), object_schema(ExecutorKeys::doc(), &fields));
        Shape::new("map of [`spark.executor`](#spark.executor)", json!({ "$ref": "#/$defs/spark.executor" }))
    }
}

impl SparkPart {
    /// `spec.driver` or `spec.executor`.
    pub fn render(
        &self,
        container: &str,
        renderer: &Renderer,
        accumulated: &mut Accumulated,
    ) -> Result<Map<String, Value>, RenderError> {
        let PartKeys { cores, core_request, core_limit, memory, memory_overhead, java_options, env } = &self.keys;
        let text = |template: Option<&Template>| -> Result<Option<Value>, RenderError> {
            template.map(|template| renderer.text(template).map(Value::from)).transpose()
        };
        let mut out = Map::new();
        let fields = [
            ("cores", cores.as_ref().map(|cores| cores.render("cores", renderer)).transpose()?),
            ("coreRequest", text(core_request.as_ref())?),
            ("coreLimit", text(core_limit.as_ref())?),
            ("memory", text(memory.as_ref().map(|memory| &memory.0))?),
            ("memoryOverhead", text(memory_overhead.as_ref().map(|memory| &memory.0))?),
            ("javaOptions", text(java_options.as_ref())?),
        ];
        out.extend(fields.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))));
        let mut template = self.pod.template(container, renderer, accumulated)?;
        for (name, value) in env.iter().flat_map(|env| &env.0) {
            add_variable(&mut template, container, json!({ "name": name, "value": super::literal(renderer, value)? }));
        }
        self.pod.add_service_account(&mut out, renderer)?;
        if template.as_object().is_some_and(|template| !template.is_empty()) {
            out.insert("template".into(), template);
        }
        Ok(out)
    }
}

impl SparkExecutor {
    pub fn render(
        &self,
        container: &str,
        renderer: &Renderer,
        accumulated: &mut Accumulated,
    ) -> Result<Map<String, Value>, RenderError> {
        let mut out = self.part.render(container, renderer, accumulated)?;
        if let Some(instances) = &self.own.instances {
            out.insert("instances".into(), instances.render("instances", renderer)?);
        }
        Ok(out)
    }
}

impl SparkPodKeys {
    /// The template of a pod: what Spark has no property for.
    pub fn template(
        &self,
        container: &str,
        renderer: &Renderer,
        accumulated: &mut Accumulated,
    ) -> Result<Value, RenderError> {
        let keys = KubernetesKeys {
            secrets: self.secrets.clone(),
            config_maps: self.config_maps.clone(),
            env_from: self.env_from.clone(),
            node_selector: self.node_selector.clone(),
            affinity: self.affinity.clone(),
            tolerations: self.tolerations.clone(),
            volumes: self.volumes.clone(),
            volume_mounts: self.volume_mounts.clone(),
            init_containers: self.init_containers.clone(),
            security_context: self.security_context.clone(),
            pod_security_context: self.pod_security_context.clone(),
            priority_class: self.priority_class.clone(),
            host_network: self.host_network,
            labels: self.labels.clone(),
            annotations: self.annotations.clone(),
            ..KubernetesKeys::none()
        };
        short_keys(&keys, container, renderer, accumulated)
    }

    /// Spark itself knows service accounts.
    pub fn add_service_account(&self, part: &mut Map<String, Value>, renderer: &Renderer) -> Result<(), RenderError> {
        if let Some(account) = &self.service_account {
            part.insert("serviceAccount".into(), renderer.text(account)?.into());
        }
        Ok(())
    }
}

/// A variable of the container, unless there is one of this name.
pub fn add_variable(template: &mut Value, container: &str, variable: Value) {
    let containers = &mut template["spec"]["containers"];
    if containers.is_null() {
        *containers = json!([{ "name": container }]);
    }
    let env = &mut containers[0]["env"];
    match env.as_array_mut() {
        Some(env) if env.iter().any(|other| other["name"] == variable["name"]) => {}
        Some(env) => env.push(variable),
        None => *env = json!([variable]),
    }
}
