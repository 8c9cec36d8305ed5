//! A SparkApplication.

use gridflow_core::Turn;
use gridflow_dag_spec::Rendered;
use gridflow_executor::kubernetes::{
    Launch, Object,
    manifest::{SparkRequest, spark},
    spark::DRIVER_CONTAINER,
};

use super::{
    Ground, Try, context_file,
    hash::Hash,
    nothing_to_launch,
    outside::{Texts, defaults, named_for_people, place},
    render,
};

pub(super) fn launch(ground: &Ground<'_>, which: Try, turn: Turn) -> Result<Launch, String> {
    let task = ground.compiled.dag.task(which.task_no);
    let Rendered::Spark(layers) = render(ground, which)? else { return Err(nothing_to_launch(task)) };
    let wanted = (layers.cluster.as_deref(), layers.namespace.as_deref());
    let (cluster, namespace) = place(ground.clusters, wanted)?;
    let grace = ground.compiled.settings[which.task_no.0 as usize].grace;
    let texts = Texts::of(ground, which);
    let request = SparkRequest {
        identity: texts.identity(ground, which),
        cluster: defaults(cluster),
        spark: cluster.spark.as_ref(),
        namespace,
        layers: &layers.layers,
        json_patch: layers.json_patch.as_ref(),
        env: &layers.env,
        files: &layers.files,
        context: &context_file(ground, task, which),
        grace,
    };
    let made = spark(&request).map_err(|error| crate::chain(&error))?;
    let payload_files = made.payload.as_ref().map(|payload| payload.files.as_slice()).unwrap_or_default();
    let spec_hash = Hash::default().part(made.application.to_string().as_bytes()).files(payload_files).finish();
    Ok(Launch {
        attempt: which.attempt,
        run: ground.facts.run.key,
        turn,
        spec_hash,
        cluster: cluster.reach.name.clone(),
        namespace: namespace.into(),
        object: Object::SparkApplication(named_for_people(made.application, &request.identity)),
        payload: made.payload,
        container: DRIVER_CONTAINER.into(),
        execution_timeout: task.execution_timeout,
        grace,
    })
}
