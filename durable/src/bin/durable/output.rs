//! What a command says, for people and for programs.

use std::io::{self, Write};

use serde_json::Value;

/// The same twice.
pub(crate) struct Output {
    json: Value,
    text: String,
}

impl Output {
    /// `text`: ends with a newline.
    pub(crate) fn new(json: Value, text: String) -> Self {
        Output { json, text }
    }

    /// Prints one of the two.
    pub(crate) fn write(&self, is_json: bool) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if is_json {
            writeln!(out, "{}", self.json)?;
        } else {
            out.write_all(self.text.as_bytes())?;
        }
        out.flush()
    }
}

/// Rows under headings, in columns.
pub(crate) struct Table<const N: usize> {
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    pub(crate) fn new(headings: [&str; N]) -> Self {
        Table { rows: vec![headings.map(str::to_owned)] }
    }

    pub(crate) fn add(&mut self, row: [String; N]) {
        self.rows.push(row);
    }

    /// Each column as wide as its widest cell; the last one as it is.
    pub(crate) fn text(&self) -> String {
        let mut widths = [0; N];
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (width, cell) in widths.iter().zip(row) {
                line.push_str(&format!("{cell:width$}  "));
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}
