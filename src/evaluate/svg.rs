//! Pieces of SVG documents.

use std::fmt::Write;

/// Appends a piece.
pub(crate) fn push(body: &mut String, piece: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = body.write_fmt(piece);
}

/// A name as it may stand in a document.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
