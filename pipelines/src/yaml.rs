//! YAML as a tree of nodes that know their bytes.
//!
//! [`parse`] takes the subset that a pipeline needs: one document of mappings, lists and
//! scalars. Anchors, aliases, tags, merge keys and directives are refused, each with words
//! that say what to write instead, since they mostly appear by accident (`*.csv`). What a
//! scalar *means* (number, text, SQL) is decided by who decodes it; see [`crate::spec`].

mod cut;
mod node;
mod scalar_map;
mod syntax;
mod text_map;
mod tree;

pub use node::{Entry, Key, Mapping, Node, NodeKind, Scalar};
pub use text_map::TextMap;
pub use tree::parse;
