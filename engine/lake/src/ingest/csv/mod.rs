//! Files of CSV: cut into records ([`cutter`]), divided into fields ([`fields`]), which
//! become columns ([`rows`]) or are only looked at for their types ([`types`]).
//!
//! Records are cut one after the other, as a quote may span any number of lines; all else
//! is done a chunk of records at a time, and a column at a time within it.

mod cutter;
mod dialect;
mod fields;
mod rows;
mod types;

pub(super) use cutter::Cut;
pub(super) use rows::CsvRows;
pub(super) use types::outline;

use self::{
    cutter::{Chunk, Cutter},
    dialect::Dialect,
    fields::Fields,
};
use super::{
    error::{Fault, IngestError},
    input::{Access, Input},
    options::{NameStyle, ReadOptions},
    record::Columns,
    survey::SourceFile,
};

/// A file whose columns are known and whose records come next.
struct CsvFile {
    cutter: Cutter,
    dialect: Dialect,
    columns: Columns,
}

impl CsvFile {
    /// Opens a file and finds its columns: the header's, or `column_1`, ... by the
    /// first record.
    fn open(
        source: &SourceFile,
        options: &ReadOptions,
        access: Access,
    ) -> Result<Self, IngestError> {
        let input = Input::open(source, options.encoding, access)?;
        input.refuse_other_formats()?;
        let dialect = Dialect::of(options);
        let front = Cut {
            offset: input.mark_bytes(),
            row: 1,
            line: 1,
        };
        let mut cutter = Cutter::new(input, dialect, front);
        let Some(first) = cutter.first()? else {
            return Err(IngestError::Empty {
                file: source.path.clone(),
            });
        };
        let line = cutter.place().line;
        let record = &cutter.input.window()[first.range()];
        let fields = match first.unclosed {
            true => Err(Fault::UnclosedQuote),
            false => fields::of_one(record, &dialect),
        };
        let columns = match (options.header, fields) {
            (true, Ok(fields)) => header(&source.path, &fields, options)?,
            (true, Err(fault)) => return Err(bad_header(source, fault, line)),
            (false, fields) => unnamed(&source.path, fields.ok().as_deref(), options)?,
        };
        if options.header {
            cutter.pass(first.range().end, 0);
        }
        Ok(Self {
            cutter,
            dialect,
            columns,
        })
    }

    /// Opens a piece of a file that is neither packed nor in another encoding: from a cut,
    /// or from its front, to a place that is a cut or its end.
    fn open_piece(
        source: &SourceFile,
        options: &ReadOptions,
        start: Option<Cut>,
        end: u64,
    ) -> Result<Self, IngestError> {
        let Some(start) = start else {
            return Self::open(source, options, Access::Piece(0..end));
        };
        let columns = Self::open(source, options, Access::Front)?.columns;
        let bytes = Access::Piece(start.offset..end);
        let input = Input::open(source, options.encoding, bytes)?;
        let dialect = Dialect::of(options);
        Ok(Self {
            cutter: Cutter::new(input, dialect, start),
            dialect,
            columns,
        })
    }
}

fn bad_header(source: &SourceFile, fault: Fault, line: u64) -> IngestError {
    let file = source.path.clone();
    if !matches!(fault, Fault::NotUtf8 { .. }) {
        return IngestError::BadRecord {
            file,
            row: 0,
            line,
            fault: Box::new(fault),
        };
    }
    IngestError::NotText {
        file,
        line,
        hint: "declare how it is written, as in `csv: {encoding: windows-1252}`",
    }
}

/// The columns of a file without a header: those that are declared, in their order, else as many
/// as its first record has.
fn unnamed(
    file: &str,
    first: Option<&[String]>,
    options: &ReadOptions,
) -> Result<Columns, IngestError> {
    let found = first.map(<[String]>::len);
    let declared = options.columns.len();
    if declared == 0 {
        return Ok(Columns::numbered(found.unwrap_or(1)));
    }
    if let Some(found) = found.filter(|found| *found != declared) {
        return Err(IngestError::DeclaredCount {
            file: file.to_owned(),
            declared,
            found,
        });
    }
    let mut columns = Columns::default();
    for (name, _) in &options.columns {
        columns.add(file, name, NameStyle::AsIs)?;
    }
    Ok(columns)
}

/// The columns that a header names.
fn header(file: &str, headers: &[String], options: &ReadOptions) -> Result<Columns, IngestError> {
    if let [only] = headers
        && let Some(guess) = [';', ',', '\t', '|']
            .into_iter()
            .find(|c| only.contains(*c))
    {
        return Err(IngestError::Delimiter {
            file: file.to_owned(),
            delimiter: char::from(options.delimiter),
            guess,
        });
    }
    let mut columns = Columns::default();
    for header in headers {
        columns.add(file, header, options.names)?;
    }
    Ok(columns)
}
