//! How an API server is reached.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use http::header::AUTHORIZATION;
use kube::{
    client::ClientBuilder,
    config::{KubeConfigOptions, Kubeconfig},
};
use tower::util::MapRequestLayer;

use super::{
    super::config::{Access, ClusterConfig},
    Error,
    token::TokenFile,
};

const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// One cluster, ready to be called. Reaching it is not tried here.
#[derive(Clone)]
pub(super) struct Cluster {
    pub(super) name: Arc<str>,
    /// For calls and watches, each with a deadline of its own.
    pub(super) client: kube::Client,
    /// For logs, which may be silent for hours: its connections are its own.
    pub(super) log_client: kube::Client,
}

impl Cluster {
    pub(super) async fn open(config: &ClusterConfig) -> Result<Self, Error> {
        let failed = |source| Error::Client { cluster: config.name.clone(), source: Box::new(source) };
        let mut access = access(config).await?;
        let token = access.auth_info.token_file.take().map(|path| TokenFile::new(path.into()));
        Ok(Self {
            name: config.name.clone(),
            client: client(access.clone(), token.clone()).map_err(failed)?,
            log_client: client(access, token).map_err(failed)?,
        })
    }
}

fn client(access: kube::Config, token: Option<TokenFile>) -> Result<kube::Client, kube::Error> {
    let builder = ClientBuilder::try_from(access)?;
    let Some(token) = token else { return Ok(builder.build()) };
    let authorised = move |mut request: http::Request<kube::client::Body>| {
        if let Some(header) = token.header(Instant::now()) {
            request.headers_mut().insert(AUTHORIZATION, header);
        }
        request
    };
    Ok(builder.with_layer(&MapRequestLayer::new(authorised)).build())
}

async fn access(config: &ClusterConfig) -> Result<kube::Config, Error> {
    let mut access = match &config.access {
        Access::InCluster => kube::Config::incluster()
            .map_err(|source| Error::InCluster { cluster: config.name.clone(), source: Box::new(source) })?,
        Access::Kubeconfig { path, context } => {
            let failed = |source| Error::Kubeconfig { path: path.clone(), source: Box::new(source) };
            let file = Kubeconfig::read_from(path).map_err(failed)?;
            let options = KubeConfigOptions { context: context.clone(), ..KubeConfigOptions::default() };
            kube::Config::from_custom_kubeconfig(file, &options).await.map_err(failed)?
        }
    };
    // A write that is sent again by a layer below may meet what it has done itself; who asked decides.
    access.default_retry = false;
    access.connect_timeout = Some(CONNECT_WITHIN);
    // Counted over a connection, it would end silent watches and logs. Every call has a deadline instead.
    access.read_timeout = None;
    Ok(access)
}
