//! A log as a stream of JSON lines, read as fast as the client takes them: never more than a piece is in memory.

use std::io::Write;

use axum::body::{Body, Bytes};
use futures_util::stream;

use super::{
    Message,
    file::{LogFile, Span},
};
use crate::error::Error;

/// Of the file, at a time.
const PIECE_BYTES: u64 = 64 << 10;
/// A longer line is cut into several.
const LINE_BYTES_MAX: usize = 256 << 10;

/// How the lines are put together.
pub enum Style {
    /// One object a line.
    Lines,
    /// `{"content": […], "continuation_token": …}`
    Content { token: Option<String> },
}

struct State {
    file: Option<LogFile>,
    span: Span,
    last: Option<Message>,
    style: Style,
    /// The beginning of a line whose end was not read yet.
    carry: Vec<u8>,
    has_begun: bool,
    has_messages: bool,
    is_done: bool,
}

/// The lines of a span, then one of ours.
pub fn body(file: Option<LogFile>, span: Span, last: Option<Message>, style: Style) -> Body {
    let state =
        State { file, span, last, style, carry: Vec::new(), has_begun: false, has_messages: false, is_done: false };
    Body::from_stream(stream::try_unfold(state, next))
}

async fn next(mut state: State) -> Result<Option<(Bytes, State)>, Error> {
    if state.is_done {
        return Ok(None);
    }
    let mut out = Vec::with_capacity(2 * PIECE_BYTES as usize);
    if !state.has_begun && matches!(state.style, Style::Content { .. }) {
        out.extend_from_slice(b"{\"content\":[");
    }
    state.has_begun = true;
    let piece = piece(&mut state).await?;
    let is_end = piece.is_empty();
    state.carry.extend_from_slice(&piece);
    let mut lines = std::mem::take(&mut state.carry);
    let whole = if is_end { lines.len() } else { whole_lines(&lines) };
    state.carry = lines.split_off(whole);
    for line in lines.split_inclusive(|byte| *byte == b'\n') {
        push(&mut out, &mut state, &Message::line(line));
    }
    if is_end {
        if let Some(last) = state.last.take() {
            push(&mut out, &mut state, &last);
        }
        if let Style::Content { token } = &state.style {
            out.extend_from_slice(b"],\"continuation_token\":");
            write_json(&mut out, token);
            out.push(b'}');
        }
        state.is_done = true;
    }
    Ok(Some((Bytes::from(out), state)))
}

/// Empty at the end.
async fn piece(state: &mut State) -> Result<Vec<u8>, Error> {
    let Some(file) = &mut state.file else { return Ok(Vec::new()) };
    let end = state.span.end.min(state.span.start + PIECE_BYTES);
    let bytes = file.read(Span { start: state.span.start, end }).await?;
    state.span.start += bytes.len() as u64;
    Ok(bytes)
}

fn whole_lines(bytes: &[u8]) -> usize {
    match bytes.iter().rposition(|byte| *byte == b'\n') {
        Some(place) => place + 1,
        None if LINE_BYTES_MAX <= bytes.len() => bytes.len(),
        None => 0,
    }
}

fn push(out: &mut Vec<u8>, state: &mut State, message: &Message) {
    match &state.style {
        Style::Lines => {
            write_json(out, message);
            out.push(b'\n');
        }
        Style::Content { .. } => {
            if state.has_messages {
                out.push(b',');
            }
            state.has_messages = true;
            write_json(out, message);
        }
    }
}

fn write_json<T: serde::Serialize>(out: &mut Vec<u8>, value: &T) {
    serde_json::to_writer(&mut *out, value).expect("a message has string keys");
    out.flush().expect("writing to memory");
}
