//! The runner of `python:` with `call:`, with a real Python.

use std::{fs, path::Path, process::Command};

use super::*;

/// Runs a task's command as an executor would: in a folder with its files. Gives the output or the
/// last line of what it said.
fn run(yaml: &str, files: &[(&str, &str)]) -> Result<Value, String> {
    let compilation = compile("demo.yaml", yaml.as_bytes(), &in_memory(files));
    let dag = compilation.dag.unwrap_or_else(|| panic!("{}", render_text(&compilation.diagnostics)));
    let Ok(Rendered::Command { argv, env, files }) = Launch::default().render(&dag, "a") else { panic!() };
    let folder = tempfile::tempdir().unwrap();
    for (path, bytes) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    let output = folder.path().join("output.json");
    let done = Command::new(&argv[0])
        .args(&argv[1..])
        .envs(env)
        .env("GRIDFLOW_OUTPUT", &output)
        .current_dir(folder.path())
        .output()
        .unwrap();
    match done.status.success() {
        true => Ok(read(&output)),
        false => Err(String::from_utf8_lossy(&done.stderr).trim().lines().last().unwrap_or("").to_owned()),
    }
}

fn read(path: &Path) -> Value {
    fs::read(path).map_or(Value::Null, |bytes| serde_json::from_slice(&bytes).unwrap())
}

const LOAD: &str = "
import helper
from datetime import date

def main(day, n=1, **more):
    return {'day': day, 'n': n * 2, 'more': more, 'date': date(2025, 1, 31), 'set': {2, 1}, 'helper': helper.NAME}

async def later():
    return [1]

def bad():
    return object()

class Job:
    @staticmethod
    def go():
        return 'went'
";

fn load(call: &str) -> Result<Value, String> {
    let yaml = format!("files: jobs/helper.py\ntasks: {{a: {{python: {{file: jobs/load.py, {call}}}}}}}");
    run(&yaml, &[("jobs/load.py", LOAD), ("jobs/helper.py", "NAME = 'beside'")])
}

#[test]
fn the_value_of_a_function_is_the_output() {
    let expected = json!({"day": "2025-01-31", "n": 6, "more": {"x": [1, null]}, "date": "2025-01-31", "set": [1, 2], "helper": "beside"});
    assert_eq!(load("call: main, args: {day: \"{{ ds }}\", n: 3, x: [1, ~]}"), Ok(expected));
    assert_eq!(load("call: later"), Ok(json!([1])));
    assert_eq!(load("call: Job.go"), Ok(json!("went")));
    let code = "tasks:\n  a:\n    python:\n      call: f\n      args: {x: \"{{ try_number }}\"}\n      code: |\n        def f(x):\n            print('said')\n            return x + 1\n";
    assert_eq!(run(code, &[]), Ok(json!(3)));
}

#[test]
fn what_a_call_gets_wrong_is_said_in_one_line() {
    assert_eq!(load("call: nothing"), Err("gridflow: jobs/load.py has no 'nothing'".into()));
    assert_eq!(
        load("call: main"),
        Err("gridflow: main does not take these arguments: missing a required argument: 'day'".into())
    );
    assert_eq!(
        load("call: bad"),
        Err("gridflow: the value that bad returned has no JSON: object is not serializable".into())
    );
}

#[test]
fn files_and_code_run_as_they_are() {
    assert_eq!(
        run(
            "tasks: {a: {python: x.py}}",
            &[("x.py", "import os; open(os.environ['GRIDFLOW_OUTPUT'], 'w').write('7')")]
        ),
        Ok(json!(7))
    );
    assert_eq!(run("tasks: {a: {python: \"raise ValueError('no')\"}}", &[]), Err("ValueError: no".into()));
    assert_eq!(run("tasks: {a: {python: {code: \"print(1)\", interpreter: python3}}}", &[]), Ok(Value::Null));
}
