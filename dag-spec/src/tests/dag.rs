use super::*;

#[test]
fn hello_world_is_three_lines() {
    let dag = compiled("tasks:\n  hello:\n    bash: echo hello\n");
    assert_eq!(dag.dag.id().as_str(), "demo");
    assert_eq!(Launch::default().command(&dag, "hello"), "bash -c echo hello");
}

#[test]
fn a_bare_text_is_a_shell_command() {
    let dag = compiled("tasks: {hello: echo hello}");
    assert_eq!(Launch::default().command(&dag, "hello"), "bash -c echo hello");
}
