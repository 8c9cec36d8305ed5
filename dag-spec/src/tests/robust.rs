//! Whatever the bytes: no panic, and a DAG exactly when there is no error.

use std::time::{Duration, Instant};

use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;
use crate::{Code, limit};

fn compiles_or_says_why(bytes: &[u8]) {
    let Compilation { dag, diagnostics } = compile("a.yaml", bytes, &NoFiles);
    let has_error = diagnostics.iter().any(crate::Diagnostic::is_error);
    assert_eq!(dag.is_none(), has_error, "{}", render_text(&diagnostics));
    let _ = crate::render_json(&diagnostics);
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = crate::clusters::read("clusters.yaml", text);
    }
    if let Some(dag) = dag.filter(|dag| dag.params(&json!({})).is_ok()) {
        for (no, _) in dag.dag.tasks() {
            let _ = Launch::default().render(&dag, dag.dag.task(no).id.as_str());
            let _ = Launch::default().pod(&dag, dag.dag.task(no).id.as_str());
        }
    }
}

fn seeds() -> Vec<&'static str> {
    Code::ALL.iter().flat_map(|code| [code.page().bad, code.page().good]).filter(|text| !text.is_empty()).collect()
}

const TOKENS: &[&str] = &[
    ":",
    ": ",
    " ",
    "\n",
    "\n  ",
    "\t",
    "-",
    "- ",
    "{",
    "}",
    "[",
    "]",
    "{{",
    "}}",
    "{%",
    "%}",
    "'",
    "\"",
    "#",
    " #",
    "&a",
    "*a",
    "!",
    "@",
    "%",
    "|",
    ">",
    "~",
    "ü",
    "\u{feff}",
    "\r\n",
    "tasks",
    "needs",
    "pod",
    "spec",
    "containers",
    "resources",
    "secrets",
    "executor",
    "metadata",
    "name",
    "bash",
    "a",
    "b",
    "params",
    ".x",
    "| sh",
    "| default(1)",
    "0",
    "-1",
    "1e9",
    "99999999999999999999",
    "null",
    "<<",
    "?",
    ",",
    "\\",
    "ds",
    "trigger",
    "$(",
    "EOF",
    "<<EOF",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn files_with_slips_are_no_danger(seed in 0..1_000usize, edits in prop::collection::vec((any::<prop::sample::Index>(), 0..3usize, prop::sample::select(TOKENS)), 1..5)) {
        let seeds = seeds();
        let mut text: Vec<char> = seeds[seed % seeds.len()].chars().collect();
        for (at, remove, insert) in edits {
            let at = at.index(text.len() + 1);
            let end = (at + remove * 2).min(text.len());
            text.splice(at..end, insert.chars());
        }
        compiles_or_says_why(text.into_iter().collect::<String>().as_bytes());
    }

    #[test]
    fn heaps_of_tokens_are_no_danger(tokens in prop::collection::vec(prop::sample::select(TOKENS), 0..40)) {
        compiles_or_says_why(tokens.concat().as_bytes());
        compiles_or_says_why(format!("tasks:\n  a:\n    bash: {}", tokens.concat()).as_bytes());
    }

    #[test]
    fn files_of_manifests_are_no_danger(tokens in prop::collection::vec(prop::sample::select(TOKENS), 0..30), which in 0..4usize) {
        let start = ["", "kind: Pod\nspec:\n  containers:\n  - name: a\n", "spec: {restartPolicy: ", "spark:\n  spec: {driver: "][which];
        let files = in_memory(&[("a.yaml", &format!("{start}{}", tokens.concat()))]);
        for operator in ["pod", "spark"] {
            let yaml = format!("tasks: {{a: {{{operator}: {{template_file: a.yaml}}}}}}");
            let Compilation { dag, diagnostics } = compile("b.yaml", yaml.as_bytes(), &files);
            assert_eq!(dag.is_none(), diagnostics.iter().any(crate::Diagnostic::is_error), "{}", render_text(&diagnostics));
            if let Some(dag) = dag {
                let _ = Launch::default().render(&dag, "a");
                let _ = Launch::default().pod(&dag, "a");
            }
        }
    }

    #[test]
    fn bytes_are_no_danger(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        compiles_or_says_why(&bytes);
    }
}

#[test]
fn bytes_that_are_no_text_are_named_by_their_place() {
    let Compilation { diagnostics, .. } = compile("a.yaml", b"tasks:\n  a: caf\xe9\n", &NoFiles);
    assert_snapshot!(render_text(&diagnostics), @r#"
    error[GF0101]: byte 15 (0xe9) is not UTF-8
     --> a.yaml:2:9
      |
    2 |   a: caf�
      |         ^
      = help: save the file as UTF-8
    "#);
}

#[test]
fn a_file_that_is_too_large_is_not_even_read() {
    let Compilation { diagnostics, .. } = compile("a.yaml", &vec![b'x'; limit::YAML_BYTES_MAX + 1], &NoFiles);
    assert_snapshot!(render_text(&diagnostics), @r#"
    error[GF0102]: the file has 1048577 bytes, more than the 1048576 that a DAG file may have
     --> a.yaml:1:1
      = help: move scripts and data into files beside it
    "#);
}

#[test]
fn nesting_has_an_end() {
    for (open, close) in [("[", "]"), ("{a: ", "}")] {
        let deep = format!("description: {}x{}\ntasks: {{a: b}}", open.repeat(5_000), close.repeat(5_000));
        let said = diagnose(&deep);
        assert!(said.starts_with("error[GF0107]: maps and lists are nested deeper than 64 levels\n"), "{said}");
    }
}

#[test]
fn a_bomb_of_aliases_does_not_go_off() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..30 {
        let inner = format!("*a{}", level - 1);
        bomb += &format!("a{level}: &a{level} [{}]\n", [inner.as_str(); 10].join(", "));
    }
    let start = Instant::now();
    assert_snapshot!(diagnose(&bomb).lines().next().unwrap(), @"error[GF0107]: the file has more than 500000 values once its aliases are expanded");
    assert!(start.elapsed() < Duration::from_secs(5));
    let mut chain = "a0: &a0 [x]\n".to_owned();
    for level in 1..900 {
        chain += &format!("a{level}: &a{level} [[[*a{}]]]\n", level - 1);
    }
    assert_snapshot!(diagnose(&chain).lines().next().unwrap(), @"error[GF0107]: maps and lists are nested deeper than 64 levels");
    let many = format!("a: &a x\nb: [{}]", ["*a"; 2_000].join(", "));
    assert_snapshot!(diagnose(&many).lines().next().unwrap(), @"error[GF0107]: the file has more than 1000 aliases");
}

#[test]
fn a_file_full_of_mistakes_is_cut_short() {
    let many: String = (0..5_000).map(|n| format!("key{n}: x\n")).collect();
    let Compilation { diagnostics, .. } = compile("a.yaml", format!("{many}tasks: {{a: b}}").as_bytes(), &NoFiles);
    assert_eq!(diagnostics.len(), limit::DIAGNOSTICS_MAX);
}

#[test]
fn a_line_of_a_megabyte_is_shown_in_part() {
    let long = format!("tasks:\n  a: {{exec: [{}\"{{{{ dss }}}}\"]}}", "x, ".repeat(100_000));
    let text = diagnose(&long);
    assert!(text.len() < 1_000 && text.contains("{{ dss }}"), "{text}");
}

/// Ten thousand tasks in four chains, each with a template over the one before.
#[test]
fn ten_thousand_tasks_are_read_in_seconds() {
    let mut yaml = "tasks:\n  t0: {bash: x}\n  t1: {bash: x}\n  t2: {bash: x}\n  t3: {bash: x}\n".to_owned();
    for n in 4..10_000 {
        yaml += &format!("  t{n}: {{needs: t{}, exec: [\"{{{{ tasks.t{} }}}}\"]}}\n", n - 4, n - 4);
    }
    let start = Instant::now();
    let dag = compiled(&yaml);
    assert_eq!(dag.dag.task_count(), 10_000);
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
}

#[test]
fn a_chain_of_thousands_of_tasks_overflows_no_stack() {
    let mut yaml = "tasks:\n  t0: {needs: t2999, bash: x}\n".to_owned();
    for n in 1..3_000 {
        yaml += &format!("  t{n}: {{needs: t{}, bash: x}}\n", n - 1);
    }
    assert!(diagnose(&yaml).starts_with("error[GF0305]: tasks need each other in a circle: "));
}

/// Outputs of one task, used by thousands behind a rule that needs a look at every path.
#[test]
fn an_output_for_thousands_is_looked_up_once() {
    let mut yaml =
        "tasks:\n  source: {bash: x}\n  join: {needs: source, trigger_rule: one_success, bash: x}\n".to_owned();
    for n in 0..2_000 {
        yaml += &format!("  t{n}: {{needs: join, exec: [\"{{{{ tasks.source }}}}\"]}}\n");
    }
    assert_eq!(compiled(&yaml).dag.task_count(), 2_002);
}

/// Syntax trees of templates are walked by recursion, here and in the engine.
#[test]
fn a_template_of_a_megabyte_overflows_no_stack() {
    let templates = [
        format!("{{{{ ds{} }}}}", " ~ ds".repeat(100_000)),
        format!("{{{{ ds{} }}}}", " | upper".repeat(100_000)),
        format!("{{{{ ds{} }}}}", ".a".repeat(300_000)),
        format!("{{{{ ds{} }}}}", "[0]".repeat(200_000)),
        format!("{{{{ {}ds }}}}", "not ".repeat(100_000)),
        format!("{{{{ {}ds{} }}}}", "(".repeat(100_000), ")".repeat(100_000)),
        format!("{{{{ {}ds }}}}", "- ".repeat(100_000)),
        format!("{{{{ ds{} }}}}", " if ds else ds".repeat(50_000)),
        format!("{{{{ ds{} }}}}", "()".repeat(200_000)),
        format!("{{{{ ds{} }}}}", " is string".repeat(50_000)),
        format!("{{% if ds %}}{}{{% endif %}}", "{% elif ds %}x".repeat(50_000)),
        format!("{}{}", "{% if ds %}".repeat(30_000), "{% endif %}".repeat(30_000)),
        format!("{{{{ [{}] }}}}", "ds, ".repeat(100_000)),
        "{{ ds }}".repeat(100_000),
    ];
    for template in templates {
        compiles_or_says_why(format!("tasks:\n  a:\n    exec: [{}]\n", crate::yaml::quoted(&template)).as_bytes());
    }
}

#[test]
fn there_are_not_more_tasks_than_a_dag_may_have() {
    let tasks: String = (0..=limit::TASKS_MAX).map(|n| format!("  t{n}: x\n")).collect();
    let text = diagnose(&format!("tasks:\n{tasks}"));
    assert!(
        text.starts_with(
            "error[GF0207]: a DAG has at most 20000 tasks, this has 20001\n     --> dags/demo.yaml:20002:3\n"
        ),
        "{text}"
    );
}

/// Files that cannot be had.
struct Broken;

impl crate::Files for Broken {
    fn read(&self, relative: &str) -> Result<Arc<[u8]>, crate::FileError> {
        Err(match relative {
            "secret.sh" => crate::FileError::Unreadable("permission denied".into()),
            "link.sh" => crate::FileError::Outside,
            "huge.sh" => crate::FileError::TooLarge,
            path if path.starts_with('/') => crate::FileError::NotFound,
            _ => return Ok(vec![0; limit::FILE_BYTES_MAX].into()),
        })
    }
}

#[test]
fn files_that_cannot_be_had_say_why() {
    let yaml = "files: [secret.sh, link.sh, huge.sh, a, b, c, d, e]\ntasks: {a: b}";
    assert_snapshot!(render_text(&compile("a.yaml", yaml.as_bytes(), &Broken).diagnostics), @r#"
    error[GF0803]: cannot read `secret.sh`: permission denied
     --> a.yaml:1:9
      |
    1 | files: [secret.sh, link.sh, huge.sh, a, b, c, d, e]
      |         ^^^^^^^^^

    error[GF0802]: `link.sh` lies outside the bundle
     --> a.yaml:1:20
      |
    1 | files: [secret.sh, link.sh, huge.sh, a, b, c, d, e]
      |                    ^^^^^^^
      = help: move the file into the bundle and name it by a path relative to the DAG file

    error[GF0804]: `huge.sh` has more than 16 MiB
     --> a.yaml:1:29
      |
    1 | files: [secret.sh, link.sh, huge.sh, a, b, c, d, e]
      |                             ^^^^^^^
      = help: large data belongs into object storage, not beside a DAG

    error[GF0804]: with `e` the files of this DAG have more than 64 MiB
     --> a.yaml:1:50
      |
    1 | files: [secret.sh, link.sh, huge.sh, a, b, c, d, e]
      |                                                  ^
      = help: large data belongs into object storage, not beside a DAG
    "#);
}

#[test]
fn diagnostics_for_programs_have_exactly_these_keys() {
    let Compilation { diagnostics, .. } = compile("dags/a.yaml", b"tasks:\n  a: {bash: x, retires: 3}", &NoFiles);
    assert_snapshot!(crate::render_json(&diagnostics).to_string(), @r#"[{"code":"GF0201","severity":"error","message":"unknown key `retires` in a task","file":"dags/a.yaml","line":2,"column":16,"help":"did you mean `retries`?"}]"#);
}
