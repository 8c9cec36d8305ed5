//! What commands give back: values and lines.

use anyhow::{Context, Result};
use gridflow_tests::Ground;

pub fn what_a_command_writes_is_what_its_downstream_gets(ground: &Ground) -> Result<()> {
    let tasks = r#"tasks:
  a: {bash: '. $LIBRARY; echo "{\"rows\": 42, \"name\": \"Zoë\"}" > "$GRIDFLOW_OUTPUT"'}
  b: {needs: a, bash: '. $LIBRARY; test {{ tasks.a.rows | sh }} = 42; test {{ tasks.a.name | sh }} = Zoë'}
"#;
    ground.run(tasks, "success")?;
    assert_eq!(ground.output("a")?, r#"{"rows":42,"name":"Zoë"}"#);
    assert_eq!(ground.output("b")?, "");
    Ok(())
}

pub fn a_large_output_arrives_whole(ground: &Ground) -> Result<()> {
    // Far above what a termination message may hold, with a log line before it.
    const BYTES: usize = 500_000;
    let tasks = format!(
        "tasks:
  a:
    bash: |
      . $LIBRARY
      echo before
      {{ printf '\"'; head -c {BYTES} /dev/zero | tr '\\0' x; printf '\"'; }} > \"$GRIDFLOW_OUTPUT\"
      echo after
"
    );
    ground.run(&tasks, "success")?;
    let arrived =
        ground.cluster.sql("SELECT length(value #>> '{}'), length(replace(value #>> '{}', 'x', '')) FROM xcom");
    assert_eq!(arrived?, format!("{BYTES}|0"));
    assert_eq!(ground.log_of("a")?, "before\nafter\n", "it is no part of the log");
    Ok(())
}

pub fn an_output_that_is_no_json_fails_the_task(ground: &Ground) -> Result<()> {
    ground.run("tasks:\n  a: {bash: '. $LIBRARY; echo {oops > \"$GRIDFLOW_OUTPUT\"'}\n", "failed")?;
    assert_eq!(ground.cluster.sql("SELECT outcome FROM attempt")?, "output_invalid");
    Ok(())
}

pub fn the_output_of_a_failed_command_is_kept(ground: &Ground) -> Result<()> {
    ground.run("tasks:\n  a: {bash: '. $LIBRARY; echo [1] > \"$GRIDFLOW_OUTPUT\"; exit 4'}\n", "failed")?;
    assert_eq!(ground.outcomes("a")?, "exited 4");
    assert_eq!(ground.output("a")?, "[1]");
    Ok(())
}

pub fn lines_are_logged_in_the_order_in_which_they_were_written(ground: &Ground) -> Result<()> {
    let tasks = "tasks:
  a:
    bash: |
      . $LIBRARY
      for no in $(seq 500); do echo \"out $no\"; echo \"err $no\" >&2; done
  b:
    bash: |
      . $LIBRARY
      echo one
      printf 'no line break'
";
    ground.run(tasks, "success")?;
    let log = ground.log_of("a")?;
    let expected = |name: &str| (1..=500).map(|no| format!("{name} {no}")).collect::<Vec<_>>();
    let lines = |name: &str| log.lines().filter(|line| line.starts_with(name)).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(lines("out "), expected("out"), "in {log}");
    assert_eq!(lines("err "), expected("err"), "in {log}");
    assert_eq!(log.lines().count(), 1000, "nothing twice, and nothing else");
    // Alone: where a container runtime reads the two streams on their own, a line of the other may come behind it.
    assert_eq!(ground.log_of("b")?.trim_end(), "one\nno line break");
    Ok(())
}

pub fn a_megabyte_of_log_arrives_whole(ground: &Ground) -> Result<()> {
    // Lines of 100 bytes, and one that is longer than anybody's buffer.
    let tasks = "tasks:
  a:
    bash: |
      . $LIBRARY
      seq -f '%099.0f' 10000
      head -c 100000 /dev/zero | tr '\\0' y
      echo
      echo end
";
    ground.run(tasks, "success")?;
    let log = ground.log_of("a")?;
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines.len(), 10_002);
    let count = |line: &str| line.trim_start_matches('0').parse::<usize>().context("a number");
    for (no, line) in lines[..10_000].iter().enumerate() {
        assert_eq!(count(line)?, no + 1);
    }
    assert_eq!(lines[10_000].len(), 100_000);
    assert_eq!(lines[10_001], "end");
    Ok(())
}
