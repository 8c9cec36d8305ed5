//! Single calls to an API server: what is asked, and what the answer means. Nothing is decided here.

use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::{ByteString, api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::OwnerReference};
use kube::{
    api::{DeleteParams, GetParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams, Preconditions},
    core::{Request, Status},
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::timeout;

use gridflow_core::{AttemptId, InstallationId, RunKey};
use gridflow_failpoint::{Point, check, reach};

use super::{
    super::{
        attempt::{Checked, Condition, Confirmed, Deleted, Kind, Looked, Made, Owner, Refused},
        gone::NodeWord,
        identity,
        launch::{Launch, Object},
        pod::{Pod, RawPod},
    },
    access::Cluster,
};

/// An API server that needs longer is asked again.
pub(super) const CALL_WITHIN: Duration = Duration::from_secs(15);
/// Admission webhooks of others may take up to ten seconds each.
const CREATE_WITHIN: Duration = Duration::from_secs(40);
/// The API server takes no larger Secret.
const PAYLOAD_BYTES_MAX: usize = 1_000_000;
const PAGE: u32 = 500;

const APPLICATIONS: &str = "sparkoperator.k8s.io/v1beta2";
/// Of a namespace, when one is looked for that nothing names.
const SERVICES_MAX: u32 = 500;

fn pods(namespace: &str) -> Request {
    Request::new(format!("/api/v1/namespaces/{namespace}/pods"))
}

fn applications(namespace: &str) -> Request {
    Request::new(format!("/apis/{APPLICATIONS}/namespaces/{namespace}/sparkapplications"))
}

/// Why a call brought nothing.
pub(super) enum Failed {
    Status(Box<Status>),
    /// Whether it was carried out is not known.
    Unknown(String),
}

impl Failed {
    pub(super) fn words(&self) -> String {
        match self {
            Self::Status(status) => format!("{} ({})", status.message, status.code),
            Self::Unknown(reason) => reason.clone(),
        }
    }

    fn code(&self) -> u16 {
        match self {
            Self::Status(status) => status.code,
            Self::Unknown(_) => 0,
        }
    }
}

/// Asks for a change. A test may step in once it was made and before anybody has heard of it, or lose the answer.
async fn change(
    cluster: &Cluster,
    request: Result<http::Request<Vec<u8>>, kube::core::request::Error>,
    within: Duration,
    made: Point,
) -> Result<String, Failed> {
    let answer = text(cluster, request, within).await?;
    check(made).map_err(|injected| Failed::Unknown(injected.to_string()))?;
    Ok(answer)
}

pub(super) async fn text(
    cluster: &Cluster,
    request: Result<http::Request<Vec<u8>>, kube::core::request::Error>,
    within: Duration,
) -> Result<String, Failed> {
    let request = request.map_err(|error| Failed::Unknown(error.to_string()))?;
    match timeout(within, cluster.client.request_text(request)).await {
        Ok(Ok(text)) => Ok(text),
        Ok(Err(kube::Error::Api(status))) => Err(Failed::Status(status)),
        Ok(Err(error)) => Err(Failed::Unknown(chain(&error))),
        Err(_) => Err(Failed::Unknown(format!("no answer within {} s", within.as_secs()))),
    }
}

pub(super) fn parse<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, Failed> {
    serde_json::from_str(text).map_err(|error| Failed::Unknown(format!("the answer can't be read: {error}")))
}

/// An error with what it came from, in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let more = cause.to_string();
        if !words.contains(&more) {
            words = format!("{words}: {more}");
        }
        source = cause.source();
    }
    words
}

pub(super) async fn create(cluster: &Cluster, installation: InstallationId, launch: &Launch) -> Made {
    if let Some(payload) = &launch.payload {
        let bytes: usize = payload.files.iter().map(|(name, bytes)| name.len() + bytes.len()).sum();
        if PAYLOAD_BYTES_MAX < bytes {
            return Made::Invalid(format!(
                "its files have {bytes} bytes together, and a Secret holds {PAYLOAD_BYTES_MAX}; put large ones into \
                 storage or into the image"
            ));
        }
    }
    match &launch.object {
        Object::Pod(pod) => create_pod(cluster, installation, launch, pod).await,
        Object::SparkApplication(application) => create_application(cluster, installation, launch, application).await,
    }
}

async fn create_pod(cluster: &Cluster, installation: InstallationId, launch: &Launch, pod: &Value) -> Made {
    let api = pods(&launch.namespace);
    let manifest = identity::stamp_pod(pod.clone(), installation, launch);
    let request = api.create(&PostParams::default(), manifest.to_string().into_bytes());
    let made = change(cluster, request, CREATE_WITHIN, Point::PodMade).await;
    let failed = match made.and_then(|text| parse::<RawPod>(&text)) {
        Ok(raw) => {
            return Pod::read(raw)
                .map_or_else(|| Made::Foreign("its labels were removed".to_owned()), |pod| Made::Pod(Box::new(pod)));
        }
        Err(failed) => failed,
    };
    if failed.code() != 409 {
        return refused(failed);
    }
    match get_raw(cluster, &launch.namespace, &identity::name(launch.attempt)).await {
        Ok(raw) => existing(raw, installation),
        // Gone between the two calls.
        Err(failed) => Made::Later(failed.words()),
    }
}

fn existing(raw: RawPod, installation: InstallationId) -> Made {
    let owner = raw.metadata.labels.get(identity::INSTALLATION).cloned();
    if owner.as_deref() != Some(installation.to_string().as_str()) {
        return Made::Foreign(match owner {
            Some(other) => format!("it is of installation {other}"),
            None => "it was not made by Gridflow".to_owned(),
        });
    }
    match Pod::read(raw) {
        Some(pod) => Made::Exists(Box::new(pod)),
        None => Made::Foreign("it says of no attempt that it is its pod".to_owned()),
    }
}

async fn create_application(
    cluster: &Cluster,
    installation: InstallationId,
    launch: &Launch,
    application: &Value,
) -> Made {
    let api = applications(&launch.namespace);
    let manifest = identity::stamp_application(application.clone(), installation, launch);
    let request = api.create(&PostParams::default(), manifest.to_string().into_bytes());
    let made = text(cluster, request, CREATE_WITHIN).await;
    let found = match made {
        Err(failed) if failed.code() == 409 => {
            text(cluster, api.get(&identity::name(launch.attempt), &GetParams::default()), CALL_WITHIN).await
        }
        other => other,
    };
    let object: Value = match found.and_then(|text| parse(&text)) {
        Ok(object) => object,
        Err(failed) if failed.code() == 404 => {
            return Made::Denied(format!("the Spark operator is not installed in this cluster: {}", failed.words()));
        }
        Err(failed) => return refused(failed),
    };
    let metadata = &object["metadata"];
    let is_ours = is_of(metadata, installation, launch.attempt)
        && metadata["annotations"][identity::TURN] == json!(launch.turn.to_string())
        && metadata["annotations"][identity::SPEC_HASH] == json!(identity::hex(&launch.spec_hash));
    match metadata["uid"].as_str() {
        Some(uid) if is_ours => Made::Application { uid: uid.into() },
        _ => Made::Foreign("the SparkApplication is not what was committed".to_owned()),
    }
}

fn is_of(metadata: &Value, installation: InstallationId, attempt: AttemptId) -> bool {
    metadata["labels"][identity::INSTALLATION] == json!(installation.to_string())
        && metadata["labels"][identity::ATTEMPT] == json!(attempt.to_string())
}

/// What a server says of what is not about the object.
const PASSING: [&str; 3] = ["exceeded quota", "cannot create resource", "not yet ready to handle request"];

/// What a refused creation means.
fn refused(failed: Failed) -> Made {
    let words = failed.words();
    let Failed::Status(status) = &failed else { return Made::Later(words) };
    match status.code {
        400 | 413 | 415 | 422 => Made::Invalid(words),
        // Quota becomes free. Rights of our own are for the people who run this. An admission plugin of a server that
        // has just started refuses everything until it knows enough.
        403 if PASSING.iter().any(|known| words.contains(known)) => Made::Later(words),
        403 if words.contains("violates PodSecurity") => Made::Invalid(words),
        403 | 404 => Made::Denied(words),
        _ if words.contains("denied the request") => Made::Denied(words),
        _ => Made::Later(words),
    }
}

/// Without the right to read secrets: one that is there under our name is made anew. It is ours, or was of a pod that is
/// gone and waits for the garbage collector; and whoever mounts it is still gated.
pub(super) async fn make_secret(cluster: &Cluster, launch: &Launch, owner: &Owner) -> Refused<()> {
    let api = Request::new(format!("/api/v1/namespaces/{}/secrets", launch.namespace));
    let name = identity::name(launch.attempt);
    let secret = match serde_json::to_vec(&secret(launch, owner, &name)) {
        Ok(secret) => secret,
        Err(error) => return Refused::Invalid(error.to_string()),
    };
    let create = || {
        let request = api.create(&PostParams::default(), secret.clone());
        change(cluster, request, CALL_WITHIN, Point::PodSecretMade)
    };
    let mut made = create().await;
    if matches!(&made, Err(failed) if failed.code() == 409) {
        made = match text(cluster, api.delete(&name, &DeleteParams::default()), CALL_WITHIN).await {
            Err(failed) if failed.code() != 404 => Err(failed),
            Ok(_) | Err(_) => create().await,
        };
    }
    match made {
        Ok(_) => Refused::Done(()),
        Err(failed) if matches!(failed.code(), 400 | 413 | 422) => Refused::Invalid(failed.words()),
        Err(failed) => Refused::Later(failed.words()),
    }
}

fn secret(launch: &Launch, owner: &Owner, name: &str) -> Secret {
    let (api_version, kind) = match owner.kind {
        Kind::Pod => ("v1", "Pod"),
        Kind::SparkApplication => (APPLICATIONS, "SparkApplication"),
    };
    let files = launch.payload.iter().flat_map(|payload| &payload.files);
    Secret {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            labels: Some(BTreeMap::from([(identity::ATTEMPT.to_owned(), launch.attempt.to_string())])),
            owner_references: Some(vec![OwnerReference {
                api_version: api_version.to_owned(),
                kind: kind.to_owned(),
                name: name.to_owned(),
                uid: owner.uid.to_string(),
                ..OwnerReference::default()
            }]),
            ..ObjectMeta::default()
        },
        immutable: Some(true),
        data: Some(files.map(|(name, bytes)| (name.clone(), ByteString(bytes.to_vec()))).collect()),
        ..Secret::default()
    }
}

/// Removes our gate and adds our finalizer, both or neither, and only from the pod with that uid.
pub(super) async fn confirm(cluster: &Cluster, namespace: &str, name: &str, uid: &str) -> Confirmed {
    let patch = json!({
        "metadata": {"uid": uid, "finalizers": [identity::FINALIZER]},
        "spec": {"schedulingGates": [{"name": identity::GATE, "$patch": "delete"}]},
    });
    let request = pods(namespace).patch(name, &PatchParams::default(), &Patch::Strategic(patch));
    reach(Point::PodConfirming);
    let patched = change(cluster, request, CALL_WITHIN, Point::PodConfirmed).await;
    let failed = match patched.and_then(|text| parse::<RawPod>(&text)) {
        Ok(raw) => return Pod::read(raw).map_or(Confirmed::NotOurs, |pod| Confirmed::Pod(Box::new(pod))),
        Err(failed) => failed,
    };
    match failed.code() {
        404 => Confirmed::NotOurs,
        // Another uid, or a pod on its way out: a look at it tells.
        409 | 422 => match get(cluster, namespace, name).await {
            Ok(pod) if *pod.uid != *uid => Confirmed::NotOurs,
            Ok(pod) if pod.is_guarded || pod.deletion.is_some() => Confirmed::Pod(Box::new(pod)),
            Ok(_) => Confirmed::Later(failed.words()),
            Err(failed) if failed.code() == 404 => Confirmed::NotOurs,
            Err(failed) => Confirmed::Later(failed.words()),
        },
        _ => Confirmed::Later(failed.words()),
    }
}

pub(super) async fn delete(
    cluster: &Cluster,
    namespace: &str,
    name: &str,
    condition: &Condition,
    grace_s: Option<i64>,
) -> Deleted {
    let (uid, version) = match condition {
        Condition::Unconfirmed { uid, version } => (uid, Some(version.clone())),
        Condition::Uid(uid) => (uid, None),
    };
    let params = DeleteParams {
        grace_period_seconds: grace_s.and_then(|seconds| u32::try_from(seconds).ok()),
        preconditions: Some(Preconditions { uid: Some(uid.to_string()), resource_version: version }),
        ..DeleteParams::default()
    };
    let request = pods(namespace).delete(name, &params);
    let failed = match change(cluster, request, CALL_WITHIN, Point::PodDeleted).await {
        Ok(_) => return Deleted::Asked,
        Err(failed) => failed,
    };
    match failed.code() {
        404 => Deleted::Missing,
        409 => match get(cluster, namespace, name).await {
            Ok(pod) if *pod.uid == **uid => Deleted::Changed(Some(Box::new(pod))),
            Ok(_) => Deleted::Changed(None),
            Err(failed) if failed.code() == 404 => Deleted::Missing,
            Err(failed) => Deleted::Later(failed.words()),
        },
        _ => Deleted::Later(failed.words()),
    }
}

/// Takes our finalizer off, and leaves those of others.
pub(super) async fn release(cluster: &Cluster, namespace: &str, name: &str, uid: &str) -> Refused<()> {
    let patch = json!({
        "metadata": {"uid": uid, "$deleteFromPrimitiveList/finalizers": [identity::FINALIZER]},
    });
    let request = pods(namespace).patch(name, &PatchParams::default(), &Patch::Strategic(patch));
    reach(Point::PodReleasing);
    match change(cluster, request, CALL_WITHIN, Point::PodReleased).await {
        Ok(_) => Refused::Done(()),
        Err(failed) => match failed.code() {
            404 => Refused::Missing,
            422 => Refused::Invalid(failed.words()),
            _ => Refused::Later(failed.words()),
        },
    }
}

/// The pod that is looked for.
pub(super) struct Wanted<'a> {
    pub(super) installation: InstallationId,
    pub(super) run: RunKey,
    pub(super) attempt: AttemptId,
    pub(super) uid: Option<&'a str>,
}

/// A pod that lost our labels gets them again, so that the watch sees it.
pub(super) async fn look(cluster: &Cluster, namespace: &str, name: &str, wanted: &Wanted<'_>) -> Looked {
    let raw = match get_raw(cluster, namespace, name).await {
        Ok(raw) => raw,
        Err(failed) if failed.code() == 404 => return Looked::Missing,
        Err(failed) => return Looked::Later(failed.words()),
    };
    let labels = identity::labels(wanted.installation, wanted.run, wanted.attempt);
    let is_marked = labels.iter().all(|(key, value)| raw.metadata.labels.get(*key) == Some(value));
    if is_marked || wanted.uid != Some(raw.metadata.uid.as_str()) {
        return Pod::read(raw).map_or(Looked::Missing, |pod| Looked::Pod(Box::new(pod)));
    }
    let labels: serde_json::Map<String, Value> =
        labels.into_iter().map(|(key, value)| (key.to_owned(), json!(value))).collect();
    let patch = json!({"metadata": {"uid": raw.metadata.uid, "labels": labels}});
    let request = pods(namespace).patch(name, &PatchParams::default(), &Patch::Strategic(patch));
    match text(cluster, request, CALL_WITHIN).await.and_then(|text| parse::<RawPod>(&text)) {
        Ok(raw) => Pod::read(raw).map_or(Looked::Missing, |pod| Looked::Pod(Box::new(pod))),
        Err(failed) => Looked::Later(failed.words()),
    }
}

async fn get(cluster: &Cluster, namespace: &str, name: &str) -> Result<Pod, Failed> {
    let raw = get_raw(cluster, namespace, name).await?;
    // A pod without our labels is another one.
    Pod::read(raw).ok_or_else(|| Failed::Status(Box::new(Status { code: 404, ..Status::default() })))
}

async fn get_raw(cluster: &Cluster, namespace: &str, name: &str) -> Result<RawPod, Failed> {
    parse(&text(cluster, pods(namespace).get(name, &GetParams::default()), CALL_WITHIN).await?)
}

/// The application may not make another driver. One of the same name that is not the attempt's is left alone.
pub(super) async fn drop_application(
    cluster: &Cluster,
    installation: InstallationId,
    namespace: &str,
    attempt: AttemptId,
) -> Refused<()> {
    let (api, name) = (applications(namespace), identity::name(attempt));
    let found = text(cluster, api.get(&name, &GetParams::default()), CALL_WITHIN).await;
    let found: Value = match found.and_then(|text| parse(&text)) {
        Ok(found) => found,
        Err(failed) if failed.code() == 404 => return Refused::Missing,
        Err(failed) => return Refused::Later(failed.words()),
    };
    let metadata = &found["metadata"];
    if !is_of(metadata, installation, attempt) {
        return Refused::Missing;
    }
    let uid = metadata["uid"].as_str().map(str::to_owned);
    let conditions = Preconditions { uid, resource_version: None };
    let params = DeleteParams { preconditions: Some(conditions), ..DeleteParams::default() };
    match text(cluster, api.delete(&name, &params), CALL_WITHIN).await {
        Ok(_) => Refused::Done(()),
        Err(failed) if failed.code() == 404 => Refused::Missing,
        Err(failed) => Refused::Later(failed.words()),
    }
}

/// Has `spark-submit` made everything that this driver needs? It makes the driver first; then the ConfigMaps that the
/// driver mounts, and the service by which executors find it.
pub(super) async fn check_submission(cluster: &Cluster, namespace: &str, driver: &str) -> Checked {
    match missing_of(cluster, namespace, driver).await {
        Ok(None) => Checked::Whole,
        Ok(Some(missing)) => Checked::Torn(missing),
        Err(failed) => Checked::Later(failed.words()),
    }
}

async fn missing_of(cluster: &Cluster, namespace: &str, driver: &str) -> Result<Option<String>, Failed> {
    let pod: Value = match text(cluster, pods(namespace).get(driver, &GetParams::default()), CALL_WITHIN).await {
        Ok(text) => parse(&text)?,
        Err(failed) if failed.code() == 404 => return Ok(Some("its driver is gone".to_owned())),
        Err(failed) => return Err(failed),
    };
    let volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
    let maps = volumes.map(|volume| &volume["configMap"]).filter(|map| map["optional"] != true);
    for name in maps.filter_map(|map| map["name"].as_str()) {
        let api = Request::new(format!("/api/v1/namespaces/{namespace}/configmaps"));
        match text(cluster, api.get(name, &GetParams::default()), CALL_WITHIN).await {
            Ok(_) => {}
            Err(failed) if failed.code() == 404 => return Ok(Some(format!("the ConfigMap `{name}` is missing"))),
            Err(failed) => return Err(failed),
        }
    }
    let api = Request::new(format!("/api/v1/namespaces/{namespace}/services"));
    let services = text(cluster, api.list(&ListParams::default().limit(SERVICES_MAX)), CALL_WITHIN).await?;
    let services: Value = parse(&services)?;
    let is_owned = |service: &Value| {
        let owners = service["metadata"]["ownerReferences"].as_array();
        owners.into_iter().flatten().any(|owner| owner["uid"] == pod["metadata"]["uid"])
    };
    let has_service = services["items"].as_array().into_iter().flatten().any(is_owned);
    Ok((!has_service).then(|| "the service of its driver is missing".to_owned()))
}

/// A page of objects.
#[derive(Debug, Deserialize)]
struct RawPage<T> {
    metadata: RawPageMetadata,
    items: Vec<T>,
}

#[derive(Debug, Deserialize)]
struct RawPageMetadata {
    #[serde(rename = "continue", default)]
    next: Option<String>,
}

pub(super) async fn list_pods(
    cluster: &Cluster,
    namespace: &str,
    installation: InstallationId,
) -> Result<Vec<Pod>, String> {
    let raw: Vec<RawPod> = list(cluster, &pods(namespace), installation).await.map_err(|failed| failed.words())?;
    Ok(raw.into_iter().filter_map(Pod::read).collect())
}

/// Whose they are. None where nobody has heard of such a thing.
pub(super) async fn list_applications(
    cluster: &Cluster,
    namespace: &str,
    installation: InstallationId,
) -> Result<Vec<AttemptId>, String> {
    let found: Vec<Value> = match list(cluster, &applications(namespace), installation).await {
        Ok(found) => found,
        Err(failed) if failed.code() == 404 => return Ok(Vec::new()),
        Err(failed) => return Err(failed.words()),
    };
    let attempt =
        |object: &Value| object["metadata"]["labels"][identity::ATTEMPT].as_str()?.parse().ok().map(AttemptId);
    Ok(found.iter().filter_map(attempt).collect())
}

async fn list<T: serde::de::DeserializeOwned>(
    cluster: &Cluster,
    api: &Request,
    installation: InstallationId,
) -> Result<Vec<T>, Failed> {
    let (mut found, mut next) = (Vec::new(), None);
    loop {
        let params = ListParams {
            label_selector: Some(identity::selector(installation)),
            limit: Some(PAGE),
            continue_token: next,
            ..ListParams::default()
        };
        let page: RawPage<T> = parse(&text(cluster, api.list(&params), CALL_WITHIN).await?)?;
        found.extend(page.items);
        next = page.metadata.next.filter(|next| !next.is_empty());
        if next.is_none() {
            return Ok(found);
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawNode {
    spec: RawNodeSpec,
    status: RawNodeStatus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawNodeSpec {
    taints: Vec<RawTaint>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawTaint {
    key: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawNodeStatus {
    node_info: RawNodeInfo,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawNodeInfo {
    #[serde(rename = "bootID")]
    boot_id: String,
}

pub(super) async fn look_at_node(cluster: &Cluster, node: &str) -> NodeWord {
    let request = Request::new("/api/v1/nodes").get(node, &GetParams::default());
    match text(cluster, request, CALL_WITHIN).await.and_then(|text| parse::<RawNode>(&text)) {
        Ok(raw) => NodeWord::There {
            boot: raw.status.node_info.boot_id.into(),
            is_out_of_service: raw.spec.taints.iter().any(|taint| taint.key == "node.kubernetes.io/out-of-service"),
        },
        Err(failed) if failed.code() == 404 => NodeWord::Missing,
        Err(failed) => NodeWord::Silent(failed.words()),
    }
}

#[cfg(test)]
mod tests;
