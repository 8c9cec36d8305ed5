"""Airflow's generated Python client, whose models are strict, against a running server."""

import json
import os
import time
import uuid
from datetime import datetime, timezone

import airflow_client.client as airflow
from airflow_client.client.exceptions import (
    ApiException,
    ConflictException,
    NotFoundException,
    UnauthorizedException,
    UnprocessableEntityException,
)
from airflow_client.client.models import DAGPatchBody, DAGRunPatchBody, TriggerDAGRunPostBody

SERVER = os.environ["GRIDFLOW_SERVER"].rstrip("/")
TOKEN = os.environ["GRIDFLOW_TOKEN"]
DEADLINE = 60
MARK = uuid.uuid4().hex[:8]


def until(what, condition):
    """Waits for a condition; its value is the answer."""
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError(f"{what}: not within {DEADLINE} s")


def refused(kind, call):
    """Expects an error of this kind and gives it back."""
    try:
        call()
    except kind as error:
        assert json.loads(error.body)["detail"], error.body
        return error
    raise AssertionError(f"expected {kind.__name__}")


def check_dags(api):
    dags = airflow.DAGApi(api)
    until("DAGs loaded", lambda: dags.get_dags(tags=["clients"]).total_entries == 1)
    listed = dags.get_dags(dag_id_pattern="client_", order_by=["-dag_id"], limit=1)
    assert [dag.dag_id for dag in listed.dags] == ["client_slow"], listed
    assert listed.total_entries == 2
    dag = dags.get_dag("client_chain")
    assert dag.owners == ["conformance"] and [tag.name for tag in dag.tags] == ["clients"], dag
    details = dags.get_dag_details("client_chain")
    assert details.params["greeting"]["value"] == "hello", details.params
    assert details.latest_dag_version.version_number >= 1
    for is_paused in (True, False):
        assert dags.patch_dag("client_slow", DAGPatchBody(is_paused=is_paused)).is_paused is is_paused
    tasks = airflow.TaskApi(api).get_tasks("client_chain")
    assert [task.task_id for task in tasks.tasks] == ["first", "last", "second"], tasks
    assert airflow.TaskApi(api).get_task("client_chain", "second").retry_delay.seconds == 1
    source = airflow.DagSourceApi(api).get_dag_source("client_chain")
    assert "first line" in str(source.to_dict()), source
    assert airflow.ImportErrorApi(api).get_import_errors().total_entries == 0


def check_run(api):
    runs, instances = airflow.DagRunApi(api), airflow.TaskInstanceApi(api)
    run_id = f"clients-{MARK}"
    body = TriggerDAGRunPostBody(dag_run_id=run_id, logical_date=None, conf={"greeting": "hi"}, note="from the client")
    run = runs.trigger_dag_run("client_chain", body)
    assert run.dag_run_id == run_id and run.conf == {"greeting": "hi"} and run.note == "from the client", run
    refused(ConflictException, lambda: runs.trigger_dag_run("client_chain", body))
    # Present from the moment of the trigger on.
    assert instances.get_task_instances("client_chain", run_id).total_entries == 3
    lines = runs.wait_dag_run_until_finished_without_preload_content("client_chain", run_id, interval=1, result=["first"])
    last = [json.loads(line) for line in lines.data.decode().splitlines()][-1]
    assert last == {"state": "success", "results": {"first": {"rows": 7}}}, last
    run = runs.get_dag_run("client_chain", run_id)
    assert str(run.state.value) == "success" and run.duration > 0, run
    assert run_id in [run.dag_run_id for run in runs.get_dag_runs("client_chain", state=["success"]).dag_runs]
    assert runs.get_dag_runs("~", run_id_pattern=run_id).total_entries == 1
    check_task_instances(api, run_id)


def check_task_instances(api, run_id):
    instances = airflow.TaskInstanceApi(api)
    at = ("client_chain", run_id)
    states = {row.task_id: row.state.value for row in instances.get_task_instances(*at).task_instances}
    assert states == {"first": "success", "second": "failed", "last": "success"}, states
    second = instances.get_task_instance(*at, "second")
    assert second.try_number == 2 and second.max_tries == 1, second
    tries = instances.get_task_instance_tries(*at, "second")
    assert [one.try_number for one in tries.task_instances] == [1, 2], tries
    assert instances.get_task_instance_try_details(*at, "second", 1).state.value == "failed"
    assert instances.get_task_instance_dependencies(*at, "second").dependencies == []
    assert airflow.ExtraLinksApi(api).get_extra_links(*at, "second").extra_links == {}
    log = instances.get_log(*at, "first", 1)
    assert log.continuation_token is None and "first line" in str(log.content.to_dict()), log
    assert "exit code 3" in str(instances.get_log(*at, "second", 2).content.to_dict())
    xcoms = airflow.XComApi(api).get_xcom_entries(*at[:1], at[1], "first")
    assert [entry.key for entry in xcoms.xcom_entries] == ["return_value"], xcoms
    entry = airflow.XComApi(api).get_xcom_entry("client_chain", "first", run_id, "return_value")
    assert entry.to_dict()["value"] == {"rows": 7}, entry


def check_cancel(api):
    runs = airflow.DagRunApi(api)
    date = datetime.now(timezone.utc)
    run = runs.trigger_dag_run("client_slow", TriggerDAGRunPostBody(logical_date=date))
    # A scheduled run's shape: the logical date is its whole interval.
    assert run.data_interval_start == run.data_interval_end == run.logical_date, run
    until("run started", lambda: runs.get_dag_run("client_slow", run.dag_run_id).state.value == "running")
    ended = runs.patch_dag_run("client_slow", run.dag_run_id, DAGRunPatchBody(state="failed", note="enough"))
    assert ended.state.value == "failed" and ended.note == "enough", ended


def check_errors(api):
    refused(NotFoundException, lambda: airflow.DAGApi(api).get_dag("nothing"))
    refused(NotFoundException, lambda: airflow.DagRunApi(api).get_dag_run("client_chain", "nothing"))
    bad = TriggerDAGRunPostBody(logical_date=None, conf={"greeting": 7})
    assert refused(ApiException, lambda: airflow.DagRunApi(api).trigger_dag_run("client_chain", bad)).status == 400
    refused(UnprocessableEntityException, lambda: airflow.DagRunApi(api).get_dag_runs("~", state=["odd"]))
    stranger = airflow.Configuration(host=SERVER)
    with airflow.ApiClient(stranger) as nobody:
        refused(UnauthorizedException, lambda: airflow.DAGApi(nobody).get_dags())
        assert airflow.VersionApi(nobody).get_version().version
        health = airflow.MonitorApi(nobody).get_health()
        assert health.metadatabase.status == "healthy" and health.scheduler.status == "healthy", health


def main():
    with airflow.ApiClient(airflow.Configuration(host=SERVER, access_token=TOKEN)) as api:
        for check in (check_dags, check_run, check_cancel, check_errors):
            check(api)
        pools = airflow.PoolApi(api).get_pools()
        assert "default_pool" in [pool.name for pool in pools.pools], pools


if __name__ == "__main__":
    main()
