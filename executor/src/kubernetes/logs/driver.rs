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

use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{
    body::{Bytes, Incoming},
    client::conn::http1,
};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use kube::api::Api;
use tokio::{
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
const ANSWER_BYTES_MAX: usize = 4 << 20;

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
    Ok((driver.address, Progress::read(&answer).ok_or_else(|| io::Error::other("it gives no list of stages"))?))
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

/// What it answers, if that is what was asked for.
async fn get(address: SocketAddr, path: &str) -> io::Result<Bytes> {
    let stream = TcpStream::connect(address).await?;
    let (mut requests, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    let request = Request::get(path)
        .header(header::HOST, address.to_string())
        .header(header::ACCEPT, "application/json")
        .body(Empty::<Bytes>::new())
        .map_err(io::Error::other)?;
    let answer = async {
        let answer = requests.send_request(request).await.map_err(io::Error::other)?;
        if answer.status() != StatusCode::OK {
            return Err(io::Error::other(format!("it answers {}", answer.status())));
        }
        body(answer.into_body()).await
    };
    tokio::pin!(connection, answer);
    tokio::select! {
        biased;
        answer = &mut answer => return answer,
        ended = &mut connection => ended.map_err(io::Error::other)?,
    }
    // The server has closed the connection; what it sent before is there.
    answer.await
}

async fn body(body: Incoming) -> io::Result<Bytes> {
    Ok(Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(io::Error::other)?.to_bytes())
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    /// Gives one answer, however little of it is right.
    async fn answering(answer: &'static [u8]) -> SocketAddr {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            assert_ne!(stream.read(&mut [0; 1024]).await.unwrap(), 0);
            stream.write_all(answer).await.unwrap();
        });
        address
    }

    #[tokio::test]
    async fn only_a_good_answer_has_a_body() {
        let told = async |answer| get(answering(answer).await, "/stages").await.ok();
        assert_eq!(told(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]").await.as_deref(), Some(&b"[]"[..]));
        assert_eq!(told(b"HTTP/1.1 200 OK\r\nServer: x\r\n\r\n[]").await.as_deref(), Some(&b"[]"[..]));
        let parts = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n[\r\n1\r\n]\r\n0\r\n\r\n";
        assert_eq!(told(parts).await.as_deref(), Some(&b"[]"[..]));
        assert_eq!(told(b"HTTP/1.1 404 Not Found\r\n\r\nno app").await, None);
        assert_eq!(told(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n[]").await, None);
        assert_eq!(told(b"SSH-2.0 200 x\r\n\r\n").await, None);
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
