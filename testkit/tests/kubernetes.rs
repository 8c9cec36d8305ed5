//! The cluster for tests does what its users take for granted.

use anyhow::Result;
use gridflow_testkit::kubernetes::{BUSYBOX, Cluster, DEBIAN};
use serde_json::json;

#[test]
fn pods_of_both_images_run_in_a_fresh_namespace() -> Result<()> {
    let Some(cluster) = Cluster::shared()? else { return Ok(()) };
    let namespace = cluster.namespace()?;
    for (name, image, command) in
        [("one", BUSYBOX, ["sh", "-c", "echo 1"]), ("two", DEBIAN, ["python3", "-c", "print(2)"])]
    {
        namespace.apply(&json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {
            "restartPolicy": "Never",
            "containers": [{"name": "task", "image": image, "command": command}],
        }}))?;
    }
    for (name, said) in [("one", "1\n"), ("two", "2\n")] {
        namespace.kubectl(&["wait", "pod", name, "--for=jsonpath={.status.phase}=Succeeded", "--timeout=120s"])?;
        assert_eq!(namespace.kubectl(&["logs", name])?, said);
    }
    assert_eq!(namespace.pods()?.len(), 2);
    Ok(())
}
