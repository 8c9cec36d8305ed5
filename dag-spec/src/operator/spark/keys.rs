//! The keys of `spark:`.

use indexmap::IndexMap;
use serde_json::json;

use super::part::{SparkExecutor, SparkPart};
use crate::{
    dag::Env,
    kubernetes::{
        Annotations, EnvFrom, InitContainers, JsonPatch, Labels, ManifestFile, ManifestKind, Object, PullPolicy,
        SourceUse, Texts, Tolerations, VolumeMounts, Volumes, objects,
    },
    operator::pod::Words,
    read::{Cx, Definitions, OneOrMany, Read, Shape, Spanned, named, spec},
    spark::{Memory, Names, Number, Place, Places, check},
    template::{Template, Tree},
    yaml::{Core, Node},
};

spec! {
    /// A Spark application, run by the Spark operator. Besides these keys it has those of [spark.pod](#spark.pod),
    /// for driver and executors alike. A file is one beside the DAG (a relative path: it is laid into the pods), one
    /// of the image (an absolute path), or any URI that Spark can read. Of `kubernetes:` it takes the cluster and the
    /// namespace alone: the rest is for other pods.
    pub struct SparkKeys "spark" {
        /// The cluster, by its name in the [clusters file](#clusters). That of `kubernetes:` unless given.
        pub cluster: Option<Template>,
        /// The namespace. That of `kubernetes:` unless given.
        pub namespace: Option<Template>,
        /// The program: a Python or R file, or a jar.
        pub main_file: Option<Spanned<Place>>,
        /// The jar that holds `main_class`; the same as `main_file`.
        pub jar: Option<Spanned<Place>>,
        /// The class to run, for Java and Scala.
        pub main_class: Option<Template>,
        /// The language: `Python`, `Scala`, `Java` or `R`. From the ending of the program unless given.
        pub r#type: Option<Language>,
        /// Arguments of the program.
        pub args: Option<Words>,
        /// The configuration of Spark: a map of properties to values.
        pub conf: Option<Conf>,
        /// The configuration of Hadoop, without `spark.hadoop.`.
        pub hadoop_conf: Option<Conf>,
        /// The image of driver and executors.
        pub image: Option<Template>,
        /// When the image is pulled: `Always`, `IfNotPresent` or `Never`.
        pub image_pull_policy: Option<PullPolicy>,
        /// The Secrets with the credentials of the registry.
        pub image_pull_secrets: OneOrMany<Template>,
        /// The version of Spark in the image.
        pub spark_version: Option<Template>,
        /// The driver: its size and its pod.
        pub driver: Option<SparkPart>,
        /// The executors: how many, their size and their pods.
        pub executor: Option<SparkExecutor>,
        /// Executors by need: `true`, or how many.
        pub dynamic_allocation: Option<DynamicAllocation>,
        /// What the program needs besides itself.
        pub deps: Option<DepsKeys>,
        /// Anything else: the `spec` of a SparkApplication, or a part of one. The keys above are stronger.
        pub spec: Option<SparkSpec>,
        /// A file beside the DAG with a SparkApplication in YAML or JSON, which may hold templates. `spec` and the
        /// keys above are stronger. Airflow's `application_file`.
        pub template_file: Option<SparkFile>,
        /// Operations of JSON Patch on the finished manifest.
        pub json_patch: Option<JsonPatch>,
    }
}

spec! {
    /// The size of a driver or of an executor, besides the keys of [spark.pod](#spark.pod).
    pub struct PartKeys "spark.driver" {
        /// CPU cores that Spark reckons with.
        pub cores: Option<Number>,
        /// What the pod requests of CPU, as Kubernetes writes it: `500m`.
        pub core_request: Option<Template>,
        /// What the pod may use of CPU at most.
        pub core_limit: Option<Template>,
        /// Memory of the JVM: `2g`.
        pub memory: Option<Memory>,
        /// Memory besides the JVM's.
        pub memory_overhead: Option<Memory>,
        /// Options of the JVM.
        pub java_options: Option<Template>,
        /// Environment variables; values may be templates. The task's own `env:` is there, too.
        pub env: Option<Env>,
    }
}

spec! {
    /// The executors. They have the keys of [spark.driver](#spark.driver) and [spark.pod](#spark.pod), too.
    pub struct ExecutorKeys "spark.executor" {
        /// How many.
        pub instances: Option<Number>,
    }
}

spec! {
    /// Pods of an application; as in [kubernetes](#kubernetes).
    pub struct SparkPodKeys "spark.pod" {
        /// The service account. The driver's makes the executors.
        pub service_account: Option<Template>,
        /// Secrets: a name (each key is an environment variable), or what is done with it; one, or a list.
        pub secrets: OneOrMany<SourceUse>,
        /// ConfigMaps, as `secrets`.
        pub config_maps: OneOrMany<SourceUse>,
        /// Secrets and ConfigMaps that are environment variables as a whole, as Kubernetes writes them.
        pub env_from: Option<EnvFrom>,
        /// Labels of the nodes that will do.
        pub node_selector: Option<Texts>,
        /// Affinity to nodes and to other pods, as Kubernetes writes it.
        pub affinity: Option<Object>,
        /// Taints of nodes that do not matter, as Kubernetes writes them.
        pub tolerations: Option<Tolerations>,
        /// Volumes, as Kubernetes writes them.
        pub volumes: Option<Volumes>,
        /// Where the container finds volumes, as Kubernetes writes it.
        pub volume_mounts: Option<VolumeMounts>,
        /// Containers that run before, as Kubernetes writes them.
        pub init_containers: Option<InitContainers>,
        /// The security context of the container.
        pub security_context: Option<Object>,
        /// The security context of the pod.
        pub pod_security_context: Option<Object>,
        /// The priority class.
        pub priority_class: Option<Template>,
        /// Whether the pod uses the network of its node.
        pub host_network: Option<bool>,
        /// Labels.
        pub labels: Option<Labels>,
        /// Annotations.
        pub annotations: Option<Annotations>,
    }
}

spec! {
    /// What a program needs besides itself.
    pub struct DepsKeys "spark.deps" {
        /// Jars: a file or a list.
        pub jars: Places,
        /// Files that every executor finds in its working folder.
        pub files: Places,
        /// Python files, `.zip` and `.egg` among them.
        pub py_files: Places,
        /// Archives that every executor unpacks: `env.tar.gz#env`.
        pub archives: Places,
        /// Packages by their Maven coordinates: `org.apache.iceberg:iceberg-spark-runtime-4.0_2.13:1.10.0`.
        pub packages: Names,
        /// Packages to leave out, as `group:artifact`.
        pub exclude_packages: Names,
        /// Where packages are looked for besides Maven Central.
        pub repositories: Names,
    }
}

spec! {
    /// How many executors there are by need.
    pub struct DynamicAllocationKeys "spark.dynamic_allocation" {
        /// Whether there is such a thing.
        pub enabled: bool = "true",
        /// The fewest.
        pub min: Option<Number>,
        /// The most.
        pub max: Option<Number>,
        /// How many at the start.
        pub initial: Option<Number>,
    }
}

/// The language of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Language(pub &'static str);

/// A configuration: every value is a text.
#[derive(Debug, Clone)]
pub struct Conf(pub IndexMap<String, Template>);

#[derive(Debug, Clone)]
pub struct DynamicAllocation(pub DynamicAllocationKeys);

/// An application in a file.
#[derive(Debug, Clone)]
pub struct SparkFile(pub ManifestFile);

objects! {
    /// The `spec` of an application, or a part of one.
    SparkSpec "an application's `spec`" "object" check::spec;
}

const LANGUAGES: &[(&str, Language)] = &[
    ("Python", Language("Python")),
    ("Scala", Language("Scala")),
    ("Java", Language("Java")),
    ("R", Language("R")),
    ("python", Language("Python")),
    ("scala", Language("Scala")),
    ("java", Language("Java")),
    ("r", Language("R")),
];

impl Read for Language {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        named(node, "language of Spark", LANGUAGES, cx)
    }

    fn shape(_: &mut Definitions) -> Shape {
        let names: Vec<_> = LANGUAGES.iter().map(|(name, _)| *name).collect();
        Shape::new("`Python`, `Scala`, `Java`, `R`", json!({ "enum": names }))
    }
}

impl Read for Conf {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        check::configuration(node, cx);
        IndexMap::read(node, cx).map(Self)
    }

    fn shape(definitions: &mut Definitions) -> Shape {
        let schema = IndexMap::<String, Template>::shape(definitions).schema;
        Shape::new("map of property to template", schema)
    }
}

impl Read for DynamicAllocation {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        if let Some(Core::Bool(enabled)) = node.scalar().map(|scalar| scalar.core()) {
            return Some(Self(DynamicAllocationKeys { enabled, min: None, max: None, initial: None }));
        }
        DynamicAllocationKeys::read(node, cx).map(Self)
    }

    fn shape(definitions: &mut Definitions) -> Shape {
        Shape::new("boolean", json!({ "type": "boolean" })).or(DynamicAllocationKeys::shape(definitions))
    }
}

impl Read for SparkFile {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        ManifestFile::read(node, ManifestKind::SparkApplication, cx).map(Self)
    }

    fn shape(_: &mut Definitions) -> Shape {
        ManifestFile::shape()
    }
}
