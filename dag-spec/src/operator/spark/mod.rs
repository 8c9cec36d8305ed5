//! `spark`: a SparkApplication of the Spark operator.

mod keys;
mod part;

use std::sync::Arc;

use gridflow_core::{ExecutorKind, TaskKind};
use serde_json::{Map, Value, json};

use self::keys::{Conf, DepsKeys, DynamicAllocationKeys, SparkKeys, SparkPodKeys};
use super::{Launch, OperatorSpec, Outputs, Rendered, staged};
use crate::{
    code::Code,
    kubernetes::{Accumulated, Level, POD_WORK_DIR, check, join_patches},
    read::{Cx, Definitions, Fields, Read, Shape, Spec, object_schema},
    spark::{self, API_VERSION, DRIVER_CONTAINER, EXECUTOR_CONTAINER, Place, Where},
    template::{RenderError, Renderer, Template},
    yaml::Node,
};

/// What makes the SparkApplication of one attempt, without identity.
#[derive(Debug, Clone, PartialEq)]
pub struct SparkLayers {
    /// By its name in the clusters file; `None` is the default one.
    pub cluster: Option<String>,
    /// `None` is the cluster's default one.
    pub namespace: Option<String>,
    /// Fragments of a SparkApplication for strategic merge, weakest first. What Spark has no property
    /// for is in the pod templates of driver and executor, whose containers are named
    /// `spark-kubernetes-driver` and `spark-kubernetes-executor`.
    pub layers: Vec<Value>,
    /// Operations of JSON Patch on what the layers come to.
    pub json_patch: Option<Value>,
    /// The rendered environment of the task, for driver and executors.
    pub env: Vec<(String, String)>,
    /// The files of the DAG version. Those that the application names it names as
    /// `local:///gridflow/work/PATH`: they belong into the working folder of driver and executors.
    pub files: Vec<(String, Arc<[u8]>)>,
}

/// A Spark application.
#[derive(Debug, Clone)]
pub struct Spark {
    keys: SparkKeys,
    /// For driver and executors.
    pod: SparkPodKeys,
}

impl Read for Spark {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let Some(map) = node.map() else {
            cx.wrong_type(node, "a map");
            if let Some(last) = cx.diagnostics.last_mut().filter(|_| !node.is_poisoned()) {
                last.help = Some("write `spark: {main_file: job.py, executor: {instances: 2}}`".into());
            }
            return None;
        };
        let mut fields = Fields::new(node, map, cx);
        let keys = SparkKeys::read_fields(&mut fields, cx);
        let pod = SparkPodKeys::read_fields(&mut fields, cx);
        fields.finish("`spark`", cx);
        let (keys, pod) = (keys?, pod?);
        check::name(keys.cluster.as_ref(), check::Place::Cluster, cx);
        check::name(keys.namespace.as_ref(), check::Place::Namespace, cx);
        check_program(&keys, node, cx);
        Some(Self { keys, pod })
    }

    fn shape(definitions: &mut Definitions) -> Shape {
        if !definitions.schemas.contains_key("spark") {
            definitions.refer::<SparkKeys>();
            definitions.refer::<SparkPodKeys>();
            let mut fields = SparkKeys::fields(definitions);
            fields.extend(SparkPodKeys::fields(definitions));
            definitions.schemas.insert("spark".into(), object_schema(SparkKeys::doc(), &fields));
        }
        Shape::new("map of [`spark`](#spark) and of [`spark.pod`](#spark.pod)", json!({ "$ref": "#/$defs/spark" }))
    }
}

/// What is run must be said, and in which language.
fn check_program(keys: &SparkKeys, node: &Node, cx: &mut Cx<'_>) {
    let is_elsewhere = keys.template_file.is_some() || keys.spec.is_some();
    let program = match (&keys.main_file, &keys.jar) {
        (Some(_), Some(jar)) => {
            cx.report(Code::KeyConflict, jar.span, "`main_file` and `jar` are the same; write one of them");
            return;
        }
        (Some(program), None) | (None, Some(program)) => program,
        (None, None) if is_elsewhere => return,
        (None, None) => {
            cx.report(Code::MissingKey, cx.head(node), "`spark` needs `main_file`, or `jar` and `main_class`");
            return;
        }
    };
    let Some(path) = program.value.literal() else { return };
    let language = language(path);
    if language == Some("Scala") && keys.main_class.is_none() && !is_elsewhere {
        cx.report(Code::MissingKey, program.span, format!("`{path}` is a jar, and `main_class` is missing"));
    }
    if let (Some(language @ ("Python" | "R")), Some(_)) = (language, &keys.main_class) {
        cx.report(Code::KeyConflict, program.span, format!("`{path}` is {language}, which has no `main_class`"));
    }
    if language.is_none() && keys.r#type.is_none() && !is_elsewhere {
        cx.report(Code::MissingKey, program.span, format!("the language of `{path}` is not known")).help =
            Some("add `type: Python`, `Scala`, `Java` or `R`".into());
    }
}

/// The language that the ending of a program tells.
fn language(path: &str) -> Option<&'static str> {
    let name = path.rsplit('/').next().unwrap_or(path).to_lowercase();
    match name.rsplit_once('.')?.1 {
        "py" => Some("Python"),
        "r" => Some("R"),
        "jar" => Some("Scala"),
        _ => None,
    }
}

impl OperatorSpec for Spark {
    fn summary() -> &'static str {
        "Runs a Spark application on Kubernetes, through the Spark operator."
    }

    fn kind(&self) -> TaskKind {
        TaskKind::Attempt(ExecutorKind::Spark)
    }

    fn outputs() -> Outputs {
        Outputs::Unknown
    }

    fn render(&self, launch: &Launch<'_>) -> Result<Rendered, RenderError> {
        let keys = &self.keys;
        let renderer = launch.renderer;
        let mut place = outer_place(launch.levels, renderer)?;
        let mut layers = Vec::new();
        if let Some(file) = &keys.template_file {
            let (layer, namespace) = file.0.render_application(renderer)?;
            layers.push(layer);
            place.1 = namespace.or(place.1);
        }
        if let Some(spec) = &keys.spec {
            let mut layer = json!({ "spec": spec.0.render(renderer)? });
            spark::refused(&layer).map_err(|reason| RenderError::Failed { template: "spark.spec".into(), reason })?;
            spark::texts(&mut layer);
            layers.push(layer);
        }
        let mut accumulated = (Accumulated::default(), Accumulated::default());
        layers.extend(self.shared(renderer, &mut accumulated)?);
        layers.push(self.own(launch, &mut accumulated)?);
        let name = |template: &Option<Template>| template.as_ref().map(|name| renderer.text(name)).transpose();
        let patch = keys.json_patch.as_ref().map(|patch| patch.render(renderer)).transpose()?;
        Ok(Rendered::Spark(SparkLayers {
            cluster: name(&keys.cluster)?.or(place.0),
            namespace: name(&keys.namespace)?.or(place.1),
            layers,
            json_patch: join_patches(patch.unwrap_or_default()),
            env: launch.env.clone(),
            files: staged(launch),
        }))
    }
}

/// Cluster and namespace of `kubernetes:`; the rest of it is for other pods.
fn outer_place(levels: &[Arc<Level>], renderer: &Renderer) -> Result<(Option<String>, Option<String>), RenderError> {
    let last = |name: fn(&Level) -> Option<&Template>| {
        levels.iter().rev().find_map(|level| name(level)).map(|name| renderer.text(name)).transpose()
    };
    Ok((last(|level| level.keys.cluster.as_ref())?, last(|level| level.keys.namespace.as_ref())?))
}

impl Spark {
    /// What driver and executors share.
    fn shared(
        &self,
        renderer: &Renderer,
        accumulated: &mut (Accumulated, Accumulated),
    ) -> Result<Option<Value>, RenderError> {
        let mut spec = Map::new();
        let mut metadata = Map::new();
        for (part, container, accumulated) in
            [("driver", DRIVER_CONTAINER, &mut accumulated.0), ("executor", EXECUTOR_CONTAINER, &mut accumulated.1)]
        {
            let template = self.pod.template(container, renderer, accumulated)?;
            let mut out = Map::new();
            self.pod.add_service_account(&mut out, renderer)?;
            if let Some(of_pod) = template.get("metadata").and_then(Value::as_object) {
                metadata = of_pod.clone();
            }
            if template.as_object().is_some_and(|template| !template.is_empty()) {
                out.insert("template".into(), template);
            }
            if !out.is_empty() {
                spec.insert(part.into(), out.into());
            }
        }
        let mut layer = Map::new();
        for (key, value) in [("metadata", metadata), ("spec", spec)] {
            if !value.is_empty() {
                layer.insert(key.into(), value.into());
            }
        }
        Ok((!layer.is_empty()).then_some(Value::Object(layer)))
    }

    /// The keys besides those of pods, `spec` and `template_file`.
    fn own(&self, launch: &Launch<'_>, accumulated: &mut (Accumulated, Accumulated)) -> Result<Value, RenderError> {
        let keys = &self.keys;
        let renderer = launch.renderer;
        let text = |template: &Option<Template>| -> Result<Option<Value>, RenderError> {
            template.as_ref().map(|template| renderer.text(template).map(Value::from)).transpose()
        };
        let program = keys.main_file.as_ref().or(keys.jar.as_ref());
        let program = program.map(|program| uri(&program.value, launch)).transpose()?;
        let of_program = program.as_deref().and_then(language);
        let language = keys.r#type.map(|language| language.0).or(of_program);
        let args = keys
            .args
            .as_ref()
            .map(|args| args.0.iter().map(|arg| literal(renderer, arg)).collect::<Result<Vec<_>, _>>());
        let pull_secrets = keys.image_pull_secrets.0.iter().map(|name| renderer.text(name));
        let pull_secrets = pull_secrets.collect::<Result<Vec<_>, _>>()?;
        let driver = keys.driver.as_ref().map(|part| part.render(DRIVER_CONTAINER, renderer, &mut accumulated.0));
        let executor = keys.executor.as_ref().map(|part| part.render(EXECUTOR_CONTAINER, renderer, &mut accumulated.1));
        let executor = with_modules(executor.transpose()?, keys.deps.as_ref(), launch)?;
        let fields = [
            ("type", language.map(Value::from)),
            ("mode", Some("cluster".into())),
            ("sparkVersion", text(&keys.spark_version)?),
            ("image", text(&keys.image)?),
            ("imagePullPolicy", keys.image_pull_policy.map(|policy| policy.0.into())),
            ("imagePullSecrets", (!pull_secrets.is_empty()).then(|| pull_secrets.into())),
            ("mainApplicationFile", program.map(Value::from)),
            ("mainClass", text(&keys.main_class)?),
            ("arguments", args.transpose()?.map(Value::from)),
            ("sparkConf", conf(keys.conf.as_ref(), renderer)?),
            ("hadoopConf", conf(keys.hadoop_conf.as_ref(), renderer)?),
            ("restartPolicy", Some(json!({ "type": "Never" }))),
            ("driver", driver.transpose()?.map(Value::Object)),
            ("executor", executor.map(Value::Object)),
            ("dynamicAllocation", keys.dynamic_allocation.as_ref().map(|it| dynamic(&it.0, renderer)).transpose()?),
            ("deps", keys.deps.as_ref().map(|it| deps(it, launch)).transpose()?),
        ];
        let fields = fields.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
        let spec: Map<String, Value> = fields.collect();
        Ok(json!({ "apiVersion": API_VERSION, "kind": "SparkApplication", "spec": spec }))
    }
}

/// A text that arrives in the driver as it is written: on its way Kubernetes replaces `$(NAME)`, and `$$` by `$`.
fn literal(renderer: &Renderer, text: &Template) -> Result<String, RenderError> {
    Ok(renderer.text(text)?.replace('$', "$$"))
}

/// A file as the application names it.
fn uri(place: &Place, launch: &Launch<'_>) -> Result<String, RenderError> {
    Ok(named(place.find(launch.renderer, launch.files)?))
}

fn named(place: Where) -> String {
    match place {
        Where::Staged(path) => format!("local://{POD_WORK_DIR}/{path}"),
        Where::Absolute(path) => format!("local://{path}"),
        Where::Uri(uri) => uri,
    }
}

/// Executors take over no file of the image or pod that they could import; this path tells them where
/// the modules are that lie in their working folder.
fn with_modules(
    executor: Option<Map<String, Value>>,
    deps: Option<&DepsKeys>,
    launch: &Launch<'_>,
) -> Result<Option<Map<String, Value>>, RenderError> {
    let found = deps.map(|deps| deps.py_files.find(launch.renderer, launch.files)).transpose()?;
    let mut paths: Vec<String> = Vec::new();
    for place in found.unwrap_or_default() {
        let path = match place {
            Where::Staged(path) => format!("{POD_WORK_DIR}/{path}"),
            Where::Absolute(path) => path,
            Where::Uri(_) => continue,
        };
        // A module is found in its folder, an archive is one itself.
        let folder = path.rsplit_once('/').filter(|_| path.ends_with(".py")).map(|(folder, _)| folder.to_owned());
        let path = folder.unwrap_or(path);
        if !paths.contains(&path) {
            paths.push(path);
        }
    }
    if paths.is_empty() {
        return Ok(executor);
    }
    let mut executor = executor.unwrap_or_default();
    let template = executor.entry("template").or_insert_with(|| json!({}));
    part::add_variable(template, EXECUTOR_CONTAINER, json!({ "name": "PYTHONPATH", "value": paths.join(":") }));
    Ok(Some(executor))
}

fn conf(conf: Option<&Conf>, renderer: &Renderer) -> Result<Option<Value>, RenderError> {
    let Some(conf) = conf else { return Ok(None) };
    let entries = conf.0.iter().map(|(key, value)| Ok((key.clone(), renderer.text(value)?.into())));
    entries.collect::<Result<Map<_, _>, RenderError>>().map(|map| Some(Value::Object(map)))
}

fn dynamic(keys: &DynamicAllocationKeys, renderer: &Renderer) -> Result<Value, RenderError> {
    let mut out = json!({ "enabled": keys.enabled });
    let numbers = [
        ("minExecutors", "min", &keys.min),
        ("maxExecutors", "max", &keys.max),
        ("initialExecutors", "initial", &keys.initial),
    ];
    for (field, name, number) in numbers {
        if let Some(number) = number {
            out[field] = number.render(name, renderer)?;
        }
    }
    Ok(out)
}

fn deps(keys: &DepsKeys, launch: &Launch<'_>) -> Result<Value, RenderError> {
    let renderer = launch.renderer;
    let mut out = Map::new();
    let places =
        [("jars", &keys.jars), ("files", &keys.files), ("pyFiles", &keys.py_files), ("archives", &keys.archives)];
    for (field, places) in places {
        let found: Vec<_> = places.find(renderer, launch.files)?.into_iter().map(named).collect();
        if !found.is_empty() {
            out.insert(field.into(), found.into());
        }
    }
    let names = [
        ("packages", &keys.packages),
        ("excludePackages", &keys.exclude_packages),
        ("repositories", &keys.repositories),
    ];
    for (field, names) in names {
        let found = names.render(renderer)?;
        if !found.is_empty() {
            out.insert(field.into(), found.into());
        }
    }
    Ok(Value::Object(out))
}

/// Templates of `kubernetes:` that an application needs of outer levels.
pub fn outer_templates(levels: &[Arc<Level>]) -> impl Iterator<Item = &Template> {
    levels.iter().flat_map(|level| level.keys.cluster.iter().chain(&level.keys.namespace))
}
