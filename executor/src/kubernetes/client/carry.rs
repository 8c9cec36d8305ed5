//! From what the protocol wants done to the call that does it, and back.

use gridflow_core::{AttemptId, InstallationId};

use super::{
    super::{
        attempt::{Answer, Condition, Effect, Refused},
        fleet::{Sweep, SweepCall, Swept},
    },
    access::Cluster,
    call, events,
};

/// Which cluster is called. `None`: nobody is.
pub(super) fn cluster_of(effect: &Effect) -> Option<usize> {
    match effect {
        Effect::Create(_, site)
        | Effect::MakeSecret { site, .. }
        | Effect::Confirm { site, .. }
        | Effect::Delete { site, .. }
        | Effect::DropApplication { site }
        | Effect::CheckSubmission { site, .. }
        | Effect::EndHelper { site, .. }
        | Effect::Release { site, .. }
        | Effect::Look { site, .. }
        | Effect::FetchEvents { site, .. } => Some(site.cluster),
        Effect::Report(_)
        | Effect::Claim { .. }
        | Effect::AskForWarnings { .. }
        | Effect::LookAtNode { .. }
        | Effect::Follow { .. }
        | Effect::EndLog(_)
        | Effect::Sweep(..)
        | Effect::KeepApplication { .. }
        | Effect::WakeAt(_)
        | Effect::Warn(_)
        | Effect::Forget(_) => None,
    }
}

/// `None`: nobody waits for the answer, and it has to be asked again.
pub(super) async fn call(
    cluster: &Cluster,
    installation: InstallationId,
    attempt: AttemptId,
    effect: &Effect,
) -> Option<Answer> {
    Some(match effect {
        Effect::MakeSecret { launch, owner, .. } => Answer::SecretMade(call::make_secret(cluster, launch, owner).await),
        Effect::Confirm { site, name, uid } => {
            Answer::Confirmed(call::confirm(cluster, &site.namespace, name, uid).await)
        }
        Effect::Delete { site, name, condition, grace_s } => {
            Answer::Deleted(call::delete(cluster, &site.namespace, name, condition, *grace_s).await)
        }
        Effect::Release { site, name, uid } => {
            Answer::Released(call::release(cluster, &site.namespace, name, uid).await)
        }
        Effect::Look { site, name, uid, run } => {
            let wanted = call::Wanted { installation, run: *run, attempt, uid: uid.as_deref() };
            Answer::Looked(call::look(cluster, &site.namespace, name, &wanted).await)
        }
        Effect::FetchEvents { site, uid } => Answer::Events(events::of_pod(cluster, &site.namespace, uid).await),
        Effect::DropApplication { site } => {
            return match call::drop_application(cluster, installation, &site.namespace, attempt).await {
                Refused::Done(()) | Refused::Missing | Refused::Invalid(_) => Some(Answer::ApplicationDropped),
                Refused::Later(_) => None,
            };
        }
        Effect::CheckSubmission { site, name } => {
            Answer::Checked(call::check_submission(cluster, &site.namespace, name).await)
        }
        Effect::EndHelper { site, name, uid } => {
            // If it did not work it is asked again, since it is still there.
            let condition = Condition::Uid(uid.clone());
            call::delete(cluster, &site.namespace, name, &condition, None).await;
            Answer::HelperEnded
        }
        Effect::Create(..)
        | Effect::Report(_)
        | Effect::Claim { .. }
        | Effect::AskForWarnings { .. }
        | Effect::LookAtNode { .. }
        | Effect::Follow { .. }
        | Effect::EndLog(_)
        | Effect::Sweep(..)
        | Effect::KeepApplication { .. }
        | Effect::WakeAt(_)
        | Effect::Warn(_)
        | Effect::Forget(_) => return None,
    })
}

pub(super) async fn sweep(cluster: &Cluster, sweep: &Sweep) -> Swept {
    match &sweep.what {
        SweepCall::Delete(condition) => {
            Swept::Deleted(call::delete(cluster, &sweep.site.namespace, &sweep.name, condition, Some(0)).await)
        }
        SweepCall::Release => {
            Swept::Released(call::release(cluster, &sweep.site.namespace, &sweep.name, &sweep.uid).await)
        }
    }
}
