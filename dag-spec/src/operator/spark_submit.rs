//! `spark_submit`: a Spark application that `spark-submit` starts.

use gridflow_core::TaskKind;
use indexmap::IndexMap;
use serde_json::json;

use super::{LOCAL, Launch, OperatorSpec, Outputs, Rendered, pod::Words, staged};
use crate::{
    code::Code,
    read::{Cx, Definitions, Read, Shape, Spanned, named, spec},
    spark::{Memory, Names, Number, Place, Places, Where},
    template::{RenderError, Renderer, Template},
    yaml::Node,
};

const SCRIPT: &str = include_str!("spark_submit.sh");
const SCRIPT_PATH: &str = ".gridflow/spark-submit.sh";
const CONF_PATH: &str = ".gridflow/spark.conf";

/// Makes `spark-submit` wait where it would leave once a cluster of Spark's own has the application.
const WAIT: (&str, &str) = ("spark.standalone.submit.waitAppCompletion", "true");

spec! {
    /// A Spark application. A file is one beside the DAG (a relative path), one of the machine or image (an absolute
    /// path), or any URI that Spark can read; several are a list, or a text with commas.
    pub struct SparkSubmitKeys "spark_submit" {
        /// The program: a Python or R file, or a jar.
        pub application: Place,
        /// The class to run, for Java and Scala.
        pub main_class: Option<Spanned<Template>>,
        /// The same as `main_class`, by Airflow's name.
        pub java_class: Option<Spanned<Template>>,
        /// Arguments of the program.
        pub args: Option<Spanned<Words>>,
        /// The same as `args`, by Airflow's name.
        pub application_args: Option<Spanned<Words>>,
        /// Properties of Spark. They are handed over in a file that the task alone can read, over those of
        /// `spark-defaults.conf`.
        pub conf: Option<IndexMap<String, Template>>,
        /// A file of properties in place of `spark-defaults.conf`.
        pub properties_file: Option<Place>,
        /// Where the application runs: `local[*]`, `spark://HOST:7077`, `yarn`, `k8s://https://HOST`. What the
        /// installation says unless given.
        pub master: Option<Template>,
        /// Where the driver runs: `client`, in the task's own process, or `cluster`. A driver in a cluster does not end
        /// with its task.
        pub deploy_mode: Option<DeployMode>,
        /// The name of the application. `DAG.TASK` unless given.
        pub name: Option<Template>,
        /// Packages by their Maven coordinates.
        pub packages: Names,
        /// Packages to leave out, as `group:artifact`.
        pub exclude_packages: Names,
        /// Where packages are looked for besides Maven Central.
        pub repositories: Names,
        /// Jars for driver and executors.
        pub jars: Places,
        /// Python files, `.zip` and `.egg` among them.
        pub py_files: Places,
        /// Files that every executor finds in its working folder.
        pub files: Places,
        /// Archives that every executor unpacks: `env.tar.gz#env`.
        pub archives: Places,
        /// Memory of the driver: `2g`.
        pub driver_memory: Option<Memory>,
        /// CPU cores of the driver, in a cluster.
        pub driver_cores: Option<Number>,
        /// Class path of the driver.
        pub driver_class_path: Option<Template>,
        /// Options of the driver's JVM.
        pub driver_java_options: Option<Template>,
        /// How many executors, on YARN and Kubernetes.
        pub num_executors: Option<Number>,
        /// Memory of an executor: `4g`.
        pub executor_memory: Option<Memory>,
        /// CPU cores of an executor.
        pub executor_cores: Option<Number>,
        /// CPU cores of all executors, on a cluster of Spark's own.
        pub total_executor_cores: Option<Number>,
        /// The queue of YARN.
        pub yarn_queue: Option<Template>,
        /// The user that the application runs as.
        pub proxy_user: Option<Template>,
        /// The principal of Kerberos.
        pub principal: Option<Template>,
        /// The key table of Kerberos.
        pub keytab: Option<Place>,
        /// Where Spark is installed. `spark-submit` is looked for on `PATH` unless given.
        pub spark_home: Option<Template>,
        /// The program to start.
        pub spark_binary: Option<Template> = "spark-submit",
        /// Whether `spark-submit` tells what it does.
        pub verbose: bool = "false",
    }
}

/// Where the driver runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeployMode(&'static str);

/// A Spark application that a process starts.
#[derive(Debug, Clone)]
pub struct SparkSubmit(SparkSubmitKeys);

impl Read for DeployMode {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        named(node, "mode of deployment", &[("client", Self("client")), ("cluster", Self("cluster"))], cx)
    }

    fn shape(_: &mut Definitions) -> Shape {
        Shape::new("`client` or `cluster`", json!({ "enum": ["client", "cluster"] }))
    }
}

impl Read for SparkSubmit {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let keys = SparkSubmitKeys::read(node, cx)?;
        if let (Some(_), Some(twice)) = (&keys.main_class, &keys.java_class) {
            cx.report(Code::KeyConflict, twice.span, "`main_class` and `java_class` are the same; write one of them");
        }
        if let (Some(_), Some(twice)) = (&keys.args, &keys.application_args) {
            cx.report(Code::KeyConflict, twice.span, "`args` and `application_args` are the same; write one of them");
        }
        Some(Self(keys))
    }

    fn shape(definitions: &mut Definitions) -> Shape {
        SparkSubmitKeys::shape(definitions)
    }
}

impl OperatorSpec for SparkSubmit {
    fn summary() -> &'static str {
        "Runs a Spark application with `spark-submit`, where Spark is installed."
    }

    fn kind(&self) -> TaskKind {
        LOCAL
    }

    fn outputs() -> Outputs {
        Outputs::Unknown
    }

    fn render(&self, launch: &Launch<'_>) -> Result<Rendered, RenderError> {
        let keys = &self.0;
        let renderer = launch.renderer;
        let text = |template: &Option<Template>| template.as_ref().map(|template| renderer.text(template)).transpose();
        let options = options(keys, launch)?;
        let application = path(keys.application.find(renderer, launch.files)?);
        let args = keys.args.as_ref().or(keys.application_args.as_ref()).map_or(&[][..], |args| &args.value.0);
        let args = args.iter().map(|arg| renderer.text(arg)).collect::<Result<Vec<_>, _>>()?;
        let home = text(&keys.spark_home)?;
        let binary = text(&keys.spark_binary)?.unwrap_or_else(|| "spark-submit".into());
        let binary = match &home {
            Some(home) if !binary.contains('/') => format!("{}/bin/{binary}", home.trim_end_matches('/')),
            Some(_) | None => binary,
        };
        let mut env = launch.env.clone();
        env.extend(home.map(|home| ("SPARK_HOME".to_owned(), home)));
        let base = keys.properties_file.as_ref().map(|file| file.find(renderer, launch.files).map(path)).transpose()?;
        let mut files = staged(launch);
        let conf = properties(keys, renderer)?;
        let start = match (conf, base) {
            (Some(conf), base) => {
                files.push((SCRIPT_PATH.into(), SCRIPT.as_bytes().into()));
                files.push((CONF_PATH.into(), conf.into_bytes().into()));
                vec!["sh".into(), SCRIPT_PATH.into(), base.unwrap_or_default(), binary]
            }
            (None, Some(base)) => vec![binary, "--properties-file".into(), base],
            (None, None) => vec![binary],
        };
        let argv = [start, options, vec![application], args].concat();
        Ok(Rendered::Command { argv, env, files })
    }
}

/// What stands between the program and its application.
fn options(keys: &SparkSubmitKeys, launch: &Launch<'_>) -> Result<Vec<String>, RenderError> {
    let renderer = launch.renderer;
    let text = |template: Option<&Template>| template.map(|template| renderer.text(template)).transpose();
    let memory = |memory: &Option<Memory>| text(memory.as_ref().map(|memory| &memory.0));
    let number = |name: &'static str, number: &Option<Number>| {
        number.as_ref().map(|number| number.render(name, renderer).map(|number| number.to_string())).transpose()
    };
    let places = |places: &Places| -> Result<Option<String>, RenderError> {
        let found: Vec<_> = places.find(renderer, launch.files)?.into_iter().map(path).collect();
        Ok((!found.is_empty()).then(|| found.join(",")))
    };
    let names = |names: &Names| -> Result<Option<String>, RenderError> {
        let found = names.render(renderer)?;
        Ok((!found.is_empty()).then(|| found.join(",")))
    };
    let class = keys.main_class.as_ref().or(keys.java_class.as_ref()).map(|class| &class.value);
    let name = text(keys.name.as_ref())?.unwrap_or_else(|| launch.name.clone());
    let options = [
        ("--master", text(keys.master.as_ref())?),
        ("--deploy-mode", keys.deploy_mode.map(|mode| mode.0.to_owned())),
        ("--class", text(class)?),
        ("--name", Some(name)),
        ("--packages", names(&keys.packages)?),
        ("--exclude-packages", names(&keys.exclude_packages)?),
        ("--repositories", names(&keys.repositories)?),
        ("--jars", places(&keys.jars)?),
        ("--py-files", places(&keys.py_files)?),
        ("--files", places(&keys.files)?),
        ("--archives", places(&keys.archives)?),
        ("--driver-memory", memory(&keys.driver_memory)?),
        ("--driver-cores", number("driver_cores", &keys.driver_cores)?),
        ("--driver-class-path", text(keys.driver_class_path.as_ref())?),
        ("--driver-java-options", text(keys.driver_java_options.as_ref())?),
        ("--num-executors", number("num_executors", &keys.num_executors)?),
        ("--executor-memory", memory(&keys.executor_memory)?),
        ("--executor-cores", number("executor_cores", &keys.executor_cores)?),
        ("--total-executor-cores", number("total_executor_cores", &keys.total_executor_cores)?),
        ("--queue", text(keys.yarn_queue.as_ref())?),
        ("--proxy-user", text(keys.proxy_user.as_ref())?),
        ("--principal", text(keys.principal.as_ref())?),
        ("--keytab", keys.keytab.as_ref().map(|it| it.find(renderer, launch.files).map(path)).transpose()?),
    ];
    let mut out = Vec::new();
    for (option, value) in options {
        out.extend(value.into_iter().flat_map(|value| [option.to_owned(), value]));
    }
    out.extend(keys.verbose.then(|| "--verbose".to_owned()));
    Ok(out)
}

/// A file as `spark-submit` takes it, in the working folder.
fn path(place: Where) -> String {
    match place {
        Where::Staged(path) | Where::Absolute(path) | Where::Uri(path) => path,
    }
}

/// The properties as Java reads them.
fn properties(keys: &SparkSubmitKeys, renderer: &Renderer) -> Result<Option<String>, RenderError> {
    let mut out = String::new();
    if keys.deploy_mode == Some(DeployMode("cluster")) {
        line(&mut out, WAIT.0, WAIT.1);
    }
    for (name, value) in keys.conf.iter().flatten() {
        line(&mut out, name, &renderer.text(value)?);
    }
    Ok((!out.is_empty()).then_some(out))
}

fn line(out: &mut String, name: &str, value: &str) {
    let is_special = |c: char| " \t:=#!".contains(c);
    for c in name.chars() {
        escape(out, c, is_special(c));
    }
    out.push('=');
    let mut is_start = true;
    for c in value.chars() {
        is_start &= c == ' ';
        escape(out, c, is_start);
    }
    out.push('\n');
}

fn escape(out: &mut String, c: char, is_special: bool) {
    match c {
        '\\' => out.push_str("\\\\"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\u{c}' => out.push_str("\\f"),
        c if is_special => out.extend(['\\', c]),
        c => out.push(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_written_as_java_reads_them() {
        let mut out = String::new();
        line(&mut out, "a b=c:d#e", "  x = y\\z\nnext ü");
        assert_eq!(out, "a\\ b\\=c\\:d\\#e=\\ \\ x = y\\\\z\\nnext ü\n");
    }
}
