//! What the pages of docs show, word for word, except for the addresses.

use std::net::SocketAddr;

pub(crate) const PROXIES: &str = include_str!("../../../docs/proxies.md");
pub(crate) const INTEGRATE: &str = include_str!("../../../docs/integrate.md");
pub(crate) const OPERATIONS: &str = include_str!("../../../docs/operations.md");

/// The only fenced block of the page in this language, with addresses of the page replaced.
pub(crate) fn block(page: &str, language: &str, addresses: &[(&str, SocketAddr)]) -> String {
    let fence = format!("```{language}\n");
    let mut blocks = page.split(&fence).skip(1);
    let (Some(block), None) = (blocks.next(), blocks.next()) else {
        panic!("the page must have one block {language}");
    };
    let mut text = block.split("```").next().unwrap().to_owned();
    for (documented, actual) in addresses {
        assert_eq!(text.matches(documented).count(), 1, "{documented} in {text}");
        text = text.replace(documented, &actual.to_string());
    }
    text
}
