//! What to say to those who know these keys by Airflow's or by Kubernetes' names.

/// By Airflow's name of a parameter: what takes its place.
const AIRFLOW: &[(&str, &str)] = &[
    ("cmds", "write `command:`, as Kubernetes does"),
    ("arguments", "write `args:`, as Kubernetes does"),
    ("env_vars", "use the task's own `env:`"),
    ("env", "`env:` is a key of the task, beside its operator"),
    ("configmaps", "write `config_maps:`"),
    ("container_resources", "write `resources:`"),
    ("container_security_context", "write `security_context:`; the pod's is `pod_security_context:`"),
    ("service_account_name", "write `service_account:`"),
    ("priority_class_name", "write `priority_class:`"),
    ("runtime_class_name", "write `runtime_class:`"),
    ("hostnetwork", "write `host_network:`"),
    ("schedulername", "write `scheduler_name:`"),
    ("full_pod_spec", "write `spec:` or `template_file:`"),
    ("pod_template_file", "write `template_file:`"),
    ("pod_template_dict", "write `spec:`"),
    ("application_file", "write `template_file:`"),
    ("template_spec", "write `spec:` or `template_file:`"),
    ("active_deadline_seconds", "use the task's `execution_timeout:`"),
    ("termination_grace_period", "use the task's `grace:`"),
    ("termination_grace_period_seconds", "use the task's `grace:`"),
    ("restart_policy", "give the task `retries:`; a pod runs once"),
    ("skip_on_exit_code", "it is a key of the task, beside its operator"),
    ("conn_id", "name the cluster with `master:` and `deploy_mode:`"),
    ("status_poll_interval", "remove it: the end is seen at once"),
    ("post_submit_commands", "make a task of its own of them"),
    ("code_path", "write `main_file:`"),
    ("in_cluster", "clusters are described in the clusters file; name one with `cluster:`"),
    ("config_file", "clusters are described in the clusters file; name one with `cluster:`"),
    ("cluster_context", "clusters are described in the clusters file; name one with `cluster:`"),
    ("kubernetes_conn_id", "clusters are described in the clusters file; name one with `cluster:`"),
    ("do_xcom_push", "remove it: what a command writes as JSON to `$GRIDFLOW_OUTPUT` is the output"),
    ("on_finish_action", "how long finished pods stay is `keep:` in the clusters file"),
    ("is_delete_operator_pod", "how long finished pods stay is `keep:` in the clusters file"),
    ("delete_on_termination", "how long finished pods stay is `keep:` in the clusters file"),
    ("startup_timeout_seconds", "how long a pod may wait for a node is `unschedulable_after:` in the clusters file"),
    ("schedule_timeout_seconds", "how long a pod may wait for a node is `unschedulable_after:` in the clusters file"),
    ("get_logs", "remove it: logs are streamed and kept"),
    ("log_events_on_failure", "remove it: the last events of a pod end its log"),
    ("deferrable", "remove it: no task waits in a process"),
    ("reattach_on_restart", "remove it: pods are found again after a restart"),
    ("random_name_suffix", "remove it: a pod is named after its attempt"),
    ("name", "remove it: a pod is named after its attempt, and `labels:` help to find it"),
];

/// Keys of a `pod:` that a process task brings along.
const OF_PODS: &[&str] = &["command", "cmds", "args", "arguments"];

const CONTEXTS: &[&str] = &["`kubernetes`", "`pod`", "`spark`", "`spark.driver`", "`spark.executor`", "`spark_submit`"];

/// Help for a key that is unknown in one of our maps.
pub fn hint(key: &str, what: &str, known: &[&str]) -> Option<String> {
    if let Some(snake) = snake(key).filter(|snake| known.contains(&snake.as_str())) {
        return Some(format!("write `{snake}`"));
    }
    if what == "a task" && key == "executor_config" {
        return Some("write `executor: kubernetes` and `kubernetes:`; `pod_override` is its `spec:`".into());
    }
    if what == "`kubernetes`" && OF_PODS.contains(&key) {
        return Some("the task's operator says what runs; a container of its own making is the operator `pod:`".into());
    }
    let is_ours = CONTEXTS.contains(&what);
    let (_, help) =
        AIRFLOW.iter().find(|(name, _)| is_ours && (*name == key || snake(key).as_deref() == Some(name)))?;
    Some((*help).to_owned())
}

/// `nodeSelector` → `node_selector`.
fn snake(key: &str) -> Option<String> {
    let mut out = String::new();
    for c in key.chars() {
        if c.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    (out != key).then_some(out)
}
