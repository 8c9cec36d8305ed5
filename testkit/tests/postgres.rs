//! The throw-away server itself: it works, and it never outlives the one who started it.

use std::{
    env,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use gridflow_testkit::postgres::{Durability, Postgres, Stop};
use nix::{errno::Errno, sys::signal::kill, unistd::Pid};

/// Set in the copy of this program that plays the process which is killed.
const ROLE: &str = "GRIDFLOW_TESTKIT_VICTIM";

#[test]
fn a_server_answers_and_is_gone_when_dropped() {
    let server = Postgres::start(Durability::Full).unwrap();
    assert_eq!(server.psql("postgres", "SHOW fsync").unwrap(), "on");
    assert_ne!(server.create_database().unwrap(), server.create_database().unwrap());
    let (pid, data) = (server.pid(), server.data_dir());
    drop(server);
    assert_eq!(kill(pid, None), Err(Errno::ESRCH));
    assert!(!data.exists());
}

#[test]
fn a_server_dies_with_a_killed_process_and_its_folder_is_swept_by_the_next_one() {
    if env::var_os(ROLE).is_some() {
        return be_killed();
    }
    let mut victim = Command::new(env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "a_server_dies_with_a_killed_process_and_its_folder_is_swept_by_the_next_one"])
        .env(ROLE, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(victim.stdout.take().unwrap()).lines();
    let line = lines.map_while(Result::ok).find_map(|line| Some(line.split_once("server ")?.1.to_owned())).unwrap();
    let (pid, data) = line.split_once(' ').unwrap();
    victim.kill().unwrap();
    victim.wait().unwrap();

    let pid = Pid::from_raw(pid.parse().unwrap());
    let deadline = Instant::now() + Duration::from_secs(20);
    while kill(pid, None).is_ok() {
        assert!(Instant::now() < deadline, "the server outlived its owner");
        thread::sleep(Duration::from_millis(10));
    }
    let _next = Postgres::start(Durability::None).unwrap();
    assert!(!std::path::Path::new(data).exists());
}

/// Starts the server from a thread that ends at once: only the whole process's end may be its end.
fn be_killed() {
    let server = thread::spawn(Postgres::shared).join().unwrap();
    println!("server {} {}", server.pid(), server.data_dir().display());
    loop {
        thread::park();
    }
}

#[test]
fn a_killed_server_starts_again_with_what_was_committed() {
    let server = Postgres::start(Durability::Full).unwrap();
    server.psql("postgres", "CREATE TABLE kept AS SELECT 1 AS it").unwrap();
    for how in [Stop::Crash, Stop::Fast] {
        server.stop(how).unwrap();
        assert!(!server.is_running());
        server.start_again().unwrap();
        assert_eq!(server.psql("postgres", "SELECT it FROM kept").unwrap(), "1");
    }
}

#[test]
fn a_server_goes_back_to_an_earlier_copy_of_itself() {
    let server = Postgres::start(Durability::Full).unwrap();
    server.psql("postgres", "CREATE TABLE kept AS SELECT 1 AS it").unwrap();
    let copy = server.copy("copy").unwrap();
    server.psql("postgres", "UPDATE kept SET it = 2").unwrap();
    server.restore(copy).unwrap();
    assert_eq!(server.psql("postgres", "SELECT it FROM kept").unwrap(), "1");
}
