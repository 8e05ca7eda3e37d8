//! MLflow's language for searching runs: `metrics."validation.auc" > 0.9 AND params.seed = '7'`.
//!
//! All that MLflow takes is taken; `OR`, parentheses and numbers for parameters besides.

use std::ops::Range;

use sluice_lake::nearest::nearest;

use super::token::{Spanned, Token, tokens};

/// What is wrong with a filter, and where.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct FilterError {
    pub(super) message: String,
    pub(super) help: Option<String>,
    /// Bytes of the text.
    pub(super) at: Range<usize>,
}

impl FilterError {
    pub(super) fn new(message: impl Into<String>, at: Range<usize>) -> Self {
        Self {
            message: message.into(),
            help: None,
            at,
        }
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(super) fn near(mut self, near: Option<&str>) -> Self {
        self.help = near
            .map(|near| format!("did you mean `{near}`?"))
            .or(self.help);
        self
    }
}

/// What a field belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Entity {
    Metric,
    Param,
    Tag,
    /// The position in [`ATTRIBUTES`].
    Attribute(usize),
}

/// What an attribute is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Number,
    /// Milliseconds since 1970 as in MLflow, or a timestamp in quotes.
    Time,
}

/// The attributes of a run: name, SQL over `system.runs AS r`, kind.
pub(super) const ATTRIBUTES: [(&str, &str, Kind); 13] = [
    ("run_id", "r.run_id", Kind::Text),
    ("run_name", "r.run_name", Kind::Text),
    ("kind", "r.kind", Kind::Text),
    ("parent_run_id", "r.parent_run_id", Kind::Text),
    ("status", "r.status", Kind::Text),
    ("pipeline", "r.pipeline", Kind::Text),
    ("project", "r.project", Kind::Text),
    ("error", "r.error", Kind::Text),
    ("experiment_id", "r.experiment_id", Kind::Number),
    (
        "seconds",
        "(CAST(r.end_time AS BIGINT) - CAST(r.start_time AS BIGINT)) / 1000.0",
        Kind::Number,
    ),
    ("start_time", "CAST(r.start_time AS BIGINT)", Kind::Time),
    ("created", "CAST(r.start_time AS BIGINT)", Kind::Time),
    ("end_time", "CAST(r.end_time AS BIGINT)", Kind::Time),
];

/// The words for the kinds of fields.
const ENTITIES: [(&str, Option<Entity>); 14] = [
    ("metrics", Some(Entity::Metric)),
    ("metric", Some(Entity::Metric)),
    ("params", Some(Entity::Param)),
    ("param", Some(Entity::Param)),
    ("parameters", Some(Entity::Param)),
    ("parameter", Some(Entity::Param)),
    ("tags", Some(Entity::Tag)),
    ("tag", Some(Entity::Tag)),
    ("attributes", None),
    ("attribute", None),
    ("attr", None),
    ("run", None),
    ("runs", None),
    ("run_info", None),
];

/// A field of a run.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Field {
    pub(super) entity: Entity,
    /// Its name without `metrics.`.
    pub(super) name: String,
    /// Bytes of the text.
    pub(super) at: Range<usize>,
}

/// What a field is compared with.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Literal {
    Text(String),
    Number(f64),
}

/// A literal and its place.
pub(super) type Placed = (Literal, Range<usize>);

/// A filter.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Filter {
    And(Vec<Filter>),
    Or(Vec<Filter>),
    /// `=`, `!=`, `<`, `<=`, `>`, `>=`, `LIKE`, `ILIKE` or the latter two with `NOT`.
    Compare(Field, &'static str, Placed),
    /// The flag: `NOT IN`.
    In(Field, bool, Vec<Placed>),
    /// The flag: `IS NOT NULL`.
    IsNull(Field, bool),
}

/// Parses a filter.
///
/// # Errors
/// The first mistake.
pub(super) fn parse_filter(text: &str) -> Result<Filter, FilterError> {
    let mut parser = Parser::new(text)?;
    let filter = parser.alternatives()?;
    parser.end("AND, OR or the end")?;
    Ok(filter)
}

/// Parses what rows are ordered by: fields, each with whether the largest comes first.
///
/// # Errors
/// The first mistake.
pub(super) fn parse_order(text: &str) -> Result<Vec<(Field, bool)>, FilterError> {
    let mut parser = Parser::new(text)?;
    let mut order = Vec::new();
    loop {
        let field = parser.field()?;
        let descending = parser.keyword("DESC");
        if !descending {
            parser.keyword("ASC");
        }
        order.push((field, descending));
        if !parser.mark(',') {
            break;
        }
    }
    parser.end("ASC, DESC, a comma or the end")?;
    Ok(order)
}

struct Parser {
    tokens: Vec<Spanned>,
    position: usize,
    len: usize,
}

impl Parser {
    fn new(text: &str) -> Result<Self, FilterError> {
        Ok(Self {
            tokens: tokens(text)?,
            position: 0,
            len: text.len(),
        })
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.position).map(|found| &found.token)
    }

    fn place(&self) -> Range<usize> {
        match self.tokens.get(self.position) {
            Some(found) => found.at.clone(),
            None => self.len..self.len,
        }
    }

    fn expected(&self, what: &str) -> FilterError {
        let found = if self.peek().is_some() {
            "this"
        } else {
            "the end"
        };
        FilterError::new(format!("expected {what}, not {found}"), self.place())
    }

    fn keyword(&mut self, keyword: &str) -> bool {
        let here =
            matches!(self.peek(), Some(Token::Word(word)) if word.eq_ignore_ascii_case(keyword));
        self.position += usize::from(here);
        here
    }

    fn mark(&mut self, mark: char) -> bool {
        let here = self.peek() == Some(&Token::Mark(mark));
        self.position += usize::from(here);
        here
    }

    fn end(&self, what: &str) -> Result<(), FilterError> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.expected(what)),
        }
    }

    fn alternatives(&mut self) -> Result<Filter, FilterError> {
        let mut all = vec![self.conjunction()?];
        while self.keyword("OR") {
            all.push(self.conjunction()?);
        }
        Ok(one_or(all, Filter::Or))
    }

    fn conjunction(&mut self) -> Result<Filter, FilterError> {
        let mut all = vec![self.unit()?];
        while self.keyword("AND") {
            all.push(self.unit()?);
        }
        Ok(one_or(all, Filter::And))
    }

    fn unit(&mut self) -> Result<Filter, FilterError> {
        if self.mark('(') {
            let inner = self.alternatives()?;
            return match self.mark(')') {
                true => Ok(inner),
                false => Err(self.expected("`)`")),
            };
        }
        let field = self.field()?;
        if self.keyword("IS") {
            let not = self.keyword("NOT");
            return match self.keyword("NULL") {
                true => Ok(Filter::IsNull(field, not)),
                false => Err(self.expected("NULL")),
            };
        }
        let not = self.keyword("NOT");
        if self.keyword("IN") {
            return Ok(Filter::In(field, not, self.list()?));
        }
        let patterns = [("LIKE", "NOT LIKE"), ("ILIKE", "NOT ILIKE")];
        if let Some((like, unlike)) = patterns.into_iter().find(|(word, _)| self.keyword(word)) {
            return Ok(Filter::Compare(
                field,
                if not { unlike } else { like },
                self.literal()?,
            ));
        }
        match self.peek() {
            Some(Token::Comparison(sign)) if !not => {
                let sign = *sign;
                self.position += 1;
                Ok(Filter::Compare(field, sign, self.literal()?))
            }
            _ => Err(self.expected("=, !=, <, <=, >, >=, LIKE, ILIKE, IN or IS NULL")),
        }
    }

    fn list(&mut self) -> Result<Vec<Placed>, FilterError> {
        if !self.mark('(') {
            return Err(self.expected("`(`"));
        }
        let mut values = vec![self.literal()?];
        while self.mark(',') {
            values.push(self.literal()?);
        }
        match self.mark(')') {
            true => Ok(values),
            false => Err(self.expected("a comma or `)`")),
        }
    }

    fn literal(&mut self) -> Result<Placed, FilterError> {
        let at = self.place();
        let literal = match self.peek() {
            Some(Token::Number(number)) => Literal::Number(*number),
            Some(Token::Quoted {
                text,
                quote: '\'' | '"',
            }) => Literal::Text(text.clone()),
            _ => {
                let error = self.expected("a number, or a text in quotes");
                return Err(error.help("write texts in quotes: attributes.status = 'FINISHED'"));
            }
        };
        self.position += 1;
        Ok((literal, at))
    }

    fn field(&mut self) -> Result<Field, FilterError> {
        let start = self.place();
        let Some(Token::Word(word)) = self.peek().cloned() else {
            let error = self.expected("a field");
            return Err(error.help(
                "write metrics.NAME, params.NAME, tags.NAME or attributes.NAME, such as metrics.\"validation.auc\"",
            ));
        };
        self.position += 1;
        if !self.mark('.') {
            return attribute(&word, start);
        }
        let entity = ENTITIES
            .iter()
            .find(|(name, _)| word.eq_ignore_ascii_case(name));
        let Some((_, entity)) = entity else {
            let names = ["metrics", "params", "tags", "attributes"];
            return Err(
                FilterError::new(format!("there are no `{word}` of a run"), start)
                    .help("write metrics, params, tags or attributes")
                    .near(nearest(&word, names)),
            );
        };
        let (name, end) = self.name()?;
        let at = start.start..end;
        match entity {
            Some(entity) => Ok(Field {
                entity: *entity,
                name,
                at,
            }),
            None => attribute(&name, at),
        }
    }

    /// The name after the dot: in quotes, or words with dots between them.
    fn name(&mut self) -> Result<(String, usize), FilterError> {
        let end = self.place().end;
        let mut name = match self.peek() {
            Some(Token::Quoted {
                text,
                quote: '"' | '`',
            }) => {
                let name = text.clone();
                self.position += 1;
                return Ok((name, end));
            }
            Some(Token::Word(word)) => word.clone(),
            _ => return Err(self.expected("a name")),
        };
        let mut end = end;
        self.position += 1;
        while self.mark('.') {
            let Some(Token::Word(word)) = self.peek() else {
                return Err(self.expected("a name"));
            };
            name.push('.');
            name.push_str(word);
            end = self.place().end;
            self.position += 1;
        }
        Ok((name, end))
    }
}

fn one_or(mut all: Vec<Filter>, many: fn(Vec<Filter>) -> Filter) -> Filter {
    match all.len() {
        1 => all.remove(0),
        _ => many(all),
    }
}

fn attribute(name: &str, at: Range<usize>) -> Result<Field, FilterError> {
    let position = ATTRIBUTES
        .iter()
        .position(|(known, _, _)| known.eq_ignore_ascii_case(name));
    let names = || ATTRIBUTES.iter().map(|(known, _, _)| *known);
    match position {
        Some(position) => Ok(Field {
            entity: Entity::Attribute(position),
            name: ATTRIBUTES[position].0.to_owned(),
            at,
        }),
        None => {
            let all: Vec<&str> = names().collect();
            Err(
                FilterError::new(format!("a run has no attribute `{name}`"), at)
                    .help(format!(
                        "the attributes are {}; write metrics.NAME, params.NAME or tags.NAME for the rest",
                        all.join(", ")
                    ))
                    .near(nearest(name, names())),
            )
        }
    }
}
