//! What pods and SparkApplications have in common: where they run, and how people find them.

use gridflow_executor::{identity::Identity, kubernetes::manifest::ClusterDefaults};
use serde_json::{Value, json};

use super::{Ground, Try, traceparent};
use crate::Cluster;

/// Texts that an [`Identity`] borrows.
pub(super) struct Texts {
    logical_date: Option<String>,
    traceparent: String,
}

impl Texts {
    pub fn of(ground: &Ground<'_>, which: Try) -> Self {
        let logical_date = ground.facts.run.logical_date.map(|date| date.to_rfc3339());
        Self { logical_date, traceparent: traceparent(ground.facts, which.attempt) }
    }

    pub fn identity<'a>(&'a self, ground: &Ground<'a>, which: Try) -> Identity<'a> {
        let run = &ground.facts.run;
        Identity {
            attempt: which.attempt,
            dag_id: &run.dag,
            task_id: &ground.compiled.dag.task(which.task_no).id,
            run_id: &run.run_id,
            map_index: which.map_index,
            try_number: which.number,
            logical_date: self.logical_date.as_deref(),
            owner: ground.compiled.owner.as_deref().unwrap_or_default(),
            traceparent: Some(&self.traceparent),
        }
    }
}

pub(super) fn defaults(cluster: &Cluster) -> ClusterDefaults<'_> {
    ClusterDefaults {
        image: cluster.image.as_deref(),
        task_image: cluster.task_image.as_deref(),
        service_account: cluster.service_account.as_deref(),
        pod: cluster.pod.as_ref(),
    }
}

/// The cluster and the namespace that an attempt asks for, if this scheduler serves them.
pub(super) fn place<'a>(
    clusters: &'a [Cluster],
    (cluster, namespace): (Option<&str>, Option<&str>),
) -> Result<(&'a Cluster, &'a str), String> {
    let Some(default) = clusters.first() else {
        return Err(
            "it needs a Kubernetes cluster, and none is configured: start Gridflow with `--kubernetes FILE`".into()
        );
    };
    let names = |names: Vec<&str>| names.join("`, `");
    let cluster = match cluster {
        None => default,
        Some(wanted) => clusters.iter().find(|cluster| *cluster.reach.name == *wanted).ok_or_else(|| {
            let known = names(clusters.iter().map(|cluster| &*cluster.reach.name).collect());
            format!("there is no cluster `{wanted}` in the clusters file; it has `{known}`")
        })?,
    };
    let served = &cluster.reach.namespaces;
    let found = match namespace {
        None => served.first().map(|namespace| &**namespace),
        Some(wanted) => served.iter().map(|namespace| &**namespace).find(|namespace| *namespace == wanted),
    };
    let found = found.ok_or_else(|| {
        let (name, served) = (&cluster.reach.name, names(served.iter().map(|namespace| &**namespace).collect()));
        let wanted = namespace.unwrap_or_default();
        format!("the namespace `{wanted}` is not served: the clusters file lists `{served}` for the cluster `{name}`")
    })?;
    Ok((cluster, found))
}

/// Labels that people select by where they can be such, and the whole names as annotations.
pub(super) fn named_for_people(mut object: Value, identity: &Identity<'_>) -> Value {
    let names =
        [("dag", identity.dag_id.as_str()), ("task", identity.task_id.as_str()), ("run-id", identity.run_id.as_str())];
    let metadata = &mut object["metadata"];
    for (key, name) in names {
        if is_label_value(name) {
            metadata["labels"][format!("gridflow.io/{key}")] = name.into();
        }
        metadata["annotations"][format!("gridflow.io/{key}")] = name.into();
    }
    metadata["annotations"]["gridflow.io/try-number"] = json!(identity.try_number.0.to_string());
    object
}

fn is_label_value(text: &str) -> bool {
    let is_inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let has_ends = |test: fn(&char) -> bool| {
        text.chars().next().as_ref().is_some_and(test) && text.chars().last().as_ref().is_some_and(test)
    };
    text.len() <= 63 && text.chars().all(is_inner) && has_ends(char::is_ascii_alphanumeric)
}

#[cfg(test)]
mod tests {
    use gridflow_executor::kubernetes::{Access, ClusterConfig};

    use super::*;

    fn cluster(name: &str, namespaces: &[&str]) -> Cluster {
        let reach = ClusterConfig::new(name, Access::InCluster, namespaces);
        Cluster { reach, image: None, task_image: None, service_account: None, pod: None, spark: None }
    }

    #[test]
    fn a_task_runs_only_where_the_clusters_file_says() {
        let clusters = [cluster("near", &["data", "ml"]), cluster("far", &["etl"])];
        let placed = |wanted| place(&clusters, wanted).map(|(cluster, namespace)| (&*cluster.reach.name, namespace));
        assert_eq!(placed((None, None)), Ok(("near", "data")));
        assert_eq!(placed((None, Some("ml"))), Ok(("near", "ml")));
        assert_eq!(placed((Some("far"), None)), Ok(("far", "etl")));
        assert_eq!(
            placed((Some("far"), Some("ml"))).unwrap_err(),
            "the namespace `ml` is not served: the clusters file lists `etl` for the cluster `far`"
        );
        assert_eq!(
            placed((Some("moon"), None)).unwrap_err(),
            "there is no cluster `moon` in the clusters file; it has `near`, `far`"
        );
        assert!(place(&[], (None, None)).unwrap_err().contains("--kubernetes FILE"));
    }

    #[test]
    fn names_become_labels_only_where_kubernetes_takes_them() {
        assert!(["a", "daily_sales", "a.b-c", "9"].into_iter().all(is_label_value));
        let refused = ["", "-a", "a-", "manual__2026-01-01T00:00:00+00:00", "ä"];
        assert!(!refused.into_iter().any(is_label_value));
        assert!(!is_label_value(&"a".repeat(64)));
    }
}
