//! Whether the way to a cluster is still the one that its clients were made of.
//!
//! Clients read certificates and addresses once. What a kubeconfig says, and what the files say that it names, may
//! change under a scheduler that runs for months. Tokens in files are no part of it: clients read those again by
//! themselves.

use std::{fs, path::Path};

use kube::config::Kubeconfig;

use super::{
    super::config::{Access, ClusterConfig},
    Error,
    access::Cluster,
};

/// Where a pod finds the certificate of its cluster's API server.
const CERTIFICATE_IN_CLUSTER: &str = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt";

/// Stands for all that a client is made of. Reads files, and nothing else.
pub fn fingerprint(access: &Access) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    match access {
        Access::InCluster => add(&mut hasher, Path::new(CERTIFICATE_IN_CLUSTER)),
        Access::Kubeconfig { path, context } => {
            hasher.update(context.as_deref().unwrap_or_default().as_bytes());
            add(&mut hasher, path);
            // One that can't be read names nothing; that it can be read again shows in its bytes.
            let named = Kubeconfig::read_from(path).map(named_files).unwrap_or_default();
            named.iter().for_each(|file| add(&mut hasher, Path::new(file)));
        }
    }
    *hasher.finalize().as_bytes()
}

/// Makes a client, as a term of leadership would, and drops it. No server is asked.
pub async fn try_access(config: &ClusterConfig) -> Result<(), Error> {
    Cluster::open(config).await.map(drop)
}

fn add(hasher: &mut blake3::Hasher, file: &Path) {
    hasher.update(file.as_os_str().as_encoded_bytes());
    match fs::read(file) {
        Ok(bytes) => hasher.update(&(bytes.len() as u64).to_le_bytes()).update(&bytes),
        Err(error) => hasher.update(error.kind().to_string().as_bytes()),
    };
}

/// Absolute already.
fn named_files(kubeconfig: Kubeconfig) -> Vec<String> {
    let clusters = kubeconfig.clusters.into_iter().filter_map(|named| named.cluster?.certificate_authority);
    let users = kubeconfig.auth_infos.into_iter().filter_map(|named| named.auth_info);
    let of_users = users.flat_map(|user| [user.client_certificate, user.client_key]).flatten();
    clusters.chain(of_users).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kubeconfig_and_the_files_it_names_are_looked_at() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("written");
        let access = Access::Kubeconfig { path: folder.path().join("config"), context: None };
        let now = || fingerprint(&access);
        let none = now();
        file(
            "config",
            "{clusters: [{name: a, cluster: {server: 'https://a', certificate-authority: ca.crt}}], users: [{name: u, user: \
             {client-certificate: u.crt, client-key: u.key, tokenFile: token}}]}",
        );
        let without_files = now();
        assert_ne!(none, without_files);
        assert_eq!(without_files, now());
        for name in ["ca.crt", "u.crt", "u.key"] {
            let before = now();
            file(name, "1");
            let first = now();
            file(name, "2");
            assert!(before != first && first != now(), "{name}");
        }
        let before = now();
        file("token", "1");
        assert_eq!(before, now(), "clients read tokens themselves");
    }
}
