//! What a command finds when it starts.

use anyhow::Result;
use gridflow_tests::{Executor, Ground};

/// Called with how much, or told so on its command line.
const COUNT: &str = "
import json, os, subprocess, sys

def main(much):
    subprocess.run(['bash', '-c', '. $LIBRARY'], check=True)
    return {'much': much, 'major': sys.version_info[0]}

if __name__ == '__main__':
    with open(os.environ['GRIDFLOW_OUTPUT'], 'w') as file:
        json.dump(main(int(sys.argv[1])), file)
";

pub fn values_of_the_environment_arrive_unchanged(ground: &Ground) -> Result<()> {
    let tasks = r#"params: {word: {type: string, default: "it's \"quoted\" $HOME $(date) `id`"}}
tasks:
  a:
    env:
      WORD: "{{ params.word }}"
      LINES: "one\ntwo  \n\tthree"
      DOLLAR: "$(WORD) $$(WORD) %s \\n"
      EMPTY: ""
      NUMBER: 0012
    bash: |
      . $LIBRARY
      test "$WORD" = 'it'\''s "quoted" $HOME $(date) `id`'
      test "$LINES" = $'one\ntwo  \n\tthree'
      test "$DOLLAR" = '$(WORD) $$(WORD) %s \n'
      test -z "$EMPTY"; test -n "${EMPTY+set}"
      test "$NUMBER" = 0012
"#;
    // A shell stops at the first thing that is not so.
    ground.run(tasks, "success").map(drop)
}

pub fn the_context_of_a_task_is_in_its_environment(ground: &Ground) -> Result<()> {
    let tasks = "tasks:
  a:
    bash: |
      . $LIBRARY
      test \"$GRIDFLOW_DAG_ID $GRIDFLOW_RUN_ID $GRIDFLOW_TASK_ID $GRIDFLOW_TRY_NUMBER\" = 'd one a 1'
      test \"$AIRFLOW_CTX_DAG_ID $AIRFLOW_CTX_DAG_RUN_ID $AIRFLOW_CTX_TASK_ID $AIRFLOW_CTX_TRY_NUMBER\" = 'd one a 1'
      test -n \"$TRACEPARENT\"
      test -s \"$GRIDFLOW_CONTEXT\"
      grep -q '\"one\"' \"$GRIDFLOW_CONTEXT\"
      test -n \"$PATH\"
      touch here; test -w .
";
    ground.run(tasks, "success").map(drop)
}

pub fn a_command_finds_the_files_of_its_version(ground: &Ground) -> Result<()> {
    let dags = ground.cluster.path("dags");
    std::fs::create_dir_all(dags.join("jobs/data"))?;
    std::fs::write(dags.join("jobs/say.sh"), ". $LIBRARY\ncat jobs/data/words.txt\n")?;
    std::fs::write(dags.join("jobs/data/words.txt"), "first\n")?;
    std::fs::write(dags.join("jobs/count.py"), COUNT)?;
    let tasks = match ground.executor {
        Executor::Local | Executor::Kubernetes => {
            "files: ['jobs/data/*']
tasks:
  say: {bash: {file: jobs/say.sh}}
  count: {python: {file: jobs/count.py, call: main, args: {much: 12}}}
"
        }
        Executor::Spark => {
            "files: ['jobs/data/*', jobs/say.sh]
tasks:
  say: {spark: {main_file: bash.py, args: [jobs/say.sh]}}
  count: {spark: {main_file: jobs/count.py, args: ['12']}}
"
        }
    };
    ground.run(tasks, "success")?;
    assert_eq!(ground.log_of("say")?, "first\n");
    assert_eq!(ground.output("count")?, r#"{"much":12,"major":3}"#);
    Ok(())
}

pub fn nothing_of_the_scheduler_is_in_the_environment(ground: &Ground) -> Result<()> {
    let tasks = "tasks:
  a:
    bash: |
      . $LIBRARY
      env > \"$(dirname \"$MARKS\")/environment\"
";
    ground.run(tasks, "success")?;
    let environment = ground.written("environment");
    for word in ["GRIDFLOW__", "postgres://", "KUBECONFIG"] {
        assert!(!environment.contains(word), "{word} is in the environment of a command: {environment}");
    }
    Ok(())
}
