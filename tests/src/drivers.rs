//! The same DAGs for Spark: each command is what the driver of a SparkApplication runs.

use std::fmt::Write;

use anyhow::{Context, Result};
use gridflow_testkit::spark::{ACCOUNT, IMAGE, MASTER, VERSION};
use serde_json::{Value, json};

use crate::{Cluster, Pods};

/// The program of the driver, beside the DAG.
const PROGRAM: &str = "bash.py";

/// Runs bash. `$DRIVER` is Spark's own process. It deletes the file `$GOES_WITH_THE_DRIVER` if it ends in order, and may
/// be stopped: it goes on when the command has ended, for which it would not wait if it were told to end.
const BASH: &str = r#"
import array, fcntl, os, signal, subprocess, sys, termios, time

if name := os.environ.get("GOES_WITH_THE_DRIVER"):
    from pyspark.java_gateway import launch_gateway

    path = os.path.join(os.path.dirname(os.environ["MARKS"]), name)
    open(path, "w").close()
    launch_gateway().jvm.java.io.File(path).deleteOnExit()
# It is the command's matter. A handler, since what is ignored stays so for everything that is started.
signal.signal(signal.SIGTERM, lambda *_: None)
driver = os.getppid()
code = subprocess.call(["bash", *sys.argv[1:]], env={**os.environ, "DRIVER": str(driver)})
os.kill(driver, signal.SIGCONT)
# Spark hands on what its program has written, but does not wait for the last of it.
left = array.array("i", [1])
while left[0]:
    fcntl.ioctl(1, termios.FIONREAD, left)
    time.sleep(0.05)
time.sleep(0.1)
sys.exit(code if 0 <= code else 128 - code)
"#;

/// What Spark says itself is no part of what a command says. Without any appender it would take its own settings.
const QUIET: &str = "appender.none.type = Null\nappender.none.name = none\n\
    rootLogger.level = off\nrootLogger.appenderRef.none.ref = none\n";

/// Small and quick to start: nothing here needs Spark's own engine.
const JAVA_OPTIONS: &str = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC";

/// Has schedulers of the test make such drivers.
pub fn prepare(cluster: &Cluster, pods: &Pods) -> Result<()> {
    std::fs::create_dir_all(cluster.path("dags"))?;
    std::fs::write(cluster.path("dags").join(PROGRAM), BASH).context("writing the program of drivers")?;
    let quiet = cluster.path("quiet.properties");
    std::fs::write(&quiet, QUIET).context("writing the settings of Spark's log")?;
    let folder = cluster.path("");
    let folder = folder.to_str().context("temporary folders have plain names")?.trim_end_matches('/');
    let container = json!({
        "name": "spark-kubernetes-driver",
        "command": ["/opt/entrypoint.sh"],
        "volumeMounts": [{"name": "test", "mountPath": folder}],
        "env": [
            {"name": "POD_UID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}},
            {"name": "LC_ALL", "value": "C.UTF-8"},
            {"name": "SPARK_LAUNCHER_OPTS", "value": JAVA_OPTIONS},
            // The first process hands signals on to Spark, and to what Spark runs.
            {"name": "TINI_KILL_PROCESS_GROUP", "value": "1"},
        ],
    });
    let volumes = json!([{"name": "test", "hostPath": {"path": folder, "type": "Directory"}}]);
    pods.change_cluster(|test| {
        test["spark"] = json!({"spec": {
            "sparkVersion": VERSION, "image": IMAGE, "imagePullPolicy": "Never",
            "sparkConf": {"spark.kubernetes.driver.master": MASTER},
            "driver": {
                "coreRequest": "50m", "memory": "256m", "memoryOverhead": "128m", "serviceAccount": ACCOUNT,
                "javaOptions": format!("{JAVA_OPTIONS} -Dlog4j2.configurationFile={}", quiet.display()),
                "template": {"spec": {"volumes": volumes, "containers": [container]}},
            },
            "executor": {"instances": 1},
        }});
    })
}

impl Pods {
    /// Changes what schedulers that are started from now on know of the cluster.
    pub fn change_cluster(&self, change: impl FnOnce(&mut Value)) -> Result<()> {
        let text = std::fs::read_to_string(self.file()).context("reading the file of clusters")?;
        let mut file: Value = serde_json::from_str(&text).context("the file of clusters is JSON")?;
        change(&mut file["clusters"]["test"]);
        std::fs::write(self.file(), file.to_string()).context("writing the file of clusters")
    }
}

/// The text with each `bash:` as a `spark:` whose driver runs it.
pub fn as_spark(text: &str) -> String {
    let mut out = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let Some((before, script)) = line.split_once("bash: ") else {
            let _ = writeln!(out, "{line}");
            continue;
        };
        if script != "|" {
            let end = end_of_quoted(script);
            let (script, after) = script.split_at(end);
            let _ = writeln!(out, "{before}spark: {{main_file: {PROGRAM}, args: ['-c', {script}]}}{after}");
            continue;
        }
        let indent = before.len();
        let _ = writeln!(out, "{before}spark:\n{0:indent$}  main_file: {PROGRAM}\n{0:indent$}  args:", "");
        let _ = writeln!(out, "{0:indent$}    - '-c'\n{0:indent$}    - |", "");
        let belongs = |line: &&str| line.trim().is_empty() || indent < line.len() - line.trim_start().len();
        while let Some(line) = lines.next_if(belongs) {
            let _ = writeln!(out, "      {line}");
        }
    }
    out
}

/// Behind the quote that ends what one begins.
fn end_of_quoted(text: &str) -> usize {
    assert!(text.starts_with('\''), "a script on one line stands in single quotes: {text}");
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, char)) = chars.next() {
        if char == '\'' && chars.next_if(|(_, next)| *next == '\'').is_none() {
            return at + 1;
        }
    }
    panic!("no end of a quoted script: {text}");
}

/// Whether a line is one that a driver's JVM says of itself.
pub fn is_of_the_jvm(line: &str) -> bool {
    line.starts_with("WARNING: Using incubator modules")
}

#[cfg(test)]
mod tests {
    use super::as_spark;

    #[test]
    fn scripts_become_arguments_of_a_program() {
        let text = "tasks:\n  a: {bash: 'echo ''x''; true', retries: 1}\n  b:\n    bash: |\n      one\n\n      two\n    grace: 1s\n";
        let expected = "tasks:\n  a: {spark: {main_file: bash.py, args: ['-c', 'echo ''x''; true']}, retries: 1}\n  b:\n    \
            spark:\n      main_file: bash.py\n      args:\n        - '-c'\n        - |\n            one\n      \n            \
            two\n    grace: 1s\n";
        assert_eq!(as_spark(text), expected);
    }
}
