//! The learner's model of trees that were grown here.
//!
//! The learner makes models only of what it has trained or read. It reads them through
//! serde, checks included, so the trees are shown to it as a document of its native format,
//! without any text in between. All but the trees comes from a model that it made itself.

use hessboost::error::HessboostError;
use hessboost::model::BoostedModel;
use serde::Deserialize as _;
use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{Deserializer, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::{Error, Value};

/// A grown tree; the first node is its root.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    pub(super) nodes: Vec<Node>,
}

/// A node of a tree.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node {
    pub(super) feature: u32,
    /// Values below it go left.
    pub(super) threshold: f32,
    /// Whether missing values go left.
    pub(super) default_left: bool,
    /// The left child, before the right one; none for a leaf.
    pub(super) left: Option<u32>,
    /// What a leaf adds to the margin.
    pub(super) value: f32,
    /// The sum of second derivatives.
    pub(super) hess: f32,
    /// The loss reduction of the split.
    pub(super) gain: f32,
}

impl Node {
    pub(super) fn leaf(hess: f64) -> Self {
        Self {
            feature: 0,
            threshold: 0.0,
            default_left: true,
            left: None,
            value: 0.0,
            hess: hess as f32,
            gain: 0.0,
        }
    }
}

/// `empty` with these trees, one for each output in turn.
///
/// # Errors
///
/// Trees that the learner refuses.
pub(super) fn model(empty: &BoostedModel, trees: &[Tree]) -> Result<BoostedModel, HessboostError> {
    let document = serde_json::to_value(empty)?;
    let Value::Object(mut fields) = document else {
        return Err(HessboostError::ModelFormat(
            "a model is a map of its parts".to_owned(),
        ));
    };
    fields.remove("trees");
    let rest = fields
        .iter()
        .map(|(name, value)| (name.as_str(), Part::Json(value)));
    let all = std::iter::once(("trees", Part::Trees(trees))).chain(rest);
    Ok(BoostedModel::deserialize(MapDeserializer::new(all))?)
}

/// A part of the document.
#[derive(Clone, Copy)]
enum Part<'a> {
    Json(&'a Value),
    Trees(&'a [Tree]),
    Tree(&'a Tree),
    Nodes(&'a [Node]),
    Node(&'a Node),
    Nothing,
    NoItems,
    Flag(bool),
    Whole(i64),
    Real(f32),
}

impl<'de> IntoDeserializer<'de, Error> for Part<'_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Part<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Part::Json(value) => value.clone().deserialize_any(visitor),
            Part::Trees(trees) => {
                visitor.visit_seq(SeqDeserializer::new(trees.iter().map(Part::Tree)))
            }
            Part::Tree(tree) => visitor.visit_map(MapDeserializer::new(
                [
                    ("nodes", Part::Nodes(&tree.nodes)),
                    ("categories", Part::NoItems),
                    ("size_leaf_vector", Part::Whole(0)),
                    ("leaf_vectors", Part::NoItems),
                    ("linear", Part::Nothing),
                ]
                .into_iter(),
            )),
            Part::Nodes(nodes) => {
                visitor.visit_seq(SeqDeserializer::new(nodes.iter().map(Part::Node)))
            }
            Part::Node(node) => visitor.visit_map(MapDeserializer::new(fields(node).into_iter())),
            Part::Nothing => visitor.visit_none(),
            Part::NoItems => {
                visitor.visit_seq(SeqDeserializer::new(std::iter::empty::<Part<'_>>()))
            }
            Part::Flag(flag) => visitor.visit_bool(flag),
            Part::Whole(number) => visitor.visit_i64(number),
            Part::Real(number) => visitor.visit_f32(number),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Part::Nothing => visitor.visit_none(),
            Part::Json(value) => value.clone().deserialize_option(visitor),
            some => visitor.visit_some(some),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier
        ignored_any
    }
}

/// A node as the learner stores it.
fn fields(node: &Node) -> [(&'static str, Part<'static>); 11] {
    let child = |offset: i64| Part::Whole(node.left.map_or(-1, |left| i64::from(left) + offset));
    [
        ("split_feature", Part::Whole(i64::from(node.feature))),
        ("split_cond", Part::Real(node.threshold)),
        ("default_left", Part::Flag(node.default_left)),
        ("left", child(0)),
        ("right", child(1)),
        ("leaf_value", Part::Real(node.value)),
        ("sum_hess", Part::Real(node.hess)),
        ("split_gain", Part::Real(node.gain)),
        ("is_categorical", Part::Flag(false)),
        ("cat_begin", Part::Whole(0)),
        ("cat_end", Part::Whole(0)),
    ]
}
