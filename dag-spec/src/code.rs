//! Every diagnostic code with its page: what happened, how to fix it, an example.
//!
//! The pages under `docs/errors/` are made from this table, and its examples are compiled by a test:
//! each `bad` one gives its code, each `good` one compiles.

/// The page of a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    pub what: &'static str,
    pub fix: &'static str,
    /// A file that gives the code; empty where text cannot show it.
    pub bad: &'static str,
    pub good: &'static str,
}

macro_rules! codes {
    ($($variant:ident $id:literal $title:literal { what: $what:literal, fix: $fix:literal, bad: $bad:literal, good: $good:literal })*) => {
        /// The code of a diagnostic. A code never changes its meaning and is never used again.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code { $(#[doc = $title] $variant,)* }

        impl Code {
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $id,)* }
            }

            pub fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }

            pub fn page(self) -> Page {
                match self { $(Self::$variant => Page { what: $what, fix: $fix, bad: $bad, good: $good },)* }
            }
        }
    };
}

impl Code {
    /// The page in Markdown, as it is in `docs/errors/` and as `gridflow explain` shows it.
    pub fn markdown(self) -> String {
        let Page { what, fix, bad, good } = self.page();
        let mut out = format!("# {self}: {}\n\n{what}\n\n{fix}\n", self.title());
        if !bad.is_empty() {
            out.push_str(&format!("\nWrong:\n\n```yaml\n{}\n```\n", bad.trim()));
        }
        if !good.is_empty() {
            out.push_str(&format!("\nRight:\n\n```yaml\n{}\n```\n", good.trim()));
        }
        out
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Code {
    type Err = UnknownCode;

    fn from_str(text: &str) -> Result<Self, UnknownCode> {
        let found = Self::ALL.iter().copied().find(|code| code.as_str().eq_ignore_ascii_case(text.trim()));
        found.ok_or_else(|| UnknownCode(text.to_owned()))
    }
}

/// A text that is no code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no diagnostic `{0}`")]
pub struct UnknownCode(String);

codes! {
    NotUtf8 "GF0101" "the file is not UTF-8" {
        what: "A DAG file is text in UTF-8. The message names the first byte that is not.",
        fix: "Save the file as UTF-8. `iconv -f latin1 -t utf-8` converts a file of an older system.",
        bad: "",
        good: ""
    }
    TooLarge "GF0102" "the file is too large" {
        what: "A DAG file has at most 1 MiB.",
        fix: "Move scripts and data into files beside it: `bash: {file: extract.sh}`.",
        bad: "",
        good: ""
    }
    Tab "GF0103" "a tab indents a line" {
        what: "YAML is indented with spaces; a tab has no width that everyone agrees on.",
        fix: "Replace the tab with spaces.",
        bad: "tasks:\n\thello: echo hello",
        good: "tasks:\n  hello: echo hello"
    }
    Syntax "GF0104" "the file is not valid YAML" {
        what: "The file cannot be read as YAML from this place on.",
        fix: "Look at the place and the line above it.",
        bad: "tasks:\n  hello: \"echo \\q\"",
        good: "tasks:\n  hello: \"echo q\""
    }
    Indentation "GF0105" "a line does not fit the lines above it" {
        what: "The line belongs to no map or list that is open above it: its indentation is off, or a `:` is missing.",
        fix: "Line it up with its neighbours, and put `: ` behind each key.",
        bad: "tasks:\n  hello:\n    bash: echo hello\n   retries: 2",
        good: "tasks:\n  hello:\n    bash: echo hello\n    retries: 2"
    }
    Unclosed "GF0106" "a quote or bracket is not closed" {
        what: "A quote, `[` or `{` is opened and never closed.",
        fix: "Close it. A `'` inside of `'…'` is doubled, a `\"` inside of `\"…\"` is written `\\\"`.",
        bad: "tags: [sales, daily\ntasks: {hello: echo hello}",
        good: "tags: [sales, daily]\ntasks: {hello: echo hello}"
    }
    TooComplex "GF0107" "the file is nested or repeated too much" {
        what: "Maps and lists nest at most 64 levels, and a file has at most 500,000 values after its aliases are expanded, and at most 1,000 aliases. A small file of aliases of aliases would otherwise fill the memory.",
        fix: "Put common keys into `defaults:` instead of repeating them with aliases.",
        bad: "description: &a [*a]\ntasks: {hello: echo hello}",
        good: "defaults: {retries: 2}\ntasks: {hello: echo hello}"
    }
    SeveralDocuments "GF0108" "the file has several documents" {
        what: "A `---` begins a second YAML document. One file is one DAG.",
        fix: "Put each DAG into a file of its own.",
        bad: "tasks: {hello: echo hello}\n---\ntasks: {bye: echo bye}",
        good: "tasks: {hello: echo hello}"
    }
    DuplicateKey "GF0109" "a key is written twice" {
        what: "A map has the same key twice. One of the two values would silently be lost.",
        fix: "Remove one, or merge their values.",
        bad: "tasks:\n  hello:\n    bash: echo hello\n    bash: echo again",
        good: "tasks:\n  hello:\n    bash: |\n      echo hello\n      echo again"
    }
    KeyNotText "GF0110" "a key is not a text" {
        what: "The key of a map is a list or a map.",
        fix: "Use a text as key.",
        bad: "tasks:\n  hello:\n    bash: echo hello\n    env: {[A, B]: 1}",
        good: "tasks:\n  hello:\n    bash: echo hello\n    env: {A: 1, B: 1}"
    }
    UnknownTag "GF0111" "a YAML tag means nothing here" {
        what: "A value has a tag (`!name`). DAG files have no tags of their own.",
        fix: "Remove the tag. If the value begins with `!`, quote it.",
        bad: "tasks:\n  hello: !shell echo hello",
        good: "tasks:\n  hello: echo hello"
    }
    UnquotedStart "GF0112" "a value begins with a character that YAML reserves" {
        what: "An unquoted value begins with `@`, `` ` ``, `*`, `&`, `!` or `%`, which mean something to YAML.",
        fix: "Quote the value; the message shows the corrected line.",
        bad: "schedule: @daily\ntasks: {hello: echo hello}",
        good: "schedule: \"@daily\"\ntasks: {hello: echo hello}"
    }
    UnquotedTemplate "GF0113" "a template is not quoted" {
        what: "An unquoted value begins with `{{` or `{%`. To YAML, `{` begins a map.",
        fix: "Quote the value; the message shows the corrected line.",
        bad: "tasks:\n  hello:\n    bash: echo $DAY\n    env:\n      DAY: {{ ds }}",
        good: "tasks:\n  hello:\n    bash: echo $DAY\n    env:\n      DAY: \"{{ ds }}\""
    }
    ColonInText "GF0114" "a `: ` inside an unquoted value" {
        what: "An unquoted value of one line holds a `: `, which begins a new key to YAML.",
        fix: "Quote the value, or write it as a block with `|`; the message shows the corrected line.",
        bad: "tasks:\n  hello:\n    bash: echo status: ok",
        good: "tasks:\n  hello:\n    bash: \"echo status: ok\""
    }
    TextAfterQuote "GF0115" "something follows a quoted value" {
        what: "A value begins with a quote, so to YAML it ends with the matching one; here more follows.",
        fix: "Quote the whole value; the message shows the corrected line.",
        bad: "tasks:\n  hello:\n    bash: \"$HOME/bin/run\" --all",
        good: "tasks:\n  hello:\n    bash: '\"$HOME/bin/run\" --all'"
    }
    CommentInShell "GF0116" "a ` #` cuts a shell command off" {
        what: "An unquoted command of one line holds a ` #`, which begins a comment to YAML. The command would end inside of a quote or bracket.",
        fix: "Quote the command; the message shows the corrected line.",
        bad: "tasks:\n  hello:\n    bash: grep \" #\" notes.txt",
        good: "tasks:\n  hello:\n    bash: 'grep \" #\" notes.txt'"
    }
    EmptyFile "GF0117" "the file is empty" {
        what: "The file has nothing but comments and blanks.",
        fix: "A DAG needs at least `tasks:`.",
        bad: "# nothing yet",
        good: "tasks: {hello: echo hello}"
    }
    UnknownKey "GF0201" "a key is not known" {
        what: "A map has a key that means nothing here. It is refused, because a key that is silently ignored is a retry that never happens.",
        fix: "Correct the key; the message names the nearest one that exists. `docs/yaml-reference.md` lists them all.",
        bad: "tasks:\n  hello: {bash: echo hello, retires: 3}",
        good: "tasks:\n  hello: {bash: echo hello, retries: 3}"
    }
    MissingKey "GF0202" "a key is missing" {
        what: "A map lacks a key that it cannot do without.",
        fix: "Add the key.",
        bad: "tasks:\n  archive:\n    copy_file: {from: /data/a.csv}",
        good: "tasks:\n  archive:\n    copy_file: {from: /data/a.csv, to: /archive/}"
    }
    WrongType "GF0203" "a value has the wrong type" {
        what: "A value is of another type than its key takes: a list where a text belongs, a text where a number belongs.",
        fix: "Write the value as the message says. Quotes make text of numbers: `3` is a number, `\"3\"` is not.",
        bad: "tasks:\n  hello: {bash: echo hello, retries: twice}",
        good: "tasks:\n  hello: {bash: echo hello, retries: 2}"
    }
    NoTasks "GF0204" "the DAG has no tasks" {
        what: "A DAG or a group has no task.",
        fix: "Add one; hello world is `tasks: {hello: echo hello}`.",
        bad: "dag: demo\ntasks: {}",
        good: "dag: demo\ntasks: {hello: echo hello}"
    }
    NoOperator "GF0205" "a task has no operator" {
        what: "A task says when to run but not what. The operator is a key of the task: `bash:`, `python:`, `exec:` and so on.",
        fix: "Add an operator. A task that only joins others is `empty: {}`.",
        bad: "tasks:\n  extract: echo extract\n  done: {needs: extract}",
        good: "tasks:\n  extract: echo extract\n  done: {needs: extract, empty: {}}"
    }
    SeveralOperators "GF0206" "a task has several operators" {
        what: "A task has two operators. A task does one thing, so that it can be tried again by itself.",
        fix: "Make two tasks, the second with `needs:`.",
        bad: "tasks:\n  load: {bash: echo fetch, python: print(1)}",
        good: "tasks:\n  fetch: echo fetch\n  load: {needs: fetch, python: print(1)}"
    }
    TooMany "GF0207" "there are too many of something" {
        what: "A DAG has at most 20,000 tasks.",
        fix: "Split the DAG, and start one part from the other with `trigger_dag`.",
        bad: "",
        good: ""
    }
    KeyConflict "GF0208" "two keys exclude each other" {
        what: "Two keys say the same thing, or things that cannot both be.",
        fix: "Keep one of them.",
        bad: "schedule: \"0 6 * * *\"\ntrigger: {schedule: 90m}\ntasks: {hello: echo hello}",
        good: "schedule: \"0 6 * * *\"\ntasks: {hello: echo hello}"
    }
    InvalidId "GF0301" "an id has characters that ids do not have" {
        what: "Ids of DAGs and tasks have letters, digits, `_` and `-`, and at most 250 characters. The `.` separates a group from its tasks.",
        fix: "Rename it; the message proposes a name.",
        bad: "tasks: {\"load data\": echo hello}",
        good: "tasks: {load_data: echo hello}"
    }
    UnknownTask "GF0302" "`needs` names a task that does not exist" {
        what: "`needs:` names something that is neither a task nor a group of this DAG.",
        fix: "Correct the name; the message names the nearest one. A task of a group is `group.task`; inside of the group `task` is enough.",
        bad: "tasks:\n  extract: echo extract\n  load: {needs: extarct, bash: echo load}",
        good: "tasks:\n  extract: echo extract\n  load: {needs: extract, bash: echo load}"
    }
    NeedsItself "GF0303" "a task needs itself" {
        what: "A task or group waits for itself, or for the group that it is part of, so it could never start.",
        fix: "Remove the name from `needs:`.",
        bad: "tasks:\n  hello: {needs: hello, bash: echo hello}",
        good: "tasks:\n  hello: {bash: echo hello}"
    }
    DuplicateNeed "GF0304" "a task is needed twice" {
        what: "`needs:` names the same task twice.",
        fix: "Remove one of the two.",
        bad: "tasks:\n  a: echo a\n  b: {needs: [a, a], bash: echo b}",
        good: "tasks:\n  a: echo a\n  b: {needs: [a], bash: echo b}"
    }
    Cycle "GF0305" "tasks need each other in a circle" {
        what: "Following `needs:` leads back to the start, so none of these tasks could ever be the first. The message names the whole way.",
        fix: "Remove one of these `needs`.",
        bad: "tasks:\n  a: {needs: b, bash: echo a}\n  b: {needs: a, bash: echo b}",
        good: "tasks:\n  a: {bash: echo a}\n  b: {needs: a, bash: echo b}"
    }
    DuplicateTask "GF0306" "two things have the same id" {
        what: "Two tasks or groups come to the same id, or two triggers of a DAG have the same name.",
        fix: "Rename one of them. Two triggers of one kind need a `name:` each.",
        bad: "trigger:\n  - file: {path: /in/a}\n  - file: {path: /in/b}\ntasks: {hello: echo hello}",
        good: "trigger:\n  - file: {path: /in/a, name: a}\n  - file: {path: /in/b, name: b}\ntasks: {hello: echo hello}"
    }
    Unreachable "GF0307" "a task can never run" {
        what: "However the tasks before it end, the trigger rule of this task is not satisfied. An `empty` task, for example, never fails, so nothing behind it alone waits for a failure with success.",
        fix: "Change `trigger_rule` or `needs`.",
        bad: "tasks:\n  start: {empty: {}}\n  alert: {needs: start, trigger_rule: one_failed, bash: echo alert}",
        good: "tasks:\n  start: echo start\n  alert: {needs: start, trigger_rule: one_failed, bash: echo alert}"
    }
    BadCron "GF0401" "a cron expression cannot be read" {
        what: "A cron expression has five fields: minute, hour, day of month, month, day of week. Names (`MON`, `JAN`), ranges, lists, steps, `L` (last) and `#` (n-th weekday) are understood, and the presets `@hourly @daily @weekly @monthly @quarterly @yearly @once @continuous`.",
        fix: "Correct the field that the message names.",
        bad: "schedule: \"0 25 * * *\"\ntasks: {hello: echo hello}",
        good: "schedule: \"0 5 * * MON-FRI\"\ntasks: {hello: echo hello}"
    }
    BadDuration "GF0402" "a duration cannot be read" {
        what: "A duration is a number with a unit, or several of them: `30s`, `5m`, `1h30m`, `2d`. ISO 8601 (`PT5M`) is understood, too. A bare number is refused, because nobody can tell whether it means seconds or minutes.",
        fix: "Add the unit.",
        bad: "tasks:\n  hello: {bash: echo hello, retry_delay: 300}",
        good: "tasks:\n  hello: {bash: echo hello, retry_delay: 300s}"
    }
    BadSize "GF0403" "a size cannot be read" {
        what: "A size is a number of bytes with a unit: `500k`, `10MB` (decimal), `10MiB`, `2Gi` (binary), or a bare number of bytes.",
        fix: "Write the size in one of these forms.",
        bad: "trigger: {file: {path: /in, max_size: 10 megs}}\ntasks: {hello: echo hello}",
        good: "trigger: {file: {path: /in, max_size: 10MiB}}\ntasks: {hello: echo hello}"
    }
    BadTimezone "GF0404" "a time zone does not exist" {
        what: "The name is not in the IANA time zone database.",
        fix: "Use a name such as `Europe/Berlin` or `UTC`; the message proposes the nearest.",
        bad: "timezone: Europe/Berln\ntasks: {hello: echo hello}",
        good: "timezone: Europe/Berlin\ntasks: {hello: echo hello}"
    }
    BadDate "GF0405" "a date cannot be read" {
        what: "A date is written `2025-01-31`, with a time `2025-01-31T06:00`, and with an offset `2025-01-31T06:00:00+02:00`. Without an offset it is read in the DAG's `timezone`.",
        fix: "Write the date in one of these forms.",
        bad: "start_date: 31.01.2025\ntasks: {hello: echo hello}",
        good: "start_date: 2025-01-31\ntasks: {hello: echo hello}"
    }
    OutOfRange "GF0406" "a number is out of its range" {
        what: "A number is smaller or greater than its key takes.",
        fix: "Use a number in the range that the message names.",
        bad: "max_active_runs: 0\ntasks: {hello: echo hello}",
        good: "max_active_runs: 1\ntasks: {hello: echo hello}"
    }
    UnknownName "GF0407" "a value is none of the names allowed here" {
        what: "The key takes one of a few names, and this is none of them.",
        fix: "Use one of the names that the message lists.",
        bad: "tasks:\n  a: echo a\n  b: {needs: a, trigger_rule: all_succes, bash: echo b}",
        good: "tasks:\n  a: echo a\n  b: {needs: a, trigger_rule: all_success, bash: echo b}"
    }
    BadPattern "GF0408" "a pattern cannot be read" {
        what: "A regular expression or a pattern of file names is not well formed.",
        fix: "Correct it; the message says what is wrong with it.",
        bad: "params: {day: {type: string, pattern: \"[0-9\"}}\ntasks: {hello: echo hello}",
        good: "params: {day: {type: string, pattern: \"[0-9]+\"}}\ntasks: {hello: echo hello}"
    }
    EmptyWindow "GF0409" "an end is before its start" {
        what: "`end_date` is before `start_date`, so nothing would ever run.",
        fix: "Correct one of the dates.",
        bad: "start_date: 2025-02-01\nend_date: 2025-01-01\ntasks: {hello: echo hello}",
        good: "start_date: 2025-01-01\nend_date: 2025-02-01\ntasks: {hello: echo hello}"
    }
    BadEnvName "GF0410" "a name is no name of an environment variable" {
        what: "Names of environment variables have letters, digits and `_`, and do not begin with a digit. `GRIDFLOW_` and `AIRFLOW_CTX_` are set by Gridflow itself.",
        fix: "Rename the variable.",
        bad: "env: {data-dir: /data}\ntasks: {hello: echo hello}",
        good: "env: {DATA_DIR: /data}\ntasks: {hello: echo hello}"
    }
    BadDefault "GF0411" "a default contradicts its own param" {
        what: "The default of a param is none of the values that the param allows.",
        fix: "Correct the default, or the type and bounds.",
        bad: "params: {rows: {type: integer, minimum: 1, default: 0}}\ntasks: {hello: echo hello}",
        good: "params: {rows: {type: integer, minimum: 1, default: 1}}\ntasks: {hello: echo hello}"
    }
    TemplateSyntax "GF0501" "a template cannot be read" {
        what: "The Jinja of a value is not well formed.",
        fix: "Correct it at the place that the message points to.",
        bad: "tasks:\n  hello: echo {{ ds",
        good: "tasks:\n  hello: echo {{ ds }}"
    }
    UnknownVariable "GF0502" "a template uses a variable that does not exist" {
        what: "Templates know Airflow's variables (`ds`, `params`, `dag_run` …), `tasks`, `trigger` and `run_after`. Variables that Airflow has removed are named with what took their place.",
        fix: "Correct the name; a param is `params.NAME`, an output is `tasks.ID`.",
        bad: "tasks:\n  hello: echo {{ execution_date }}",
        good: "tasks:\n  hello: echo {{ logical_date }}"
    }
    UnknownParam "GF0503" "a template uses a param that does not exist" {
        what: "The DAG declares no param of this name.",
        fix: "Correct the name, or declare the param under `params:`.",
        bad: "params: {table: sales}\ntasks:\n  hello: echo {{ params.tabel | sh }}",
        good: "params: {table: sales}\ntasks:\n  hello: echo {{ params.table | sh }}"
    }
    UnknownTaskInTemplate "GF0504" "a template uses a task that does not exist" {
        what: "`tasks.ID` names no task of this DAG.",
        fix: "Correct the name. A task of a group is `tasks['group.id']`.",
        bad: "tasks:\n  extract: echo extract\n  load: {needs: extract, exec: [echo, \"{{ tasks.extrakt }}\"]}",
        good: "tasks:\n  extract: echo extract\n  load: {needs: extract, exec: [echo, \"{{ tasks.extract }}\"]}"
    }
    UnknownOutput "GF0505" "a template uses an output that its task does not have" {
        what: "The operator, or the task's `outputs:`, declares the fields of the output, and this is none of them.",
        fix: "Correct the field, or add it to `outputs:`.",
        bad: "tasks:\n  check: {validate_file: {path: /data/a.csv}}\n  load: {needs: check, exec: [echo, \"{{ tasks.check.lines }}\"]}",
        good: "tasks:\n  check: {validate_file: {path: /data/a.csv}}\n  load: {needs: check, exec: [echo, \"{{ tasks.check.rows }}\"]}"
    }
    OutputWithoutNeed "GF0506" "an output is used without waiting for its task" {
        what: "No path of `needs:` leads from this task to the one whose output it uses, so the output might not be there yet.",
        fix: "Add the task to `needs:`.",
        bad: "tasks:\n  extract: echo extract\n  load: {exec: [echo, \"{{ tasks.extract }}\"]}",
        good: "tasks:\n  extract: echo extract\n  load: {needs: extract, exec: [echo, \"{{ tasks.extract }}\"]}"
    }
    OutputMayBeMissing "GF0507" "an output may be missing when it is used" {
        what: "The trigger rule lets this task run although the other one failed or was skipped, and then has no output.",
        fix: "Say with `default` what stands in for it.",
        bad: "tasks:\n  extract: echo extract\n  report: {needs: extract, trigger_rule: all_done, exec: [echo, \"{{ tasks.extract }}\"]}",
        good: "tasks:\n  extract: echo extract\n  report: {needs: extract, trigger_rule: all_done, exec: [echo, \"{{ tasks.extract | default('nothing') }}\"]}"
    }
    UnsafeShell "GF0508" "a value goes into a shell command unquoted" {
        what: "A value from outside (`params`, `trigger`, `tasks`, `var`, `dag_run.conf`) stands in a shell command as it is. A file named `; rm -rf ~` would be a command. Dates and ids of Gridflow's own are safe.",
        fix: "Quote it with `| sh`, outside of other quotes, or pass it through `env:`. `| raw` says that it is meant to be a command.",
        bad: "params: {name: world}\ntasks:\n  hello: echo hello {{ params.name }}",
        good: "params: {name: world}\ntasks:\n  hello: echo hello {{ params.name | sh }}"
    }
    UnknownFilter "GF0509" "a template uses a filter, test or function that does not exist" {
        what: "Templates have Jinja's stock of filters and tests, Airflow's `ds`, `ts` and so on, and `sh` and `raw`.",
        fix: "Correct the name; the reference lists them all.",
        bad: "tasks:\n  hello: echo {{ ds | uper }}",
        good: "tasks:\n  hello: echo {{ ds | upper }}"
    }
    NoTrigger "GF0510" "a template uses `trigger` in a DAG that has none" {
        what: "`trigger` holds what started the run, and nothing but people and schedules starts this DAG.",
        fix: "Add `trigger:`, or pass the value as a param.",
        bad: "tasks:\n  hello: {exec: [echo, \"{{ trigger.path }}\"]}",
        good: "trigger: {file: {path: /in}}\ntasks:\n  hello: {exec: [echo, \"{{ trigger.path }}\"]}"
    }
    TemplateNotAllowed "GF0511" "a template is not possible here" {
        what: "This key is read when the file is loaded, when there is no run whose values a template could use. Python code is not rendered either.",
        fix: "Write the value itself. Python takes values as `args:` of a `call:`, or through `env:`.",
        bad: "params: {n: 3}\ntasks:\n  hello: {bash: echo hello, retries: \"{{ params.n }}\"}",
        good: "tasks:\n  hello: {bash: echo hello, retries: 3}"
    }
    UnknownAttribute "GF0512" "a template uses an attribute that does not exist" {
        what: "The variable exists, but has no attribute of this name.",
        fix: "Correct the name; the message lists those that exist.",
        bad: "tasks:\n  hello: echo {{ dag_run.id }}",
        good: "tasks:\n  hello: echo {{ dag_run.run_id }}"
    }
    DynamicName "GF0513" "a template computes the name of a task or param" {
        what: "Names of tasks and params are checked when the file is loaded, so they must be written out.",
        fix: "Write `tasks.ID`, `tasks['group.id']` or `params.NAME`.",
        bad: "params: {which: a, a: 1}\ntasks:\n  hello: {exec: [echo, \"{{ params[params.which] }}\"]}",
        good: "params: {a: 1}\ntasks:\n  hello: {exec: [echo, \"{{ params.a }}\"]}"
    }
    ExecutorNotPossible "GF0601" "a task has no choice of its executor" {
        what: "`executor:` and `kubernetes:` are for tasks that run a process. `empty` and `trigger_dag` start none, `pod` is a pod and `spark` a SparkApplication whatever is said.",
        fix: "Remove the key from the task.",
        bad: "tasks:\n  start: {empty: {}, executor: kubernetes}",
        good: "tasks:\n  hello: {bash: echo hello, executor: kubernetes}"
    }
    NotOnKubernetes "GF0602" "settings of a pod for a task that runs in none" {
        what: "The task has `kubernetes:`, and its executor is the local one, so nothing comes of it.",
        fix: "Add `executor: kubernetes` to the task or to the DAG, or remove `kubernetes:`.",
        bad: "tasks:\n  hello: {bash: echo hello, kubernetes: {image: python:3.12}}",
        good: "executor: kubernetes\ntasks:\n  hello: {bash: echo hello, kubernetes: {image: python:3.12}}"
    }
    BadQuantity "GF0603" "a quantity of Kubernetes cannot be read" {
        what: "An amount of CPU is a number or thousandths of it (`2`, `500m`); one of memory is bytes with a unit, `512Mi` (binary) or `500M` (decimal). Units are written exactly so: `1gb` and `1GB` are none, and `500m` of memory is half a byte.",
        fix: "Write the quantity in one of these forms; the message proposes one.",
        bad: "tasks:\n  hello: {bash: echo hello, executor: kubernetes, kubernetes: {resources: {cpu: 1, memory: 1GB}}}",
        good: "tasks:\n  hello: {bash: echo hello, executor: kubernetes, kubernetes: {resources: {cpu: 1, memory: 1Gi}}}"
    }
    BadManifest "GF0604" "an object of Kubernetes is not what Kubernetes takes" {
        what: "A part of a manifest has the wrong form: a container without a name, a text where Kubernetes takes a list, a key in another spelling. Keys that are not known here go through as they are.",
        fix: "Correct it; the message shows how Kubernetes writes it.",
        bad: "tasks:\n  hello: {pod: {image: busybox, command: echo hello}}",
        good: "tasks:\n  hello: {pod: {image: busybox, command: [echo, hello]}}"
    }
    StartsAgain "GF0605" "something other than Gridflow would start the work again" {
        what: "A pod or Spark application that is started again by Kubernetes or by the Spark operator hides its failure, and may run twice. Here each try is an attempt of its own, with its log and its end.",
        fix: "Remove the key, and give the task `retries:` and `retry_delay:`.",
        bad: "tasks:\n  hello: {pod: {image: busybox, spec: {restartPolicy: OnFailure}}}",
        good: "tasks:\n  hello: {pod: {image: busybox}, retries: 3}"
    }
    SecretInObject "GF0606" "a secret would stand where many may read it" {
        what: "A value of a Spark configuration looks like a secret. It would stand in the SparkApplication, and in the arguments and logs of Spark.",
        fix: "Keep it in a Kubernetes Secret. `secrets: NAME` makes environment variables of its keys, and a value `${env.VARIABLE}` of Hadoop's configuration reads one; S3 reads `AWS_SECRET_ACCESS_KEY` by itself.",
        bad: "tasks:\n  job:\n    spark:\n      main_file: local:///opt/app/job.py\n      conf: {spark.hadoop.fs.s3a.secret.key: hunter2}",
        good: "tasks:\n  job:\n    spark:\n      main_file: local:///opt/app/job.py\n      secrets: minio"
    }
    MissingFile "GF0801" "a file does not exist" {
        what: "The DAG refers to a file that is not there.",
        fix: "Correct the path; it is relative to the DAG file.",
        bad: "tasks:\n  extract: {bash: {file: extarct.sh}}",
        good: "tasks:\n  extract: {bash: {file: extract.sh}}"
    }
    FileOutside "GF0802" "a file lies outside the bundle" {
        what: "A DAG refers only to files of its own bundle, so that a version of the DAG holds everything it needs.",
        fix: "Move the file into the bundle, and name it by a path relative to the DAG file.",
        bad: "tasks:\n  extract: {bash: {file: /opt/extract.sh}}",
        good: "tasks:\n  extract: {bash: {file: extract.sh}}"
    }
    FileUnreadable "GF0803" "a file cannot be read" {
        what: "The file is there, and the system refuses to give its bytes.",
        fix: "Check the permissions of the file and of its folder.",
        bad: "",
        good: ""
    }
    FileTooLarge "GF0804" "a file is too large" {
        what: "A file that a DAG refers to has at most 16 MiB, and all of them together 64 MiB: every version of the DAG keeps them.",
        fix: "Large data belongs into object storage or a shared folder, not beside a DAG.",
        bad: "",
        good: ""
    }
    BadSchemaFile "GF0805" "a schema of a file is not consistent" {
        what: "The schema that `validate_file` goes by names a column twice, or names columns that it does not have.",
        fix: "Correct the schema at the place that the message points to.",
        bad: "tasks:\n  check:\n    validate_file:\n      path: /data/a.csv\n      schema: {columns: [{name: id, type: integer}], unique: key}",
        good: "tasks:\n  check:\n    validate_file:\n      path: /data/a.csv\n      schema: {columns: [{name: id, type: integer}], unique: id}"
    }
    DuplicateDag "GF0806" "two files define the same DAG" {
        what: "The id of a DAG is unique in a workspace. The first file keeps it; the second is refused, and the message names both.",
        fix: "Give one of them another id with `dag:`, or another file name.",
        bad: "",
        good: ""
    }
    NotAvailable "GF0901" "a feature is not available in this version" {
        what: "The language knows this, and this version of Gridflow cannot do it yet. It is refused rather than ignored.",
        fix: "Use what the message proposes, or a newer version.",
        bad: "trigger: {kafka: {topic: orders}}\ntasks: {hello: echo hello}",
        good: "trigger: {file: {path: /in}}\ntasks: {hello: echo hello}"
    }
}
