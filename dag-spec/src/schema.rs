//! The JSON Schema and the reference, from the same declarations that reading uses.

use serde_json::{Value, json};

use crate::{
    clusters::{ClusterKeys, ClustersKeys, KeepKeys},
    dag::{DagKeys, Groups, TaskDefaults},
    inherited::BundleKeys,
    operator::{Description, Operator, Outputs},
    read::{Definitions, Field, Read, Spec, object_schema},
    suggest,
    template::{DATE_ATTRIBUTES, DATE_METHODS, FILTERS, VARIABLES},
};

/// The version of the language, part of the schema's name.
const VERSION: u32 = 1;

/// The JSON Schema of DAG files, for editors and programs.
pub fn json_schema() -> Value {
    let mut definitions = Definitions::default();
    let fields = DagKeys::fields(&mut definitions);
    let mut schema = object_schema(DagKeys::doc(), &fields);
    schema["required"] = json!(["tasks"]);
    document("dag", "Gridflow DAG", schema, definitions)
}

const INTRODUCTION: &str = r#"# YAML reference

This page is generated from the types that read DAG files.

```yaml
tasks:
  extract: {bash: {file: extract.sh}, retries: 3}
  load: {needs: extract, python: {file: jobs/load.py, call: main, args: {day: "{{ ds }}"}}}
```

A file is UTF-8 text in YAML 1.2, with at most 1 MiB.
Keys that take a text take the scalar as it is written: `0012` and `yes` stay what they are.
Durations have units (`30s`, `1h30m`, `2d`, or ISO 8601), sizes too (`10MiB`).
`gridflow dags validate` reports every problem of a file at once; each has a code with a page in `docs/errors/`.
"#;

const TEMPLATES: &str = r#"
## Templates

Values are Jinja templates; keys that are read when the file is loaded (numbers, names, dates, paths of files beside the DAG) are not.
Undefined is an error: `{{ params.x | default('y') }}` stands in for what may be missing.
A value that is exactly one expression keeps its type; where a text is needed, a truth is `true` or `false`, and a list or map is JSON.
In a longer text values print as in Airflow: `True`, `None`, `2025-01-31 06:00:00+00:00`.

In `bash:` the dates and ids are safe as they are.
Anything from `params`, `trigger`, `tasks`, `var` or `dag_run.conf` is quoted with `| sh` or passed through `env:`; `| raw` says that it is meant to be part of the command.
Files of scripts, and Python code, are run as they are.

| Variable | Meaning |
| --- | --- |
"#;

/// The reference of the language, in Markdown.
pub fn reference_markdown() -> String {
    let mut definitions = Definitions::default();
    let dag = DagKeys::fields(&mut definitions);
    Groups::shape(&mut definitions);
    let operators = Operator::descriptions(&mut definitions);
    let mut out = INTRODUCTION.to_owned();
    section(&mut out, 2, "dag", DagKeys::doc(), &dag);
    let defaults = TaskDefaults::fields(&mut definitions);
    let known = |name: &str| definitions.sections.get(name).cloned().unwrap_or_default();
    for name in ["schedule", "trigger.file", "trigger.file.ripen", "param", "group", "task"] {
        let (doc, fields) = known(name);
        section(&mut out, 2, name, &doc, &fields);
    }
    section(&mut out, 2, TaskDefaults::NAME, TaskDefaults::doc(), &defaults);
    for name in ["kubernetes", "kubernetes.source"] {
        let (doc, fields) = known(name);
        section(&mut out, if name.contains('.') { 3 } else { 2 }, name, &doc, &fields);
    }
    out.push_str("\n## Operators\n\nA task has exactly one of these keys.\n");
    for Description { key, summary, shape, outputs } in operators {
        out.push_str(&format!("\n### {key}\n\n{summary}\n\nValue: {}.\n", paragraph(&shape.phrase)));
        let prefix = format!("{key}.");
        for (name, (doc, fields)) in
            definitions.sections.iter().filter(|(name, _)| *name == key || name.starts_with(&prefix))
        {
            if name == key {
                out.push_str(&format!("\n{}\n", paragraph(doc)));
                table(&mut out, fields);
            } else {
                section(&mut out, 4, name, doc, fields);
            }
        }
        out.push_str(&outputs_table(outputs));
    }
    for name in ["file-schema", "file-schema-column"] {
        let (doc, fields) = known(name);
        section(&mut out, 3, name, &doc, &fields);
    }
    section(&mut out, 2, BundleKeys::NAME, BundleKeys::doc(), &[]);
    out.push_str(BUNDLE);
    table(&mut out, &BundleKeys::fields(&mut definitions));
    clusters(&mut out, &mut definitions);
    out.push_str(TEMPLATES);
    for variable in VARIABLES {
        out.push_str(&format!("| `{}` | {} |\n", variable.name, cell(variable.doc)));
    }
    out.push_str("\nIn a run that a file started, `trigger` has:\n\n| Field | Meaning |\n| --- | --- |\n");
    for (name, doc) in crate::dag::FILE_TRIGGER_FIELDS {
        out.push_str(&format!("| `trigger.{name}` | {} |\n", cell(doc)));
    }
    out.push_str(&format!(
        "\nDates have the attributes {} and the methods {}.\n",
        suggest::list(DATE_ATTRIBUTES.iter().copied()),
        suggest::list(DATE_METHODS.iter().copied())
    ));
    let filters: Vec<_> = FILTERS.iter().map(|name| format!("`{name}`")).collect();
    out.push_str(&format!("\nFilters: {}.\n", filters.join(", ")));
    out
}

const BUNDLE: &str = r#"
It is part of the version of each of these DAGs, as the files that they name are: a change makes new versions, and runs that began keep theirs.
What the `defaults:` of the [clusters file](#clusters) say lies below it, what the DAG itself says above.
Its JSON Schema is `docs/bundle.schema.json`.

```yaml
defaults:
  executor: kubernetes
  retries: 2
  kubernetes: {namespace: data, image: python:3.12, resources: {cpu: 500m, memory: 1Gi}}
```
"#;

const CLUSTERS: &str = r#"
The file is the server's, and no part of a DAG: `gridflow … --kubernetes FILE`.
Its JSON Schema is `docs/clusters.schema.json`.

```yaml
clusters:
  default:
    in_cluster: true
    namespaces: [data, ml]
    image: registry.example.com/gridflow:0.1
    task_image: python:3.12
    service_account: tasks
    pod: {spec: {tolerations: [{key: batch, operator: Exists}]}}
    keep: {succeeded: 0s, failed: 1h}
```
"#;

/// The part about the clusters file.
fn clusters(out: &mut String, definitions: &mut Definitions) {
    let fields = ClustersKeys::fields(definitions);
    section(out, 2, ClustersKeys::NAME, ClustersKeys::doc(), &[]);
    out.push_str(CLUSTERS);
    table(out, &fields);
    section(out, 3, ClusterKeys::NAME, ClusterKeys::doc(), &ClusterKeys::fields(definitions));
    section(out, 3, KeepKeys::NAME, KeepKeys::doc(), &KeepKeys::fields(definitions));
}

/// The JSON Schema of `gridflow.yaml`.
pub fn bundle_schema() -> Value {
    let mut definitions = Definitions::default();
    let fields = BundleKeys::fields(&mut definitions);
    document("bundle", "Gridflow bundle", object_schema(BundleKeys::doc(), &fields), definitions)
}

/// The JSON Schema of the clusters file.
pub fn clusters_schema() -> Value {
    let mut definitions = Definitions::default();
    let fields = ClustersKeys::fields(&mut definitions);
    document("clusters", "Gridflow clusters", object_schema(ClustersKeys::doc(), &fields), definitions)
}

fn document(name: &str, title: &str, mut schema: Value, definitions: Definitions) -> Value {
    let map = schema.as_object_mut().expect("a schema is an object");
    let mut root = serde_json::Map::new();
    root.insert("$schema".into(), "https://json-schema.org/draft/2020-12/schema".into());
    root.insert("$id".into(), format!("urn:gridflow:{name}:{VERSION}").into());
    root.insert("title".into(), title.into());
    root.append(map);
    root.insert("$defs".into(), definitions.schemas.into_iter().collect::<serde_json::Map<_, _>>().into());
    Value::Object(root)
}

fn outputs_table(outputs: Outputs) -> String {
    match outputs {
        Outputs::Never => "\nIt has no output.\n".into(),
        Outputs::Unknown => "\nIts output is what it writes as JSON to `$GRIDFLOW_OUTPUT`.\n".into(),
        Outputs::Declared(fields) => {
            let rows: String = fields.iter().map(|(name, doc)| format!("| `{name}` | {} |\n", cell(doc))).collect();
            format!("\n| Output | Meaning |\n| --- | --- |\n{rows}")
        }
    }
}

fn section(out: &mut String, level: usize, name: &str, doc: &str, fields: &[Field]) {
    out.push_str(&format!("\n{} {name}\n\n{}\n", "#".repeat(level), paragraph(doc)));
    table(out, fields);
}

fn table(out: &mut String, fields: &[Field]) {
    if fields.is_empty() {
        return;
    }
    out.push_str("\n| Key | Value | Default | Meaning |\n| --- | --- | --- | --- |\n");
    for field in fields {
        let default = match (field.default, field.required) {
            (Some(default), _) => format!("`{default}`"),
            (None, true) => "required".into(),
            (None, false) => String::new(),
        };
        out.push_str(&format!(
            "| `{}` | {} | {default} | {} |\n",
            field.name,
            cell(&field.shape.phrase),
            cell(field.doc)
        ));
    }
}

/// Doc comments keep their line breaks and the blank before each line.
fn paragraph(doc: &str) -> String {
    links(&doc.lines().map(str::trim).collect::<Vec<_>>().join(" "))
}

fn cell(text: &str) -> String {
    paragraph(text).replace('|', "\\|")
}

/// Links to sections, spelt as Markdown spells the names of headings.
fn links(text: &str) -> String {
    let mut parts = text.split("](#");
    let mut out = parts.next().unwrap_or("").to_owned();
    for part in parts {
        let (name, rest) = part.split_once(')').unwrap_or((part, ""));
        let slug: String = name.chars().filter(|c| *c != '.').map(|c| if c == ' ' { '-' } else { c }).collect();
        out.push_str(&format!("](#{slug}){rest}"));
    }
    out
}
