//! SQL text to parsed statements.

use std::sync::Arc;

use datafusion::sql::sqlparser::ast::{self, Expr, Query, SetExpr};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan, Tokenizer};

use super::depth::limit_depth;
use super::dialect::SluiceDialect;
use super::error::{SqlError, SqlErrorKind, SqlSpan};
use super::messages::lower_first;
use crate::nearest::nearest;

/// One statement, and the text that it was parsed from.
///
/// The text may hold other statements too: all places are places in the whole
/// text.
#[derive(Debug, Clone)]
pub struct Statement {
    pub(crate) ast: ast::Statement,
    text: Arc<str>,
    span: SqlSpan,
}

impl Statement {
    /// The syntax tree.
    pub fn ast(&self) -> &ast::Statement {
        &self.ast
    }

    /// The whole text that was parsed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where this statement stands in the text, without its semicolon.
    pub fn span(&self) -> SqlSpan {
        self.span
    }

    /// The place of a node of the tree, as `Spanned::span` of sqlparser gives
    /// it; `None` when the parser did not record it.
    pub fn place(&self, span: Span) -> Option<SqlSpan> {
        SqlSpan::of(&self.text, span)
    }

    pub(crate) fn shared_text(&self) -> Arc<str> {
        Arc::clone(&self.text)
    }

    /// Whether the statement answers with rows of a query (`SELECT`, `WITH`,
    /// `VALUES`, `TABLE`, `FROM`), as opposed to `EXPLAIN` or a command.
    pub fn is_query(&self) -> bool {
        matches!(&self.ast, ast::Statement::Query(query) if query_reads(query))
    }
}

/// An expression on its own, such as the rule of an expectation, and its text.
#[derive(Debug, Clone)]
pub struct Expression {
    pub(crate) ast: Expr,
    text: Arc<str>,
    span: SqlSpan,
}

impl Expression {
    /// The syntax tree.
    pub fn ast(&self) -> &Expr {
        &self.ast
    }

    /// The whole text that was parsed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where the expression stands in the text.
    pub fn span(&self) -> SqlSpan {
        self.span
    }

    /// The place of a node of the tree; `None` when the parser did not record
    /// it.
    pub fn place(&self, span: Span) -> Option<SqlSpan> {
        SqlSpan::of(&self.text, span)
    }

    pub(crate) fn shared_text(&self) -> Arc<str> {
        Arc::clone(&self.text)
    }
}

/// Parses a whole text of statements separated by `;`. A text of nothing but
/// white space and comments has no statements.
///
/// # Errors
/// The first syntax error, with the place of the token that cannot stand where
/// it stands.
pub fn parse(text: &str) -> Result<Vec<Statement>, SqlError> {
    let shared: Arc<str> = Arc::from(text);
    let tokens = tokenize(text)?;
    let mut parser = Parser::new(&SluiceDialect).with_tokens_with_locations(tokens.clone());
    let mut statements = Vec::new();
    loop {
        while parser.consume_token(&Token::SemiColon) {}
        let first = parser.peek_token();
        if first.token == Token::EOF {
            return Ok(statements);
        }
        let mut ast = parser.parse_statement().map_err(|error| {
            let written = command(text, &first);
            written.unwrap_or_else(|| syntax_error(text, &tokens, error))
        })?;
        let next = parser.peek_token();
        if next.token != Token::EOF && next.token != Token::SemiColon {
            let message = format!("expected the end of the statement, found `{next}`");
            return Err(at_token(text, &tokens, message, next.span));
        }
        limit_depth(&mut ast).map_err(|error| error.at(SqlSpan::of(text, first.span)))?;
        let whole = Span::new(first.span.start, end_before(&tokens, &next));
        statements.push(Statement {
            ast,
            text: Arc::clone(&shared),
            span: SqlSpan::of(text, whole).unwrap_or_else(|| end_of(text)),
        });
    }
}

/// Where the last token before `next` ends that is neither white space nor a
/// comment.
fn end_before(tokens: &[TokenWithSpan], next: &TokenWithSpan) -> Location {
    let before = tokens
        .iter()
        .take_while(|token| next.token == Token::EOF || token.span.start < next.span.start);
    let written = before.filter(|token| !matches!(token.token, Token::Whitespace(_)));
    written
        .last()
        .map_or_else(Location::empty, |token| token.span.end)
}

/// Parses a text that must be exactly one question: one `SELECT`, `WITH`,
/// `VALUES` or `FROM` statement, with or without a semicolon.
///
/// # Errors
/// A syntax error, an empty text, a second statement, or a statement that is
/// not a query.
pub fn parse_query(text: &str) -> Result<Statement, SqlError> {
    let mut statements = parse(text)?.into_iter();
    let Some(first) = statements.next() else {
        return Err(
            SqlError::new(SqlErrorKind::Syntax, "there is no SQL here").at(Some(end_of(text)))
        );
    };
    if !first.is_query() {
        return Err(SqlError::new(
            SqlErrorKind::NotReadOnly,
            "a table is made by a query: this statement is not one",
        )
        .at(Some(first.span))
        .with_help(Some("write SELECT ... or WITH ... SELECT ...".to_owned())));
    }
    if let Some(second) = statements.next() {
        return Err(SqlError::new(
            SqlErrorKind::Syntax,
            "a second statement: exactly one query can stand here",
        )
        .at(Some(second.span)));
    }
    Ok(first)
}

/// Parses one expression, such as `quality BETWEEN 0 AND 10`.
///
/// # Errors
/// A syntax error, an empty text, or anything after the expression.
pub fn parse_expression(text: &str) -> Result<Expression, SqlError> {
    let tokens = tokenize(text)?;
    let mut parser = Parser::new(&SluiceDialect).with_tokens_with_locations(tokens.clone());
    if parser.peek_token().token == Token::EOF {
        return Err(
            SqlError::new(SqlErrorKind::Syntax, "there is no expression here")
                .at(Some(end_of(text))),
        );
    }
    let first = parser.peek_token().span;
    let mut ast = parser
        .parse_expr()
        .map_err(|error| syntax_error(text, &tokens, error))?;
    limit_depth(&mut ast).map_err(|error| error.at(SqlSpan::of(text, first)))?;
    let next = parser.peek_token();
    if next.token != Token::EOF {
        let message = format!("expected the end of the expression, found `{next}`");
        return Err(at_token(text, &tokens, message, next.span));
    }
    let whole = Span::new(first.start, end_before(&tokens, &next));
    Ok(Expression {
        ast,
        text: Arc::from(text),
        span: SqlSpan::of(text, whole).unwrap_or_else(|| end_of(text)),
    })
}

/// Refuses every statement that could change something or read files:
/// `SELECT`, `WITH`, `VALUES`, `EXPLAIN`, `DESCRIBE` and `SHOW` pass.
///
/// # Errors
/// [`SqlErrorKind::NotReadOnly`] at the statement.
pub fn read_only(statement: &Statement) -> Result<(), SqlError> {
    if reads(&statement.ast) {
        return Ok(());
    }
    let first_word = statement.text[statement.span.range()]
        .split(|ch: char| !ch.is_alphanumeric())
        .next()
        .unwrap_or_default();
    Err(not_a_question(first_word, statement.span))
}

fn not_a_question(word: &str, span: SqlSpan) -> SqlError {
    SqlError::new(
        SqlErrorKind::NotReadOnly,
        format!(
            "`{}` is not a question: SQL reads tables, pipelines write them",
            word.to_uppercase()
        ),
    )
    .at(Some(span))
    .with_help(Some(
        "SELECT, WITH, VALUES, EXPLAIN, DESCRIBE and SHOW are allowed".to_owned(),
    ))
}

/// A command that does not parse is refused for being a command: what comes
/// after its first word would be refused too.
fn command(text: &str, first: &TokenWithSpan) -> Option<SqlError> {
    const COMMANDS: [Keyword; 20] = [
        Keyword::ALTER,
        Keyword::ANALYZE,
        Keyword::ATTACH,
        Keyword::CACHE,
        Keyword::CALL,
        Keyword::COPY,
        Keyword::CREATE,
        Keyword::DELETE,
        Keyword::DROP,
        Keyword::EXECUTE,
        Keyword::GRANT,
        Keyword::INSERT,
        Keyword::INSTALL,
        Keyword::LOAD,
        Keyword::MERGE,
        Keyword::PREPARE,
        Keyword::SET,
        Keyword::TRUNCATE,
        Keyword::UPDATE,
        Keyword::USE,
    ];
    match &first.token {
        Token::Word(word) if COMMANDS.contains(&word.keyword) => {
            Some(not_a_question(&word.value, SqlSpan::of(text, first.span)?))
        }
        _ => None,
    }
}

fn reads(statement: &ast::Statement) -> bool {
    match statement {
        ast::Statement::Query(query) => query_reads(query),
        ast::Statement::Explain { statement, .. } => reads(statement),
        ast::Statement::ExplainTable { .. }
        | ast::Statement::ShowTables { .. }
        | ast::Statement::ShowColumns { .. }
        | ast::Statement::ShowFunctions { .. }
        | ast::Statement::ShowVariable { .. } => true,
        _ => false,
    }
}

/// `false` for `WITH ... INSERT` and for `SELECT ... INTO`, at any depth: both
/// hide in the syntax tree of a query.
fn query_reads(query: &Query) -> bool {
    use datafusion::sql::sqlparser::ast::{Select, Visit, Visitor};
    use std::ops::ControlFlow;

    fn body_reads(body: &SetExpr) -> bool {
        match body {
            SetExpr::Select(_) | SetExpr::Values(_) | SetExpr::Table(_) => true,
            // Seen by the visitor as a query of its own.
            SetExpr::Query(_) => true,
            SetExpr::SetOperation { left, right, .. } => body_reads(left) && body_reads(right),
            SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => {
                false
            }
        }
    }

    struct Writes;
    impl Visitor for Writes {
        type Break = ();

        fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
            if body_reads(&query.body) {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        }

        fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
            if select.into.is_some() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        }
    }
    query.visit(&mut Writes).is_continue()
}

fn tokenize(text: &str) -> Result<Vec<TokenWithSpan>, SqlError> {
    Tokenizer::new(&SluiceDialect, text)
        .tokenize_with_location()
        .map_err(|error| {
            let span = SqlSpan::between(text, error.location, error.location).map(|span| {
                let width = text[span.start..].chars().next().map_or(0, char::len_utf8);
                SqlSpan { len: width, ..span }
            });
            let message = lower_first(error.message.trim_end_matches('.'));
            SqlError::new(
                SqlErrorKind::Syntax,
                message.replace("EOF", "the end of the text"),
            )
            .at(span.or_else(|| Some(end_of(text))))
        })
}

/// The place after the last character that is not white space.
pub(crate) fn end_of(text: &str) -> SqlSpan {
    let start = text.trim_end().len();
    let before = &text[..start];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    SqlSpan {
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
        start,
        len: 0,
    }
}

/// sqlparser writes the place into the message; here it is taken out again.
fn syntax_error(text: &str, tokens: &[TokenWithSpan], error: ParserError) -> SqlError {
    let message = match error {
        ParserError::TokenizerError(message) | ParserError::ParserError(message) => message,
        ParserError::RecursionLimitExceeded => {
            return SqlError::new(
                SqlErrorKind::Syntax,
                "the SQL is nested too deeply: split it with WITH",
            )
            .at(Some(end_of(text)));
        }
    };
    let (message, start) = split_location(&message);
    let found = tokens
        .iter()
        .find(|token| Some((token.span.start.line, token.span.start.column)) == start)
        .map(|token| token.span);
    let message = match message.split_once(", found: ") {
        Some((expected, found)) => {
            // The parser begins some of its expectations with the word itself.
            let expected = expected
                .trim_start_matches("Expected: ")
                .trim_start_matches("Expected ");
            let found = match found.trim() {
                "EOF" => "the end of the text".to_owned(),
                token => format!("`{token}`"),
            };
            format!("expected {expected}, found {found}")
        }
        None => lower_first(message.trim_start_matches("sql parser error: ")),
    };
    match found {
        Some(span) => at_token(text, tokens, message, span),
        None => SqlError::new(SqlErrorKind::Syntax, message).at(Some(end_of(text))),
    }
}

fn at_token(text: &str, tokens: &[TokenWithSpan], message: String, span: Span) -> SqlError {
    let index = tokens
        .iter()
        .position(|token| token.span.start == span.start)
        .unwrap_or(tokens.len());
    SqlError::new(SqlErrorKind::Syntax, message)
        .at(SqlSpan::of(text, span).or_else(|| Some(end_of(text))))
        .with_help(misspelt_keyword(tokens, index))
}

/// `... at Line: 3, Column: 14` as text and place.
fn split_location(message: &str) -> (&str, Option<(u64, u64)>) {
    let Some((before, place)) = message.rsplit_once(" at Line: ") else {
        return (message, None);
    };
    let place = place
        .split_once(", Column: ")
        .and_then(|(line, column)| Some((line.parse().ok()?, column.trim().parse().ok()?)));
    match place {
        Some(place) => (before, Some(place)),
        None => (message, None),
    }
}

/// The keyword that the word at the error, or the one before it, was meant to
/// be: `SELECT a FORM t` fails at `t`, and `FORM` is why.
fn misspelt_keyword(tokens: &[TokenWithSpan], error_at: usize) -> Option<String> {
    const KEYWORDS: [&str; 17] = [
        "SELECT", "FROM", "WHERE", "GROUP", "ORDER", "HAVING", "LIMIT", "JOIN", "UNION", "WITH",
        "DISTINCT", "BETWEEN", "EXCEPT", "VALUES", "INNER", "OFFSET", "EXPLAIN",
    ];
    let upto = tokens.get(..=error_at)?;
    let mut written = upto.iter().rev();
    let nearby = [
        written.next(),
        written.find(|token| !matches!(token.token, Token::Whitespace(_))),
    ];
    let words = nearby
        .into_iter()
        .flatten()
        .filter_map(|token| match &token.token {
            Token::Word(word) if word.quote_style.is_none() => Some(word),
            _ => None,
        });
    let mut unknown =
        words.filter(|word| word.keyword == Keyword::NoKeyword && word.value.len() >= 4);
    unknown.find_map(|word| {
        let keyword = nearest(&word.value, &KEYWORDS)?;
        let edits = strsim::damerau_levenshtein(&word.value.to_uppercase(), keyword);
        (edits <= 1).then(|| format!("did you mean {keyword} instead of `{}`?", word.value))
    })
}
