//! An attempt whose pod is where nobody looks: its namespace, or its whole cluster, was taken out of the clusters file.
//!
//! It may run on there, so it stays open until somebody sees it again. Whoever wants it ended before can have that
//! proven by its node alone, and only where the node can be asked.

use gridflow_core::Timestamp;

use super::{
    super::{
        claim::SiteName,
        gone::{self, Known, Place, Verdict},
    },
    Attempt, Effect, Kind, Will, advance, finish,
};

#[derive(Debug)]
pub(super) struct Away {
    site: SiteName,
    /// It is still there; only the namespace is not looked at.
    pub(super) cluster: Option<usize>,
    /// All that is looked at was listed, and did not show it under another name of its cluster.
    is_looked_for: bool,
    /// What people were told it waits for.
    told: Option<Will>,
}

impl Away {
    pub(super) fn new(site: SiteName, cluster: Option<usize>) -> Self {
        Self { site, cluster, is_looked_for: false, told: None }
    }

    /// Complete lists did not show it.
    pub(super) fn unlisted(&mut self) {
        self.is_looked_for = true;
    }
}

pub(super) fn advance(attempt: &mut Attempt, now: Timestamp, effects: &mut Vec<Effect>) {
    let will = attempt.will;
    let Some(reason) = reason(attempt) else { return };
    let is_provable = provable_by(attempt).is_some();
    if let Some(away) = attempt.away.as_mut().filter(|away| away.told != Some(will)) {
        away.told = Some(will);
        effects.push(Effect::Warn(reason));
    }
    if will == Will::Cancel && is_provable {
        ask_node(attempt, now, effects);
    }
}

/// What it waits for, once it is known to be out of reach.
pub(super) fn reason(attempt: &Attempt) -> Option<String> {
    let away = attempt.away.as_ref().filter(|away| away.is_looked_for)?;
    let node = provable_by(attempt).map(|place| &*place.node);
    Some(words(&away.site, attempt.will, node))
}

/// Of a Spark job only the driver's node is known: executors elsewhere may live on.
fn provable_by(attempt: &Attempt) -> Option<&Place> {
    attempt.away.as_ref()?.cluster?;
    match attempt.kind {
        Kind::Pod => attempt.place(),
        Kind::SparkApplication => None,
    }
}

fn words(site: &SiteName, will: Will, node: Option<&str>) -> String {
    let unseen = format!("its pod is in {site}, which the clusters file does not name any more, and may live there");
    let proof = node.map(|node| {
        format!(
            ", or once node `{node}` is removed, has booted again, or is tainted \
             `node.kubernetes.io/out-of-service`"
        )
    });
    let proof = proof.unwrap_or_default();
    match will {
        Will::Cancel => {
            format!("it is canceled, but {unseen}: it ends once the namespace is put back into the file{proof}")
        }
        Will::Run | Will::Tidy => format!(
            "{unseen}: the attempt stays open; put the namespace back into the file, or cancel it: then it ends once \
             the namespace is back{proof}"
        ),
    }
}

fn ask_node(attempt: &mut Attempt, now: Timestamp, effects: &mut Vec<Effect>) {
    let known = Known {
        pod: None,
        // To us. Its place is known, so nothing but its node can prove that it is gone.
        is_missing: true,
        was_guarded: true,
        place: attempt.place(),
        node: attempt.node.as_ref(),
    };
    match gone::verdict(&known, now) {
        Verdict::Gone(proof) => {
            finish::begin(attempt, &proof, now);
            finish::finish(attempt, now, effects);
        }
        Verdict::NotYet => {}
        Verdict::AskNode(at) => advance::ask_node(attempt, at, now, effects),
    }
}
