//! Text within XML.

/// What stands for a text in an element or an attribute.
pub(super) fn text(it: &str) -> String {
    it.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
