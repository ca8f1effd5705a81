//! The report: one page that needs nothing else, no script and no network, to look at rather than to read.

mod bars;
mod curves;
mod heat;
mod markup;
mod page;
mod scale;
#[cfg(test)]
pub(crate) mod testing;

pub use page::html;
