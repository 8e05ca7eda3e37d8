//! Looks at every value of a file for the types of its columns.

use std::{
    sync::{
        Mutex, PoisonError,
        mpsc::{Receiver, sync_channel},
    },
    thread,
};

use super::{
    super::{
        column::is_among,
        error::{Fault, IngestError},
        guess::{Guess, Guesses},
        input::Access,
        options::{BadRecords, ReadOptions},
        outline::{Looked, Outline},
        read::parallel_files,
        record::Kind,
        survey::SourceFile,
    },
    Chunk, CsvFile, Cut, Dialect, Fields,
};

/// How many records are looked at together.
const RECORDS: usize = 16 * 1024;
/// A smaller file is not worth a thread, in bytes. (Tests have small files.)
const SMALL_BYTES: u64 = if cfg!(test) { 4096 } else { 4 * 1024 * 1024 };
/// How many bytes stand between the places from which a file can be read, about.
const CUT_BYTES: u64 = SMALL_BYTES;
/// How many chunks wait to be looked at.
const WAITING_CHUNKS: usize = 4;

/// Reads a whole file for its columns. A large one is cut on this thread, and looked at on
/// as many others as there are processors.
pub(in super::super) fn outline(
    source: &SourceFile,
    options: &ReadOptions,
) -> Result<Looked, IngestError> {
    let mut file = CsvFile::open(source, options, Access::Hashed)?;
    let columns = file.columns.list().len();
    let look = Look {
        source,
        options,
        dialect: file.dialect,
        columns,
    };
    let mut cuts = Vec::new();
    let seen = if source.size_bytes < SMALL_BYTES {
        let mut seen = Seen::new(columns);
        let mut fields = Fields::default();
        while let Some(mut chunk) = file.cutter.next_chunk(RECORDS)? {
            look.at(&mut chunk, &mut fields, &mut seen);
            file.cutter.give_back(chunk);
        }
        seen
    } else {
        look.at_all_of(&mut file, &mut cuts)?
    };
    if let Some((_, fault)) = seen.bad {
        return Err(fault);
    }
    Ok(Looked {
        outline: Outline::of_texts(&file.columns, seen.guesses, true),
        content_hash: Some(file.cutter.input.hash()?),
        cuts,
    })
}

/// What was seen so far.
struct Seen {
    guesses: Vec<Guesses>,
    /// The first record that must not be there, and its place in the file.
    bad: Option<(i64, IngestError)>,
}

impl Seen {
    fn new(columns: usize) -> Self {
        Self {
            guesses: vec![Guesses::default(); columns],
            bad: None,
        }
    }

    fn join(&mut self, other: Self) {
        for (guesses, other) in self.guesses.iter_mut().zip(other.guesses) {
            *guesses = guesses.and(other);
        }
        if let Some((row, fault)) = other.bad {
            self.add_bad(row, || fault);
        }
    }

    fn add_bad(&mut self, row: i64, fault: impl FnOnce() -> IngestError) {
        if self.bad.as_ref().is_none_or(|(first, _)| row < *first) {
            self.bad = Some((row, fault()));
        }
    }
}

/// How a file is looked at.
struct Look<'a> {
    source: &'a SourceFile,
    options: &'a ReadOptions,
    dialect: Dialect,
    columns: usize,
}

impl Look<'_> {
    fn at_all_of(&self, file: &mut CsvFile, cuts: &mut Vec<Cut>) -> Result<Seen, IngestError> {
        let (sender, receiver) = sync_channel(WAITING_CHUNKS);
        let receiver = Mutex::new(receiver);
        thread::scope(|scope| {
            let workers: Vec<_> = (0..parallel_files())
                .map(|_| scope.spawn(|| self.at_what_comes(&receiver)))
                .collect();
            let mut failed = None;
            let can_cut = file.cutter.input.is_plain();
            let mut last = file.cutter.place().offset;
            loop {
                let place = file.cutter.place();
                if can_cut && place.offset >= last + CUT_BYTES {
                    cuts.push(place);
                    last = place.offset;
                }
                let sent = match file.cutter.next_chunk(RECORDS) {
                    // Somebody takes it as long as the workers live.
                    Ok(Some(chunk)) => sender.send(chunk).is_ok(),
                    Ok(None) => false,
                    Err(error) => {
                        failed = Some(error);
                        false
                    }
                };
                if !sent {
                    break;
                }
            }
            drop(sender);
            let mut seen = Seen::new(self.columns);
            for worker in workers {
                match worker.join() {
                    Ok(other) => seen.join(other),
                    Err(_) => {
                        let file = self.source.path.clone();
                        failed = Some(IngestError::CutOff { file });
                    }
                }
            }
            failed.map_or(Ok(seen), Err)
        })
    }

    fn at_what_comes(&self, chunks: &Mutex<Receiver<Chunk>>) -> Seen {
        let mut seen = Seen::new(self.columns);
        let mut fields = Fields::default();
        loop {
            let next = chunks.lock().unwrap_or_else(PoisonError::into_inner).recv();
            match next {
                Ok(mut chunk) => self.at(&mut chunk, &mut fields, &mut seen),
                Err(_) => return seen,
            }
        }
    }

    fn at(&self, chunk: &mut Chunk, fields: &mut Fields, seen: &mut Seen) {
        fields.take(chunk);
        let divided = fields.divide(chunk, &self.dialect, self.columns);
        for (column, guesses) in seen.guesses.iter_mut().enumerate() {
            self.guess(divided.column(column), guesses);
        }
        let faults = divided.faults();
        if self.options.bad_records == BadRecords::Fail
            && let Some((place, fault)) = faults.first()
        {
            let row = chunk.first_row + *place as i64;
            let fault = fault.clone();
            seen.add_bad(row, || self.bad_record(chunk, *place, fault));
        }
    }

    fn bad_record(&self, chunk: &Chunk, place: usize, fault: Fault) -> IngestError {
        IngestError::BadRecord {
            file: self.source.path.clone(),
            row: chunk.first_row + place as i64,
            line: chunk.lines().of(chunk.records[place]),
            fault: Box::new(fault),
        }
    }

    fn guess<'a>(&self, texts: impl Iterator<Item = &'a str>, guesses: &mut Guesses) {
        let comma = self.options.decimal_comma;
        for text in texts {
            if guesses.is_settled() {
                return;
            }
            if !is_among(&self.options.null_values, text) {
                guesses.add(Guess::of_value(Kind::Bare, text, comma));
            }
        }
    }
}
