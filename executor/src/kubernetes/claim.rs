//! The name of the one pod that may run for an attempt, as a turn commits it: `CLUSTER/NAMESPACE/UID`.
//!
//! The uid alone says which pod it is, but not who has to be asked for it. A namespace that nobody watches any more is
//! silent, and its silence must not be taken for the pod's end.

use std::{fmt, sync::Arc};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// `None`: it was written down without.
    pub site: Option<SiteName>,
    pub uid: Arc<str>,
}

/// A namespace of a cluster, by the names that the clusters file gives them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteName {
    pub cluster: Arc<str>,
    pub namespace: Arc<str>,
}

impl Claim {
    pub fn parse(text: &str) -> Self {
        let mut parts = text.rsplitn(3, '/');
        match (parts.next(), parts.next(), parts.next()) {
            (Some(uid), Some(namespace), Some(cluster)) => {
                Self { site: Some(SiteName { cluster: cluster.into(), namespace: namespace.into() }), uid: uid.into() }
            }
            _ => Self { site: None, uid: text.into() },
        }
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(SiteName { cluster, namespace }) = &self.site {
            write!(f, "{cluster}/{namespace}/")?;
        }
        f.write_str(&self.uid)
    }
}

impl fmt::Display for SiteName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "namespace `{}` of cluster `{}`", self.namespace, self.cluster)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_reads_back() {
        for text in ["default/data/u1", "u1"] {
            assert_eq!(Claim::parse(text).to_string(), text);
        }
    }

    #[test]
    fn a_claim_says_which_pod_and_where() {
        let Claim { site, uid } = Claim::parse("default/data/u1");
        assert_eq!((site.unwrap().to_string().as_str(), &*uid), ("namespace `data` of cluster `default`", "u1"));
        assert_eq!(Claim::parse("u1"), Claim { site: None, uid: "u1".into() });
    }
}
