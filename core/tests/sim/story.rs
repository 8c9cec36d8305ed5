//! What a history tells. Most are played in silence: to tell costs as much as to play.

pub struct Story {
    lines: Option<Vec<String>>,
}

impl Story {
    pub fn told() -> Self {
        Self { lines: Some(Vec::new()) }
    }

    pub fn silent() -> Self {
        Self { lines: None }
    }

    pub fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.lines {
            lines.push(line());
        }
    }

    pub fn lines(&self) -> &[String] {
        self.lines.as_deref().unwrap_or_default()
    }
}
