//! Hot statements use the index that was made for them, and only the partitions they concern, whatever the history.

use sqlx::{Connection, PgConnection};

use super::fixture::*;

/// Three months of finished runs, and statistics about them.
async fn with_history() -> PgConnection {
    let fixture = fixture().await;
    let mut conn = fixture.conn().await;
    sqlx::raw_sql(
        "INSERT INTO dag_run (id, dag_id, run_id, dag_version_id, run_type, state, run_after, queued_at, triggered_by)
         SELECT overlay(partition_bound('2030-04-20T00:00:00Z'::timestamptz + n * interval '6 minutes')::text
                    placing lpad(n::text, 12, '0') from 25)::uuid,
             'dag_' || n % 50, 'run_' || n, gen_random_uuid(), 'manual',
             CASE WHEN n % 500 = 0 THEN 'queued' WHEN n % 500 = 1 THEN 'running' ELSE 'success' END,
             '2030-04-20T00:00:00Z'::timestamptz + n * interval '6 minutes', '2030-04-20T00:00:00Z', 'ui'
         FROM generate_series(1, 15000) AS n;
         INSERT INTO task_instance (dag_run_id, task_no, state, try_number, tries_max)
         SELECT id, task_no, 'success', 1, 1 FROM dag_run, generate_series(0, 3) AS task_no;
         INSERT INTO attempt (dag_run_id, attempt_id, task_no, map_index, try_number, state, executor, queued_turn, queued_at)
         SELECT id, gen_random_uuid(), 0, -1, 1, CASE WHEN state = 'running' THEN 'running' ELSE 'closed' END, 'local', 1,
             queued_at
         FROM dag_run;
         INSERT INTO event (id, bundle_id, dag_id, trigger_name, dedup_key, payload, received_at, outcome, reason)
         SELECT id, 1, dag_id, 'file', run_id, '{}', queued_at, CASE WHEN state = 'success' THEN 'ignored' END, 'x'
         FROM dag_run;
         INSERT INTO transition_log (dag_run_id, turn, epoch, at, changes)
         SELECT id, row_number() OVER (ORDER BY id), 1, queued_at, 'run queued success' FROM dag_run;
         ANALYZE",
    )
    .execute(&mut conn)
    .await
    .unwrap();
    conn
}

/// The plan that the leader's sessions use for a statement: the generic one.
async fn plan_of(conn: &mut PgConnection, sql: &str, arguments: &str) -> String {
    // Quoted aliases carry the checked queries' hints; the server takes them as names.
    plan_of_prepared(conn, &format!("AS {sql}"), arguments).await
}

async fn plan_of_prepared(conn: &mut PgConnection, statement: &str, arguments: &str) -> String {
    let mut transaction = conn.begin().await.unwrap();
    let prepare = format!("SET LOCAL plan_cache_mode = force_generic_plan; PREPARE q {statement}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(prepare)).execute(&mut *transaction).await.unwrap();
    let call = if arguments.is_empty() { String::new() } else { format!("({arguments})") };
    let explain = format!("EXPLAIN (COSTS OFF) EXECUTE q{call}");
    let lines: Vec<String> =
        sqlx::query_scalar(sqlx::AssertSqlSafe(explain)).persistent(false).fetch_all(&mut *transaction).await.unwrap();
    sqlx::raw_sql("DEALLOCATE q").execute(&mut *transaction).await.unwrap();
    transaction.rollback().await.unwrap();
    lines.join("\n")
}

/// Each changing statement of the turn function with its plan, about a run and an event of May.
async fn plans_of_a_turn(conn: &mut PgConnection) -> Vec<(String, String)> {
    let (source, mut names, mut types): (String, Vec<String>, Vec<String>) = sqlx::query_as(
        "SELECT prosrc, proargnames, ARRAY(SELECT format_type(t, NULL) FROM unnest(proargtypes) AS t)
         FROM pg_proc WHERE proname = 'turn_v1'",
    )
    .fetch_one(&mut *conn)
    .await
    .unwrap();
    let mut arguments = vec!["NULL".to_owned(); names.len()];
    let (declared, body) = source.split_once("BEGIN").unwrap();
    for row in declared.lines().filter_map(|line| line.trim().strip_suffix(';')) {
        let (name, of) = row.split_once(' ').unwrap();
        let key = uuid(1);
        names.push(name.to_owned());
        types.push(of.to_owned());
        arguments.push(match of {
            "bigint" => "NULL".to_owned(),
            _ => format!(r#"json_populate_record(NULL::{of}, '{{"dag_run_id": "{key}", "id": "{key}"}}')"#),
        });
    }
    let (types, arguments) = (types.join(", "), arguments.join(", "));
    let mut plans = Vec::new();
    for statement in body.split_inclusive(';') {
        let starts = ["UPDATE ", "INSERT ", "DELETE "].iter().filter_map(|verb| statement.find(verb));
        let Some(start) = starts.min() else { continue };
        // The function's arguments and variables become the prepared statement's: the longest names first, for some
        // begin others.
        let mut sql = statement[start..].trim_end_matches(';').to_owned();
        let mut in_order: Vec<_> = names.iter().enumerate().collect();
        in_order.sort_by_key(|(_, name)| std::cmp::Reverse(name.len()));
        for (place, name) in in_order {
            let place = place + 1;
            sql = sql.replace(&format!("{name}."), &format!("(${place}).")).replace(&**name, &format!("${place}"));
        }
        let title = sql.split_whitespace().take(3).collect::<Vec<_>>().join(" ");
        plans.push((title, plan_of_prepared(conn, &format!("({types}) AS {sql}"), &arguments).await));
    }
    plans
}

fn assert_only_may(plan: &str, table: &str) {
    for month in ["203004", "203006", "default"] {
        assert!(!plan.contains(&format!("Scan using {table}_{month}")), "{plan}");
    }
    assert!(plan.contains(&format!("Scan using {table}_203005")), "{plan}");
}

#[tokio::test]
async fn turns_write_by_whole_key_in_one_partition() {
    let mut conn = with_history().await;
    let plans = plans_of_a_turn(&mut conn).await;
    let titles: Vec<_> = plans.iter().map(|(title, _)| &**title).collect();
    insta::assert_snapshot!(titles.join("\n"), @"
    INSERT INTO dag_run
    UPDATE dag_run SET
    INSERT INTO task_instance
    UPDATE task_instance SET
    INSERT INTO attempt
    UPDATE attempt SET
    INSERT INTO xcom
    UPDATE event SET
    UPDATE dag AS
    UPDATE dag AS
    UPDATE command AS
    DELETE FROM inbox
    INSERT INTO transition_log
    ");
    let plan = |title: &str| &plans.iter().find(|(found, _)| found == title).unwrap().1;
    for (title, plan) in &plans {
        assert!(!plan.contains("Seq Scan on ") || small(title), "{title}: {plan}");
    }

    let update = plan("UPDATE task_instance SET");
    assert_only_may(update, "task_instance");
    assert!(update.contains("task_no = ") && update.contains("map_index = "), "{update}");
    let update = plan("UPDATE attempt SET");
    assert_only_may(update, "attempt");
    assert!(update.contains("attempt_id = "), "{update}");
    assert_only_may(plan("UPDATE event SET"), "event");
    assert!(plan("UPDATE dag_run SET").contains("Index Scan using dag_run_key"));
}

#[tokio::test]
async fn turns_write_by_whole_key_also_in_tables_without_statistics() {
    let fixture = fixture().await;
    let mut conn = fixture.conn().await;
    for (title, plan) in plans_of_a_turn(&mut conn).await {
        let is_by_key = plan.contains("Scan using") && !plan.contains("Nested Loop") && !plan.contains("Hash");
        assert!(is_by_key || !title.ends_with(" SET"), "{title}: {plan}");
    }
}

/// Tables that are a page or two: reading them whole is right.
fn small(title: &str) -> bool {
    ["UPDATE dag AS", "UPDATE command AS", "DELETE FROM inbox"].contains(&title)
}

#[tokio::test]
async fn what_is_said_of_attempts_is_written_by_key() {
    let mut conn = with_history().await;
    let attempts = format!("1, '{0}', ARRAY['{0}'::uuid], ARRAY['{0}'::uuid]", uuid(1));
    let waits =
        (include_str!("../../queries/attempt_waits_write.sql"), "boolean[], text[]", "ARRAY[false], ARRAY['x']");
    let links = (include_str!("../../queries/attempt_links_write.sql"), "jsonb[]", "ARRAY['{}'::jsonb]");
    for (sql, types, words) in [waits, links] {
        let statement = format!("(bigint, uuid, uuid[], uuid[], {types}) AS {sql}");
        let plan = plan_of_prepared(&mut conn, &statement, &format!("{attempts}, {words}")).await;
        assert!(!plan.contains("Seq Scan on attempt_203005"), "{plan}");
        assert!(plan.contains("Scan using attempt_203005"), "{plan}");
    }
}

#[tokio::test]
async fn queued_runs_are_read_in_the_order_of_their_index() {
    let mut conn = with_history().await;
    let sql = include_str!("../../queries/run_queued_after.sql");
    let arguments = format!("'dag_0', '2030-05-01T00:00:00Z', '{}', 10", uuid(1));
    let plan = plan_of(&mut conn, sql, &arguments).await;
    assert!(plan.contains("Index Scan using dag_run_queued") && !plan.contains("Sort"), "{plan}");
}

#[tokio::test]
async fn recovery_finds_unfinished_work_without_reading_history() {
    let mut conn = with_history().await;
    let plan = plan_of(&mut conn, include_str!("../../queries/recovery_run_keys.sql"), "").await;
    assert!(plan.contains("dag_run_running"), "{plan}");
    assert!(!plan.contains("Seq Scan on dag_run") && !plan.contains("Seq Scan on attempt_203005"), "{plan}");
}

#[tokio::test]
async fn the_highest_turn_is_the_end_of_an_index() {
    let mut conn = with_history().await;
    let plan = plan_of(&mut conn, "SELECT max(turn) FROM transition_log", "").await;
    assert!(plan.contains("Backward") && !plan.contains("Seq Scan on transition_log_203005"), "{plan}");
    let stream = "SELECT dag_run_id, turn, epoch, at, changes FROM transition_log WHERE turn > $1 ORDER BY turn
         FETCH FIRST 100 ROWS WITH TIES";
    let plan = plan_of(&mut conn, stream, "14990").await;
    assert!(plan.contains("Merge Append") && !plan.contains("Seq Scan on transition_log_203005"), "{plan}");
}
