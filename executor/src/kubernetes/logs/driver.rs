//! How far a Spark job is, asked of its driver while it runs.
//!
//! Nothing waits for it and nothing depends on it: where the driver can't be reached from here, there are no such
//! lines. It ends with the attempt, whatever it is doing.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use k8s_openapi::api::core::v1::Pod;
use kube::api::Api;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
    time::{Instant, sleep, timeout},
};

use super::{
    super::spark::{APPLICATION_LABEL, DRIVER_CONTAINER, Progress, Teller, UI_PORT, UI_PORT_NAME},
    Source,
};

/// A look, with all that belongs to it.
const LOOK_MAX: Duration = Duration::from_secs(5);
/// Between two looks: a twentieth of the job's age, within these.
const PAUSE_MIN: Duration = Duration::from_secs(3);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// After looks that failed.
const FAILED_PAUSE_MAX: Duration = Duration::from_mins(1);
/// Spark keeps a thousand stages, of some kilobytes each.
const ANSWER_BYTES_MAX: u64 = 4 << 20;

/// What was seen last.
#[derive(Debug, Default)]
pub(super) struct Seen(Mutex<Option<(Progress, Instant)>>);

impl Seen {
    /// For the end of the log.
    pub(super) fn summary(&self) -> Option<String> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (progress, at) = seen.as_ref()?;
        progress.summary(at.elapsed())
    }
}

/// Where a driver answers, and as which application.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Driver {
    address: SocketAddr,
    application: String,
}

/// Looks again and again; never ends. Lines that nobody takes in time are left out.
pub(super) async fn watch(source: &Source, seen: &Seen, say: &mpsc::Sender<String>) {
    let began = Instant::now();
    let mut teller = Teller::default();
    let mut driver = None;
    let mut is_reached = false;
    let mut pause = PAUSE_MIN;
    loop {
        sleep(pause).await;
        let looked = timeout(LOOK_MAX, look(source, &mut driver)).await;
        let Ok(Ok((address, progress))) = looked else {
            tracing::debug!(?looked, pod = %source.pod, "a driver does not say how far it is");
            pause = (pause * 2).min(FAILED_PAUSE_MAX);
            continue;
        };
        let age = began.elapsed();
        pause = (age / 20).clamp(PAUSE_MIN, PAUSE_MAX);
        let ui = (!is_reached).then(|| format!("spark: its UI is at http://{address}"));
        is_reached = true;
        for line in ui.into_iter().chain(teller.tell(&progress, age)) {
            let _ = say.try_send(line);
        }
        *seen.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((progress, Instant::now()));
    }
}

async fn look(source: &Source, known: &mut Option<Driver>) -> io::Result<(SocketAddr, Progress)> {
    let _permit = source.looks.acquire().await.map_err(io::Error::other)?;
    let driver = match known {
        Some(driver) => driver,
        None => known.insert(find(source).await?),
    };
    // It answers for no other application: on the network of a node the port may be somebody else's.
    let path = format!("/api/v1/applications/{}/stages", driver.application);
    let answer = get(driver.address, &path).await?;
    let progress = body(&answer).and_then(Progress::read);
    Ok((driver.address, progress.ok_or_else(|| io::Error::other("it gives no list of stages"))?))
}

async fn find(source: &Source) -> io::Result<Driver> {
    let pods: Api<Pod> = Api::namespaced(source.client.clone(), &source.namespace);
    let pod = pods.get(&source.pod).await.map_err(io::Error::other)?;
    driver(&pod).ok_or_else(|| io::Error::other("its pod does not say where it is"))
}

fn driver(pod: &Pod) -> Option<Driver> {
    let ip: IpAddr = pod.status.as_ref()?.pod_ip.as_ref()?.parse().ok()?;
    let application = pod.metadata.labels.as_ref()?.get(APPLICATION_LABEL)?;
    // It becomes part of a path.
    if application.is_empty() || !application.chars().all(|char| char.is_ascii_alphanumeric() || "-_".contains(char)) {
        return None;
    }
    let container = pod.spec.as_ref()?.containers.iter().find(|container| container.name == DRIVER_CONTAINER)?;
    let named = container.ports.iter().flatten().find(|port| port.name.as_deref() == Some(UI_PORT_NAME));
    let port = named.map_or(Some(UI_PORT), |port| u16::try_from(port.container_port).ok())?;
    Some(Driver { address: SocketAddr::new(ip, port), application: application.clone() })
}

/// As the oldest HTTP has it: the answer ends where the connection does.
async fn get(address: SocketAddr, path: &str) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\nAccept: application/json\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await?;
    Ok(answer)
}

/// What a good answer holds.
fn body(answer: &[u8]) -> Option<&[u8]> {
    const BREAK: &[u8] = b"\r\n\r\n";
    let head = answer.windows(BREAK.len()).position(|window| window == BREAK)?;
    let status = answer.split(|byte| *byte == b' ').nth(1)?;
    (answer.starts_with(b"HTTP/") && status == b"200").then_some(&answer[head + BREAK.len()..])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_a_good_answer_has_a_body() {
        assert_eq!(body(b"HTTP/1.1 200 OK\r\nServer: x\r\n\r\n[]"), Some(&b"[]"[..]));
        assert_eq!(body(b"HTTP/1.1 404 Not Found\r\n\r\nno app"), None);
        assert_eq!(body(b"HTTP/1.1 200 OK\r\nServer"), None);
        assert_eq!(body(b"SSH-2.0 200 x\r\n\r\n"), None);
    }

    #[test]
    fn a_pod_says_where_its_driver_answers() {
        let pod = |application: &str, ports: serde_json::Value| -> Pod {
            serde_json::from_value(json!({
                "metadata": {"labels": {"spark-app-selector": application}},
                "spec": {"containers": [{"name": "spark-kubernetes-driver", "ports": ports}]},
                "status": {"podIP": "10.1.2.3"},
            }))
            .unwrap()
        };
        let told = |pod: &Pod| driver(pod).map(|driver| (driver.address.to_string(), driver.application));
        let own =
            json!([{"name": "driver-rpc-port", "containerPort": 7078}, {"name": "spark-ui", "containerPort": 4141}]);
        assert_eq!(told(&pod("spark-0a", own)), Some(("10.1.2.3:4141".into(), "spark-0a".into())));
        assert_eq!(told(&pod("spark-0a", json!([]))), Some(("10.1.2.3:4040".into(), "spark-0a".into())));
        assert_eq!(told(&pod("../x", json!([]))), None);
    }
}
