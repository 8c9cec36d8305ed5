//! Spark jobs by the real program, on a real Kubernetes with the real Spark operator.

use std::{
    ffi::OsString,
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{self, Command},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result};
use gridflow_testkit::{
    kubernetes,
    lake::Lake,
    spark::{ACCOUNT, IMAGE, MASTER, Operator, VERSION},
};
use gridflow_tests::{Cluster, Pods, Program, gridflow, wait_for};
use serde_json::{Value, json};

/// A driver and an executor, each a JVM, on a machine that is busy with others.
const PATIENCE: Duration = Duration::from_secs(400);

/// Half of what a short job takes is compiling what runs once.
const JAVA_OPTIONS: &str = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC";

const DAG: &str = "
dag: d
tasks:
  count:
    spark:
      main_file: job.py
      args: ['{{ run_id }}', '$$HOME $(HOME) ü']
      driver: {env: {AS_IT_IS: '$$HOME $(HOME) ü'}}
      deps: {py_files: numbers_of.py}
    outputs: [run, sum]
  after:
    needs: count
    env: {FOUND: '{{ tasks.count.run }} {{ tasks.count.sum }}'}
    bash: 'test \"$FOUND\" = \"one 4950\"'
";

const JOB: &str = "
import json, os, sys, time
assert sys.argv[2] == os.environ['AS_IT_IS'] == '$$HOME $(HOME) \u{fc}', sys.argv
from numbers_of import numbers
from pyspark.sql import SparkSession

spark = SparkSession.builder.getOrCreate()
print('the session is there', flush=True)
total = spark.sparkContext.parallelize(range(10), 2).flatMap(numbers).sum()
while not os.path.exists(os.path.join(os.environ['FOLDER'], 'go')):
    time.sleep(0.1)
with open(os.environ['GRIDFLOW_OUTPUT'], 'w') as file:
    json.dump({'run': sys.argv[1], 'sum': total}, file)
spark.stop()
";

/// Used by the executors: they have the files of the DAG, too.
const MODULE: &str = "def numbers(ten):\n    return range(ten * 10, ten * 10 + 10)\n";

struct Ground {
    cluster: Cluster,
    pods: Pods,
    dag: &'static str,
    _operator: Operator,
}

impl Ground {
    fn new() -> Result<Option<Self>> {
        let Some(kubernetes) = kubernetes::Cluster::shared()? else { return Ok(None) };
        let Some(operator) = Operator::shared(&kubernetes)? else { return Ok(None) };
        let files = [("d.yaml", DAG), ("job.py", JOB), ("numbers_of.py", MODULE)];
        Self::on(&kubernetes, operator, "d", &files).map(Some)
    }

    fn on(
        kubernetes: &Arc<kubernetes::Cluster>,
        operator: Operator,
        dag: &'static str,
        files: &[(&str, &str)],
    ) -> Result<Self> {
        let cluster = Cluster::new(files)?;
        let pods = Pods::new(kubernetes, &cluster)?;
        operator.prepare(&pods.namespace)?;
        let file = cluster.path("kubernetes.yaml");
        let folder = cluster.path("");
        let folder = folder.to_str().context("temporary folders have plain names")?.trim_end_matches('/');
        let mut clusters: Value = serde_json::from_str(&std::fs::read_to_string(&file)?)?;
        clusters["clusters"]["test"]["spark"] = json!({"spec": {
            "sparkVersion": VERSION, "image": IMAGE, "imagePullPolicy": "Never",
            "sparkConf": {
                "spark.kubernetes.driver.master": MASTER,
                "spark.kubernetes.driver.connectionTimeout": "60000",
                "spark.kubernetes.driver.requestTimeout": "60000",
            },
            "driver": {
                "coreRequest": "100m", "memory": "512m", "serviceAccount": ACCOUNT, "javaOptions": JAVA_OPTIONS,
                "template": {"spec": {
                    "volumes": [{"name": "test", "hostPath": {"path": folder, "type": "Directory"}}],
                    "containers": [{
                        "name": "spark-kubernetes-driver",
                        "volumeMounts": [{"name": "test", "mountPath": folder}],
                        "env": [{"name": "FOLDER", "value": folder}, {"name": "LC_ALL", "value": "C.UTF-8"}],
                    }],
                }},
            },
            "executor": {"instances": 1, "coreRequest": "100m", "memory": "512m", "javaOptions": JAVA_OPTIONS},
        }});
        std::fs::write(&file, clusters.to_string())?;
        Ok(Self { cluster, pods, dag, _operator: operator })
    }

    fn scheduler(&self, name: &str) -> Result<Program> {
        let told: Vec<OsString> = self.pods.arguments().into();
        self.cluster.scheduler_told(name, &told, &[])
    }

    /// Asks for the run, with a scheduler that has read the DAG.
    fn begin(&self) -> Result<Program> {
        let scheduler = self.scheduler("first")?;
        let taken = "SELECT dag_id FROM dag UNION ALL SELECT diagnostics::text FROM import_error";
        let taken = wait_for("the DAG", PATIENCE, || Ok(self.cluster.sql(taken).ok().filter(|now| !now.is_empty())))?;
        anyhow::ensure!(taken == self.dag, "the DAG is not taken: {taken}");
        self.cluster.queue_run(self.dag, "one")?;
        Ok(scheduler)
    }

    fn until(&self, sql: &str, answer: &str, scheduler: &Program) -> Result<()> {
        wait_for(sql, PATIENCE, || Ok((self.cluster.sql(sql).unwrap_or_default() == answer).then_some(())))
            .with_context(|| {
                let seen = self.pods.namespace.kubectl(&["get", "sparkapplications,pods,events"]).unwrap_or_default();
                let attempts = self.cluster.sql("SELECT string_agg(attempt::text, E'\\n') FROM attempt");
                format!("{attempts:?}\n{seen}\n{}", scheduler.log())
            })
    }

    /// Waits until the job's log holds this.
    fn until_logged(&self, text: &str, scheduler: &Program) -> Result<()> {
        let log = || {
            let attempt = self.cluster.sql("SELECT min(attempt_id::text) FROM attempt")?;
            self.cluster.log(&attempt)
        };
        wait_for(text, PATIENCE, || Ok(log().is_ok_and(|log| log.contains(text)).then_some(())))
            .with_context(|| format!("{:?}\n{}", log(), scheduler.log()))
    }

    /// Lets the job end.
    fn go_on(&self) -> Result<()> {
        std::fs::write(self.cluster.path("go"), "").context("letting the job end")
    }

    fn until_success(&self, scheduler: &Program) -> Result<()> {
        self.until("SELECT count(*) FROM dag_run WHERE state IN ('success', 'failed')", "1", scheduler)?;
        self.until("SELECT state FROM dag_run", "success", scheduler)?;
        let attempts = self.cluster.sql("SELECT count(*) FROM attempt")?;
        anyhow::ensure!(attempts == "2", "there were {attempts} attempts: {}", scheduler.log());
        wait_for("nothing to be left", PATIENCE, || {
            let left = self.pods.namespace.kubectl(&["get", "sparkapplications,pods", "--output", "name"])?;
            Ok(left.trim().is_empty().then_some(()))
        })
    }
}

#[test]
fn a_spark_job_runs_with_the_files_of_its_dag_says_how_far_it_is_and_hands_on_its_output() -> Result<()> {
    let Some(ground) = Ground::new()? else { return Ok(()) };
    let scheduler = ground.begin()?;
    ground.until("SELECT count(*) FROM attempt WHERE state = 'running'", "1", &scheduler)?;
    ground.until_logged("gridflow: spark: its UI is at http://198.19.255.", &scheduler)?;
    ground.until("SELECT links->>'Spark UI' LIKE 'http://%:4040' FROM attempt WHERE is_open", "t", &scheduler)?;
    ground.until_logged("gridflow: spark: 1 of 1 stages done\n", &scheduler)?;
    ground.go_on()?;
    ground.until_success(&scheduler)?;
    let summary =
        "gridflow: spark: 1 of 1 stages done, 2 tasks; read 0 bytes, written 0 bytes, shuffled 0 bytes; as seen ";
    ground.until_logged(summary, &scheduler)
}

#[test]
fn a_spark_job_goes_on_while_its_scheduler_is_killed() -> Result<()> {
    let Some(ground) = Ground::new()? else { return Ok(()) };
    let mut scheduler = ground.begin()?;
    ground.go_on()?;
    for name in ["second", "third"] {
        // Once before anything is committed about its driver, or soon after; and once while it runs.
        let state = if name == "second" { "queued" } else { "running" };
        ground.until(&format!("SELECT count(*) FROM attempt WHERE state = '{state}'"), "1", &scheduler)?;
        scheduler.kill()?;
        scheduler = ground.scheduler(name)?;
    }
    ground.until_success(&scheduler)
}

/// The example as it is shipped, but for the name of its table: others may write to the same catalog.
#[test]
fn the_example_publishes_an_iceberg_table_and_its_secrets_are_nowhere_but_in_a_secret() -> Result<()> {
    let Some(kubernetes) = kubernetes::Cluster::shared()? else { return Ok(()) };
    let Some(operator) = Operator::shared(&kubernetes)? else { return Ok(()) };
    let Some(lake) = Lake::shared(&kubernetes)? else { return Ok(()) };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/process_and_publish");
    let names = ["on_kubernetes.yaml", "weather_job.py", "check_staged.py", "sample.csv"];
    let mut files = Vec::new();
    for name in names {
        files.push((name, fs::read_to_string(folder.join(name)).with_context(|| format!("reading {name}"))?));
    }
    let table = format!("of_{}", process::id());
    files[0].1 = files[0].1.replace("weather.daily", &format!("weather.{table}"));
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let ground = Ground::on(&kubernetes, operator, "process_and_publish_on_kubernetes", &files)?;
    ground.pods.namespace.apply(&json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "lake"}, "stringData": lake.variables,
    }))?;

    let scheduler = ground.begin()?;
    ground.until("SELECT count(*) FROM attempt WHERE state = 'running'", "1", &scheduler)?;
    let shown = ground.pods.namespace.kubectl(&["get", "sparkapplications,pods,configmaps", "--output", "yaml"])?;
    assert!(shown.contains("name: lake"), "it is referred to");
    assert!(!shown.contains(&lake.variables["AWS_SECRET_ACCESS_KEY"]), "and its content is not there");
    // Its tasks have a retry each, which a machine that is too busy for Spark's own deadlines may need.
    ground.until("SELECT count(*) FROM dag_run WHERE state IN ('success', 'failed')", "1", &scheduler)?;
    ground.until("SELECT state FROM dag_run", "success", &scheduler)?;

    let rows = "SELECT string_agg(value ->> 'rows', ' ') FROM xcom WHERE value::jsonb ? 'rows'";
    assert_eq!(ground.cluster.sql(rows)?, "240 240 240", "staged, checked, and to be read on `main`");
    let refs = lake.table("weather", &table)?["metadata"]["refs"].clone();
    let mut names: Vec<_> = refs.as_object().context("the refs of the table")?.keys().cloned().collect();
    names.sort_unstable();
    assert_eq!(names, ["main", "published_run_one"]);
    assert_eq!(refs["main"]["snapshot-id"], refs["published_run_one"]["snapshot-id"]);
    let snapshot = "SELECT value ->> 'snapshot' FROM xcom WHERE value::jsonb ? 'snapshot'";
    assert_eq!(refs["main"]["snapshot-id"].to_string(), ground.cluster.sql(snapshot)?);
    Ok(())
}

/// The example for this machine as it is shipped: one run, without a server.
fn example_on_this_machine(folder: &Path, lake: &Lake, params: &[(&str, &str)]) -> Result<String> {
    let services = Path::new(env!("CARGO_MANIFEST_DIR")).join("services");
    let (submit, conf) = (folder.join("spark-submit"), folder.join("conf"));
    // What is secret is known to this machine's Spark, and to no task.
    fs::create_dir_all(&conf)?;
    let known = lake.variables.iter().filter(|(name, _)| name.starts_with("AWS_") || *name == "LAKE_CREDENTIAL");
    let known: String = known.map(|(name, value)| format!("export {name}='{value}'\n")).collect();
    fs::write(conf.join("spark-env.sh"), known)?;
    let (conf, spark) = (conf.display(), services.join("spark"));
    let script = format!("#!/bin/sh\nexport SPARK_CONF_DIR='{conf}'\nexec '{}' submit \"$@\"\n", spark.display());
    fs::write(&submit, script)?;
    fs::set_permissions(&submit, fs::Permissions::from_mode(0o755))?;
    let mut command = Command::new(gridflow()?);
    command.arg("run").arg(services.join("../../examples/process_and_publish/on_this_machine.yaml"));
    command.args(["--logs", "--param"]).arg(format!("spark_submit={}", submit.display()));
    for (name, value) in params {
        command.arg("--param").arg(format!("{name}={value}"));
    }
    let output = command.output().context("running the example")?;
    let log = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    anyhow::ensure!(output.status.success(), "{log}");
    Ok(log)
}

#[test]
fn the_example_publishes_by_spark_submit_into_a_folder_and_onto_an_iceberg_table() -> Result<()> {
    let Some(kubernetes) = kubernetes::Cluster::shared()? else { return Ok(()) };
    // Not for its operator: it says whether there is a Spark.
    let Some(_operator) = Operator::shared(&kubernetes)? else { return Ok(()) };
    let Some(lake) = Lake::shared(&kubernetes)? else { return Ok(()) };
    let folder = tempfile::tempdir()?;
    let root = folder.path().join("weather");
    let root = root.to_str().context("temporary folders have plain names")?;
    let log = example_on_this_machine(folder.path(), &lake, &[("root", root)])?;
    assert!(log.contains("\"rows\": 240"), "{log}");
    assert!(Path::new(root).join("curated/weather/month=2012-03").is_dir(), "{log}");

    let table = format!("by_submit_{}", process::id());
    let name = format!("weather.{table}");
    let log = example_on_this_machine(
        folder.path(),
        &lake,
        &[
            ("root", root),
            ("table", &name),
            ("catalog", &lake.variables["LAKE_CATALOG_URI"]),
            ("s3_endpoint", &lake.variables["LAKE_S3_ENDPOINT"]),
        ],
    )?;
    assert!(log.contains("\"rows\": 240"), "{log}");
    let refs = lake.table("weather", &table)?["metadata"]["refs"].clone();
    let published = refs.as_object().context("the refs of the table")?.iter();
    let published: Vec<_> = published.filter(|(name, _)| name.starts_with("published_run_manual__")).collect();
    assert_eq!(published.len(), 1, "{refs}");
    assert_eq!(refs["main"]["snapshot-id"], published[0].1["snapshot-id"]);
    Ok(())
}
