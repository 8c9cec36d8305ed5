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
    let mut transaction = conn.begin().await.unwrap();
    // Quoted aliases carry the checked queries' hints; the server takes them as names.
    let prepare = format!("SET LOCAL plan_cache_mode = force_generic_plan; PREPARE q AS {sql}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(prepare)).execute(&mut *transaction).await.unwrap();
    let call = if arguments.is_empty() { String::new() } else { format!("({arguments})") };
    let explain = format!("EXPLAIN (COSTS OFF) EXECUTE q{call}");
    let lines: Vec<String> =
        sqlx::query_scalar(sqlx::AssertSqlSafe(explain)).persistent(false).fetch_all(&mut *transaction).await.unwrap();
    sqlx::raw_sql("DEALLOCATE q").execute(&mut *transaction).await.unwrap();
    transaction.rollback().await.unwrap();
    lines.join("\n")
}

fn empty_arrays(count: usize) -> String {
    vec!["'{}'"; count].join(", ")
}

fn of_may() -> String {
    format!("'{0}', '{0}'", uuid(1))
}

fn assert_only_may(plan: &str, table: &str) {
    assert!(!plan.contains("Seq Scan on "), "{plan}");
    for month in ["203004", "203006", "default"] {
        assert!(!plan.contains(&format!("Scan using {table}_{month}")), "{plan}");
    }
    assert!(plan.contains(&format!("Scan using {table}_203005")), "{plan}");
}

#[tokio::test]
async fn turns_write_by_whole_key_in_one_partition() {
    let mut conn = with_history().await;
    let update = include_str!("../../queries/task_instance_update.sql");
    let plan = plan_of(&mut conn, update, &format!("{}, {}", empty_arrays(16), of_may())).await;
    assert_only_may(&plan, "task_instance");
    assert!(plan.contains("task_no = t.task_no") && plan.contains("map_index = t.map_index"), "{plan}");

    let update = include_str!("../../queries/attempt_update.sql");
    let plan = plan_of(&mut conn, update, &format!("{}, {}", empty_arrays(17), of_may())).await;
    assert_only_may(&plan, "attempt");
    assert!(plan.contains("attempt_id = t.attempt_id"), "{plan}");

    let decide = include_str!("../../queries/event_decide.sql");
    let plan = plan_of(&mut conn, decide, &format!("{}, 1, {}", empty_arrays(3), of_may())).await;
    assert_only_may(&plan, "event");

    let update = include_str!("../../queries/run_update.sql");
    let plan = plan_of(&mut conn, update, &empty_arrays(6)).await;
    assert!(plan.contains("Index Scan using dag_run_key") && !plan.contains("Seq Scan"), "{plan}");
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
