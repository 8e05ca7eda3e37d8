//! Profiles of tables, and self-contained HTML reports with charts.
//!
//! A report is built from plain data, in the order of the modules:
//!
//! 1. [`chart`]: inline-SVG charts as plain functions of plain data, one file a kind.
//! 2. [`table`]: tables of text and figures.
//! 3. [`page`]: sections of [`block`]s (text, tiles, tables, charts, cards) become one HTML
//!    document, which refers to nothing outside itself.
//! 4. [`number`]: numbers as people read them; [`html`]: the typed tree below all of it,
//!    which escapes every text by construction.
//!
//! [`profile`] computes what is in a table, and draws its page from these.
//!
//! The same data gives the same bytes. Nothing here reads a clock, a file or the network.

pub mod block;
pub mod chart;
pub mod html;
pub mod number;
pub mod page;
pub mod profile;
pub mod table;

pub use block::{Block, Card, Tile, Tone};
pub use chart::Chart;
pub use page::{Page, Section};
pub use table::{Cell, Table};
