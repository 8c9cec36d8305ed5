//! The kinds of objects that are watched.

use gridflow_core::InstallationId;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use super::super::{
    attempt::Kind,
    fleet::Word,
    identity,
    pod::{Pod, RawPod},
    spark::{Application, GROUP, PLURAL, VERSION},
};

/// What a watch has to know about a kind.
pub(super) trait Watched: DeserializeOwned + Clone + std::fmt::Debug + Send + 'static {
    const KIND: Kind;
    /// For people.
    const NAME: &'static str;
    fn path(namespace: &str) -> String;
    /// Of this object.
    fn version(&self) -> &str;
    fn list_began() -> Option<Word>;
    fn listed(self) -> Option<Word>;
    fn list_ended() -> Option<Word>;
    fn applied(self) -> Option<Word>;
    fn deleted(self) -> Option<Word>;
}

/// All that an installation has made.
pub(super) fn selector(installation: InstallationId) -> String {
    identity::selector(installation)
}

impl Watched for RawPod {
    const KIND: Kind = Kind::Pod;
    const NAME: &'static str = "pods";

    fn path(namespace: &str) -> String {
        format!("/api/v1/namespaces/{namespace}/pods")
    }

    fn version(&self) -> &str {
        &self.metadata.resource_version
    }

    fn list_began() -> Option<Word> {
        Some(Word::ListBegan)
    }

    fn listed(self) -> Option<Word> {
        Pod::read(self).map(|pod| Word::Listed(Box::new(pod)))
    }

    fn list_ended() -> Option<Word> {
        Some(Word::ListEnded)
    }

    fn applied(self) -> Option<Word> {
        Pod::read(self).map(|pod| Word::Applied(Box::new(pod)))
    }

    fn deleted(self) -> Option<Word> {
        Pod::read(self).map(|pod| Word::Deleted(Box::new(pod)))
    }
}

/// A SparkApplication as the API server shows it.
#[derive(Debug, Clone, Deserialize)]
#[serde(transparent)]
pub(super) struct RawApplication(Value);

impl Watched for RawApplication {
    const KIND: Kind = Kind::SparkApplication;
    const NAME: &'static str = "SparkApplications";

    fn path(namespace: &str) -> String {
        format!("/apis/{GROUP}/{VERSION}/namespaces/{namespace}/{PLURAL}")
    }

    fn version(&self) -> &str {
        self.0["metadata"]["resourceVersion"].as_str().unwrap_or_default()
    }

    fn list_began() -> Option<Word> {
        Some(Word::ApplicationsBegan)
    }

    fn listed(self) -> Option<Word> {
        self.applied()
    }

    fn list_ended() -> Option<Word> {
        Some(Word::ApplicationsEnded)
    }

    fn applied(self) -> Option<Word> {
        Application::read(&self.0).map(|seen| Word::Application(Box::new(seen)))
    }

    fn deleted(self) -> Option<Word> {
        Application::read(&self.0).map(|seen| Word::ApplicationDeleted(Box::new(seen)))
    }
}
