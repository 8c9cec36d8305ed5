//! What a container left as its output: its termination message, or what that points to.

use std::sync::Arc;

use gridflow_core::Output;

/// What an attempt left behind.
#[derive(Debug, Clone, PartialEq)]
pub enum Left {
    Nothing,
    Json(Output),
    /// It meant to leave an output, and this is wrong with it.
    Invalid(String),
}

/// A termination message is an output if it is JSON; anything else is a word for people.
pub fn parse(message: Option<&str>) -> Left {
    let Some(text) = message.filter(|text| !text.trim_ascii().is_empty()) else { return Left::Nothing };
    match serde_json::from_str(text) {
        Ok(value) => Left::Json(Output { value: Arc::new(value), bytes: text.len() as u64 }),
        Err(_) => Left::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_termination_message_in_json_is_the_output() {
        let Left::Json(output) = parse(Some(r#"{"rows": 3}"#)) else { panic!("no output") };
        assert_eq!((output.value.to_string().as_str(), output.bytes), (r#"{"rows":3}"#, 11));
    }

    #[test]
    fn words_are_no_output() {
        assert_eq!(parse(Some("killed by the watchdog")), Left::Nothing);
        assert_eq!(parse(Some(" \n")), Left::Nothing);
        assert_eq!(parse(None), Left::Nothing);
    }
}
