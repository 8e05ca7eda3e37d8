//! What deserves a look, at the top of the page.

use crate::block::{Block, Tone};
use crate::page::Section;
use crate::profile::result::Profile;
use crate::profile::warn::{Severity, Warning};

/// More notes than this are folded away.
const SHOWN_NOTES: usize = 6;

/// The warnings, the gravest first.
pub(super) fn section(profile: &Profile) -> Section {
    let section = Section::new("What deserves a look");
    if profile.warnings.is_empty() {
        let words = "Nothing: no gaps, repeats, leaks or odd shapes were found.";
        return section.block(Block::Notice(Tone::Good, words.to_owned()));
    }
    let is_note = |warning: &&Warning| warning.severity == Severity::Note;
    let (notes, others): (Vec<&Warning>, Vec<&Warning>) =
        profile.warnings.iter().partition(is_note);
    let mut section = section;
    for warning in others {
        section = section.block(notice(warning));
    }
    let notes: Vec<Block> = notes.into_iter().map(notice).collect();
    if notes.len() <= SHOWN_NOTES {
        return notes.into_iter().fold(section, Section::block);
    }
    let summary = format!("{} notes", notes.len());
    section.block(Block::Details(summary, notes))
}

pub(super) fn tone(severity: Severity) -> Tone {
    match severity {
        Severity::Grave => Tone::Bad,
        Severity::Look => Tone::Warning,
        Severity::Note => Tone::Plain,
    }
}

fn notice(warning: &Warning) -> Block {
    let words = match warning.columns.as_slice() {
        [] => capital(&warning.words),
        columns => format!("{} {}", columns.join(" and "), warning.words),
    };
    Block::Notice(tone(warning.severity), format!("{words}."))
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => String::new(),
    }
}
