//! `standalone` on a machine without PostgreSQL, which it then downloads.

use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    path::{Path, PathBuf},
    thread,
};

use anyhow::{Result, bail};
use gridflow_tests::Installation;

/// Kept from one run of the tests to the next: what is downloaded is downloaded once.
/// Below `/tmp`, because the server's user must get there when we are root.
fn cache() -> Result<PathBuf> {
    let cache = std::env::temp_dir().join(format!("gridflow-test-cache-{}", nix::unistd::Uid::effective()));
    fs::create_dir_all(&cache)?;
    fs::set_permissions(&cache, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    Ok(cache)
}

#[test]
fn two_first_starts_at_once_download_one_postgresql_and_both_run() -> Result<()> {
    let cache = cache()?;
    let start = |installation: &Installation, name| {
        let cache = cache.to_string_lossy();
        let env = [("GRIDFLOW_POSTGRESQL", "download"), ("XDG_CACHE_HOME", &*cache)];
        installation.start_with(name, &env)
    };
    let installations = [Installation::with_examples()?, Installation::with_examples()?];
    let started = thread::scope(|scope| {
        let starts = installations.iter().map(|one| scope.spawn(|| start(one, "first"))).collect::<Vec<_>>();
        starts.into_iter().map(|start| start.join().expect("no panic")).collect::<Vec<_>>()
    });
    for standalone in started {
        match standalone {
            Err(error) if format!("{error:#}").contains("can't be downloaded") => {
                eprintln!("SKIPPED: Maven Central is out of reach: {error:#}");
                return Ok(());
            }
            Err(error) => return Err(error),
            Ok(standalone) => {
                let dags = standalone.ask(&["dags", "list"])?;
                assert!(dags.to_string().contains("hello"), "{dags}");
            }
        }
    }
    let left: Vec<_> = names(&cache.join("gridflow-postgresql"))?;
    assert_eq!(left, ["17.11.0", "lock"]);
    let version = fs::read_to_string(installations[0].path("state/postgresql/data/PG_VERSION"))?;
    assert_eq!(version.trim(), "17");
    Ok(())
}

#[test]
fn an_archive_with_other_bytes_is_refused() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let mirror = format!("http://{}", listener.local_addr()?);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = stream;
            let _ = stream.read(&mut [0; 4_096]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\nconnection: close\r\n\r\nbad");
        }
    });
    let installation = Installation::with_examples()?;
    let cache = installation.path("cache");
    let cache_text = cache.to_string_lossy();
    let env =
        [("GRIDFLOW_POSTGRESQL", "download"), ("XDG_CACHE_HOME", &*cache_text), ("GRIDFLOW_MAVEN_MIRROR", &*mirror)];
    let Err(error) = installation.start_with("first", &env) else { bail!("it started") };
    let text = format!("{error:#}");
    assert!(text.contains("is not the archive that it should be"), "{text}");
    let left = names(&cache.join("gridflow-postgresql"))?;
    assert!(!left.iter().any(|name| name.starts_with("17")), "{left:?}");
    Ok(())
}

fn names(folder: &Path) -> Result<Vec<String>> {
    let mut names: Vec<_> = fs::read_dir(folder)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<_>>()?;
    names.sort();
    Ok(names)
}
