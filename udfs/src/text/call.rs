//! One call of a text function as it is written, taken apart.

use datafusion::sql::sqlparser::ast::{Expr, FunctionArg, FunctionArgExpr, Spanned};
use sluice_lake::nearest::nearest;
use sluice_lake::sql::{SqlError, SqlErrorKind, SqlSpan};

use super::TextFunction;
use super::options::Options;
use super::parameter::{Literal, Parameter};

/// The name by which the tokenizer may be given.
const TOKENIZER: &str = "tokenizer";

/// What the second argument of DataFusion's own `encode(bytes, format)` can be.
pub(super) const FORMATS: [&str; 3] = ["base64", "base64pad", "hex"];

/// A call, taken apart.
#[derive(Debug)]
pub(super) struct Call {
    /// What stands before the tokenizer.
    pub(super) inputs: Vec<Expr>,
    /// The tokenizer as it is written.
    pub(super) tokenizer: String,
    /// Where it is written.
    pub(super) place: Option<SqlSpan>,
    pub(super) options: Options,
}

/// Takes a call apart; `None` when it is not meant for a tokenizer, but is `encode` of bytes.
///
/// # Errors
/// Arguments that are missing, unknown, given twice or of the wrong kind.
pub(super) fn take_apart(
    function: &TextFunction,
    arguments: &[FunctionArg],
    text: &str,
    place: Option<SqlSpan>,
) -> Result<Option<Call>, SqlError> {
    let reader = Reader {
        function,
        text,
        place,
    };
    let (given, named) = reader.sorted(arguments)?;
    if function.name != function.bound && named.is_empty() && encodes_bytes(&given) {
        return Ok(None);
    }
    reader.read(given, named).map(Some)
}

/// Whether these are the arguments of DataFusion's own `encode`: a value, and a format or
/// something that is not written out.
fn encodes_bytes(given: &[&Expr]) -> bool {
    match given {
        [_, format] => match Literal::of(format) {
            Some(Literal::Word(word)) => FORMATS
                .iter()
                .any(|format| format.eq_ignore_ascii_case(&word)),
            _ => true,
        },
        _ => false,
    }
}

struct Reader<'a> {
    function: &'a TextFunction,
    text: &'a str,
    place: Option<SqlSpan>,
}

/// Arguments without a name, and those with one.
type Sorted<'a> = (Vec<&'a Expr>, Vec<(&'a str, &'a Expr)>);

impl Reader<'_> {
    fn sorted<'e>(&self, arguments: &'e [FunctionArg]) -> Result<Sorted<'e>, SqlError> {
        let mut given: Vec<&Expr> = Vec::new();
        let mut named: Vec<(&str, &Expr)> = Vec::new();
        for argument in arguments {
            match argument {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) if named.is_empty() => {
                    given.push(expr);
                }
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => {
                    let message = "an argument without a name stands before those with one";
                    return Err(self.error(message, expr));
                }
                FunctionArg::Named {
                    name,
                    arg: FunctionArgExpr::Expr(expr),
                    ..
                }
                | FunctionArg::ExprNamed {
                    name: Expr::Identifier(name),
                    arg: FunctionArgExpr::Expr(expr),
                    ..
                } => {
                    let twice =
                        |(other, _): &&(&str, &Expr)| other.eq_ignore_ascii_case(&name.value);
                    if named.iter().find(twice).is_some() {
                        let message = format!("`{}` is given twice", name.value);
                        return Err(self.error(message, expr));
                    }
                    named.push((&name.value, expr));
                }
                other => {
                    let place = SqlSpan::of(self.text, other.span()).or(self.place);
                    let message = format!("`{}` takes no `*`", self.function.name);
                    return Err(self.wrong(message).at(place));
                }
            }
        }
        Ok((given, named))
    }

    fn read(&self, given: Vec<&Expr>, named: Vec<(&str, &Expr)>) -> Result<Call, SqlError> {
        let function = self.function;
        let has = |name: &str| named.iter().any(|(own, _)| own.eq_ignore_ascii_case(name));
        let mut given = given.into_iter().peekable();
        let mut inputs: Vec<Expr> = Vec::new();
        let (mut tokenizer, mut options) = (None, Options::default());
        // How many arguments are no parameters: a second input stands before a tokenizer
        // that is text as well.
        let texts = given
            .clone()
            .take_while(|expr| {
                !matches!(
                    Literal::of(expr),
                    Some(Literal::Count(_) | Literal::Flag(_))
                )
            })
            .count();
        let positional = texts.saturating_sub(usize::from(!has(TOKENIZER))).max(1);
        let most = function.inputs.len();
        for name in &function.inputs[..positional.min(most)] {
            if let Some(expr) = given.next_if(|_| !has(name)) {
                inputs.push(expr.clone());
            }
        }
        for name in &function.inputs[inputs.len().min(most)..] {
            let input = named.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
            inputs.extend(input.map(|(_, expr)| (*expr).clone()));
        }
        if !has(TOKENIZER) {
            tokenizer = given.next();
        }
        for (number, expr) in given.enumerate() {
            match function.parameters[..function.positional].get(number) {
                Some(parameter) if has(parameter.name) => {
                    let message = format!("`{}` is given twice", parameter.name);
                    return Err(self.error(message, expr));
                }
                Some(parameter) => self.set(&mut options, parameter, expr)?,
                None => {
                    let message = format!("`{}` does not take so many arguments", function.name);
                    return Err(self.error(message, expr).with_help(self.usage()));
                }
            }
        }
        for (name, expr) in named {
            if name.eq_ignore_ascii_case(TOKENIZER) {
                tokenizer = Some(expr);
            } else if !function
                .inputs
                .iter()
                .any(|own| own.eq_ignore_ascii_case(name))
            {
                let parameter = self.parameter(name, expr)?;
                self.set(&mut options, parameter, expr)?;
            }
        }
        if inputs.is_empty() {
            let message = format!("`{}` needs `{}`", function.name, function.inputs[0]);
            return Err(self.wrong(message).at(self.place).with_help(self.usage()));
        }
        self.check_required(&options)?;
        let (tokenizer, place) = self.tokenizer(tokenizer)?;
        Ok(Call {
            inputs,
            tokenizer,
            place,
            options,
        })
    }

    /// The tokenizer's name or address.
    fn tokenizer(&self, given: Option<&Expr>) -> Result<(String, Option<SqlSpan>), SqlError> {
        let name = self.function.name;
        let Some(expr) = given else {
            let message = format!("`{name}` needs a tokenizer");
            return Err(self.wrong(message).at(self.place).with_help(self.usage()));
        };
        match Literal::of(expr) {
            Some(Literal::Word(word)) => Ok((word, SqlSpan::of(self.text, expr.span()))),
            _ => {
                let message = format!(
                    "the tokenizer of `{name}` must be written out in quotes: it is settled before any row is read"
                );
                Err(self.error(message, expr).with_help(self.usage()))
            }
        }
    }

    fn parameter(&self, name: &str, expr: &Expr) -> Result<&'static Parameter, SqlError> {
        let all = self.function.parameters;
        let found = all
            .iter()
            .find(|parameter| parameter.name.eq_ignore_ascii_case(name));
        found.ok_or_else(|| {
            let names = || all.iter().map(|parameter| parameter.name);
            let help = match nearest(name, names().chain(self.function.inputs.iter().copied())) {
                Some(near) => format!("did you mean `{near}`?"),
                None => {
                    let names: Vec<String> = names().map(|name| format!("`{name}`")).collect();
                    match names.is_empty() {
                        true => self.usage().unwrap_or_default(),
                        false => format!("it takes {}", names.join(", ")),
                    }
                }
            };
            let message = format!("`{}` takes no `{name}`", self.function.name);
            self.error(message, expr).with_help(Some(help))
        })
    }

    fn set(
        &self,
        options: &mut Options,
        parameter: &Parameter,
        expr: &Expr,
    ) -> Result<(), SqlError> {
        let literal = Literal::of(expr);
        let read = literal.and_then(|literal| (parameter.read)(options, &literal));
        read.ok_or_else(|| {
            let message = format!("`{}` is {}, not {expr}", parameter.name, parameter.wanted);
            self.error(message, expr)
        })
    }

    /// Whether all that must be said was, and goes together.
    fn check_required(&self, options: &Options) -> Result<(), SqlError> {
        let said = serde_json::to_value(options).unwrap_or_default();
        let required = &self.function.parameters[..self.function.required];
        if let Some(missing) = required.iter().find(|one| said.get(one.name).is_none()) {
            let message = format!("`{}` needs `{}`", self.function.name, missing.name);
            return Err(self.wrong(message).at(self.place).with_help(self.usage()));
        }
        if let (Some(size), Some(stride)) = (options.size, options.stride)
            && stride >= size
        {
            let message = format!("`stride` ({stride}) must be less than `size` ({size})");
            let help = "`stride` is the number of tokens that a chunk shares with the one before";
            return Err(self
                .wrong(message)
                .at(self.place)
                .with_help(Some(help.to_owned())));
        }
        Ok(())
    }

    fn usage(&self) -> Option<String> {
        Some(format!("write {}", self.function.usage))
    }

    fn wrong(&self, message: impl Into<String>) -> SqlError {
        SqlError::new(SqlErrorKind::Planning, message)
    }

    fn error(&self, message: impl Into<String>, expr: &Expr) -> SqlError {
        let place = SqlSpan::of(self.text, expr.span()).or(self.place);
        self.wrong(message).at(place)
    }
}
