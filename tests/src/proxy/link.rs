//! One connection: two directions, and what each has seen.

use std::{
    collections::HashSet,
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    thread,
};

use super::{LEADER_SESSION, Moment, Shared, message::Message};

/// The status of a session inside a transaction.
const IN_TRANSACTION: u8 = b'T';
const IDLE: u8 = b'I';

/// What both directions know of their session.
#[derive(Debug, Default)]
struct Session {
    status: AtomicU8,
    /// The fault that waits for the answer to a commit which is on its way.
    commit: Mutex<Option<Moment>>,
}

/// Forwards until an end is gone.
pub(super) fn run(client: TcpStream, server: TcpStream, shared: &Arc<Shared>) {
    let (Ok(mut client_out), Ok(mut server_in)) = (client.try_clone(), server.try_clone()) else { return };
    let session = Arc::new(Session::default());
    let (theirs, their_session) = (Arc::clone(shared), Arc::clone(&session));
    let up = thread::Builder::new().name("link up".into()).spawn(move || {
        let (mut client, mut server) = (client, server);
        // How a connection ends is what this is about: nobody to tell.
        let _ = up(&mut client, &mut server, &theirs, &their_session);
        theirs.pass();
        let _ = server.shutdown(Shutdown::Write);
    });
    let _ = down(&mut server_in, &mut client_out, shared, &session);
    shared.pass();
    let _ = client_out.shutdown(Shutdown::Both);
    let _ = server_in.shutdown(Shutdown::Both);
    if let Ok(up) = up {
        let _ = up.join();
    }
}

/// From the client to the server.
fn up(client: &mut impl Read, server: &mut TcpStream, shared: &Shared, session: &Session) -> io::Result<()> {
    let first = loop {
        let message = Message::read_first(client)?;
        if !message.asks_for_encryption() {
            break message;
        }
        session.status.store(ASKED, Ordering::SeqCst);
        send(server, &message.bytes, shared)?;
    };
    let is_leader = first.application_name() == Some(LEADER_SESSION);
    session.status.store(IDLE, Ordering::SeqCst);
    send(server, &first.bytes, shared)?;
    let mut turns = HashSet::new();
    loop {
        let message = Message::read(client)?;
        if let Some((name, text)) = message.parse()
            && text.contains("turn_v")
        {
            turns.insert(name.to_owned());
        }
        // The leader's turns are one statement; whatever else it writes is a transaction with a COMMIT.
        let is_whole_turn = message.bind().is_some_and(|name| turns.contains(name));
        let is_commit = is_whole_turn || message.query() == Some("COMMIT");
        let is_in_turn = is_whole_turn || (!is_commit && session.status.load(Ordering::SeqCst) == IN_TRANSACTION);
        if is_leader
            && is_in_turn
            && let Some(moment) = shared.fire(|armed| matches!(armed, Moment::BlackHoleInTurn | Moment::CutInTurn))
        {
            break_off(server, &message, moment, shared)?;
            continue;
        }
        if is_leader && is_commit {
            let wanted = shared.armed(|armed| matches!(armed, Moment::CommitAnswerSwallowed | Moment::CommitAnswerCut));
            *session.commit.lock().unwrap_or_else(PoisonError::into_inner) = wanted;
        }
        send(server, &message.bytes, shared)?;
    }
}

/// Until the first message proper the server's answers are single bytes.
const ASKED: u8 = b'?';

/// Half a message gets through; the other half of one in a black hole when that has ended, as TCP would send it again.
fn break_off(server: &mut TcpStream, message: &Message, moment: Moment, shared: &Shared) -> io::Result<()> {
    let (half, rest) = message.bytes.split_at(message.bytes.len() / 2);
    server.write_all(half)?;
    if moment != Moment::BlackHoleInTurn {
        return Err(io::ErrorKind::ConnectionAborted.into());
    }
    shared.wait_until_healed();
    server.write_all(rest)
}

/// From the server to the client.
fn down(server: &mut impl Read, client: &mut TcpStream, shared: &Shared, session: &Session) -> io::Result<()> {
    // The byte that answers a question for encryption comes before the client's first message proper.
    let mut byte = [0];
    server.read_exact(&mut byte)?;
    let mut head = Some(byte[0]);
    while session.status.load(Ordering::SeqCst) == ASKED {
        send(client, &byte, shared)?;
        server.read_exact(&mut byte)?;
        head = Some(byte[0]);
    }
    // What came after the question for a commit, until it is clear how it went.
    let mut held = Vec::new();
    let mut has_failed = false;
    loop {
        let message = match head.take() {
            Some(byte) => Message::read(&mut [byte].as_slice().chain(&mut *server))?,
            None => Message::read(server)?,
        };
        let ready = message.ready();
        if let Some(status) = ready {
            session.status.store(status, Ordering::SeqCst);
        }
        let mut commit = session.commit.lock().unwrap_or_else(PoisonError::into_inner);
        if commit.is_none() {
            drop(commit);
            send(client, &message.bytes, shared)?;
            continue;
        }
        has_failed |= message.is_error();
        held.extend_from_slice(&message.bytes);
        if ready.is_none() {
            continue;
        }
        let wanted = commit.take();
        drop(commit);
        let fired = if has_failed { None } else { shared.fire(|armed| Some(armed) == wanted) };
        match fired {
            None => send(client, &std::mem::take(&mut held), shared)?,
            Some(Moment::CommitAnswerSwallowed) => {
                // Silence, until the server ends the session.
                io::copy(server, &mut io::sink())?;
                return Ok(());
            }
            Some(Moment::CommitAnswerCut | Moment::BlackHoleInTurn | Moment::CutInTurn) => return Ok(()),
        }
        has_failed = false;
    }
}

fn send(to: &mut TcpStream, bytes: &[u8], shared: &Shared) -> io::Result<()> {
    shared.pass();
    to.write_all(bytes)
}
