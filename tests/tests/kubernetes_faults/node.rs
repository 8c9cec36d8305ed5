//! The node and its kubelet.

use anyhow::Result;
use gridflow_testkit::kubernetes::{NODE, Part};
use gridflow_tests::Ground;

use crate::{WAITS, alone_for_long, ends_well, ends_well_after, go};

#[test]
fn a_command_goes_on_while_its_kubelet_is_away() -> Result<()> {
    alone_for_long(|kubernetes| {
        let ground = Ground::with_pods(kubernetes)?;
        let scheduler = ground.begin(WAITS)?;
        ground.until_running(1, &scheduler)?;
        kubernetes.stop(Part::Kubelet)?;
        go(&ground)?;
        ground.until_ended(1)?;
        kubernetes.start(Part::Kubelet)?;
        ends_well(&ground, &scheduler)
    })
}

#[test]
fn a_pod_deleted_while_its_kubelet_is_away_is_not_gone_before_the_kubelet_says_so() -> Result<()> {
    alone_for_long(|kubernetes| {
        let ground = Ground::with_pods(kubernetes)?;
        let scheduler = ground.begin(WAITS)?;
        ground.until_running(1, &scheduler)?;
        kubernetes.stop(Part::Kubelet)?;
        let namespace = &ground.pods().namespace;
        namespace.kubectl(&["delete", "pods", "--all", "--force", "--grace-period=0", "--wait=false"])?;
        // Another scheduler looks at it, too: nobody may believe that the command is gone.
        scheduler.kill()?;
        let scheduler = ground.scheduler("second")?;
        ground.until("SELECT count(*) FROM leader WHERE epoch = 2", "1", &scheduler)?;
        assert_eq!(ground.cluster.sql("SELECT count(*) FROM attempt WHERE is_open")?, "1");
        kubernetes.start(Part::Kubelet)?;
        ground.until("SELECT count(*) FROM attempt WHERE outcome = 'lost'", "1", &scheduler)?;
        ground.note_that_all_are_killed()?;
        go(&ground)?;
        ends_well_after(&ground, 1, &scheduler)
    })
}

#[test]
fn a_node_object_deleted_under_a_living_kubelet_starts_nothing_twice() -> Result<()> {
    alone_for_long(|kubernetes| {
        let ground = Ground::with_pods(kubernetes)?;
        let scheduler = ground.begin(WAITS)?;
        ground.until_running(1, &scheduler)?;
        kubernetes.kubectl(&["delete", "node", NODE, "--wait=false"])?;
        ground.until("SELECT count(*) FROM attempt WHERE outcome = 'lost'", "1", &scheduler)?;
        // From here on nothing of it may run: the next attempt writes down its start.
        ground.note_that_all_are_killed()?;
        assert_eq!(ground.commands_alive(), 0, "given up while it ran: {}", ground.picture(&scheduler));
        // Only a kubelet that starts makes a node.
        kubernetes.stop(Part::Kubelet)?;
        kubernetes.start(Part::Kubelet)?;
        go(&ground)?;
        ends_well_after(&ground, 1, &scheduler)
    })
}
