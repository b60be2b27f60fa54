//! What the commands print: aligned fields for people, one JSON value per line for programs.

use std::io::{self, Write};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::Value;

/// Prints one JSON value on a line of its own, and flushes, so that a reader sees it at once.
pub(crate) fn json_line(value: &Value) -> io::Result<()> {
    let mut line = value.to_string();
    line.push('\n');
    text(&line)
}

/// Prints text as it is, and flushes.
pub(crate) fn text(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// A line that is drawn over and over below everything else; none for programs.
pub(crate) fn status_line(json: bool, progress: &MultiProgress) -> ProgressBar {
    let status =
        if json { ProgressBar::hidden() } else { progress.add(ProgressBar::new_spinner()) };
    status.with_style(
        ProgressStyle::with_template("{spinner} {msg}")
            .expect("because the template is a constant that was tried"),
    )
}

/// Lines of name and value, the values below each other.
#[derive(Debug, Default)]
pub(crate) struct Fields(Vec<(String, String)>);

impl Fields {
    /// No lines.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds a line.
    pub(crate) fn add(&mut self, name: impl Into<String>, value: impl ToString) -> &mut Self {
        self.0.push((name.into(), value.to_string()));
        self
    }

    /// All lines, each after `indent`.
    pub(crate) fn render(&self, indent: &str) -> String {
        let width = self.0.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        self.0.iter().map(|(name, value)| format!("{indent}{name:width$}  {value}\n")).collect()
    }
}

/// A number of bytes for people.
pub(crate) fn human_bytes(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}

/// Text that a stranger chose, fit for a terminal.
///
/// # Security
///
/// Control characters could move the cursor, or pass off the text as a line of ours.
pub(crate) fn printable(text: &str) -> String {
    /// Beyond this it is no name of a client any more.
    const MAX_CHARS: usize = 120;
    let shown = text.chars().take(MAX_CHARS);
    shown.map(|char| if char.is_control() { '\u{fffd}' } else { char }).collect()
}
