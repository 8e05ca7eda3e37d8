//! What decides whether an asset is up to date.
//!
//! A [`Fingerprint`] travels with what it describes: in the metadata of a table's Delta
//! commit, and with a model's version. Two equal fingerprints mean that making the asset
//! again would give the same; of two that differ, [`Fingerprint::change_since`] tells why.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::difference;
use super::upkeep::Pinned;

/// The key under which a fingerprint stands in commit metadata.
pub const METADATA_KEY: &str = "sluice.fingerprint";

/// Why an asset is made that is not there.
pub const NEVER_MADE: &str = "it was never made";

/// The key of an asset's outcome with the comment that its table was described by.
pub(crate) const COMMENT_KEY: &str = "comment";

/// The key of an asset's outcome with the comments that its table's columns have.
pub(crate) const COLUMN_COMMENTS_KEY: &str = "column_comments";

/// Everything that an asset is made from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// The kind of stage (`ingest`, `sql`, `train`, `sweep`).
    pub kind: String,
    /// The semantics number of the stage kind: raised by a release that makes the same
    /// definition mean something else.
    pub semantics: u32,
    /// Hash of the normalised definition, the values of its variables included.
    pub definition: String,
    /// The tables read: name to `table id@version:commit`.
    pub tables: BTreeMap<String, String>,
    /// The models applied: address as written to the version that it named.
    pub models: BTreeMap<String, String>,
    /// What a definition says, setting by setting: to tell which one changed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, String>,
    /// What is decided about a model once it is trained: where it is registered, and when
    /// an alias moves to it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub decided: BTreeMap<String, String>,
}

impl Fingerprint {
    /// A short name of the whole: equal for equal fingerprints, and only for those.
    pub fn key(&self) -> String {
        self.hashed(&[&self.tables, &self.models, &self.decided])
    }

    /// A short name of what is made, whatever is decided about it afterwards: two models
    /// of one training key are the same model.
    pub fn training_key(&self) -> String {
        self.hashed(&[&self.tables, &self.models])
    }

    /// A short name of what is trained, without its data: one spec and one set of rows give
    /// one model.
    pub fn spec_key(&self) -> String {
        self.hashed(&[])
    }

    fn hashed(&self, maps: &[&BTreeMap<String, String>]) -> String {
        let mut hasher = blake3::Hasher::new();
        let mut put = |text: &str| {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        };
        put(&self.kind);
        put(&self.semantics.to_string());
        put(&self.definition);
        for map in maps {
            put(&map.len().to_string());
            for (name, value) in *map {
                put(name);
                put(value);
            }
        }
        hasher.finalize().to_hex()[..32].to_owned()
    }

    /// Whether all but the tables read is the same: rows that were made from `earlier` are
    /// those that would be made now of the same rows.
    pub(crate) fn same_but_tables(&self, earlier: &Self) -> bool {
        let names = |fingerprint: &Self| fingerprint.tables.keys().cloned().collect::<Vec<_>>();
        self.kind == earlier.kind
            && self.semantics == earlier.semantics
            && self.definition == earlier.definition
            && self.models == earlier.models
            && names(self) == names(earlier)
    }

    /// The `mode` of a table that was made so: `full`, where none is written.
    pub(crate) fn mode(&self) -> &str {
        let modes = self.settings.keys().filter_map(|setting| {
            let (mode, _) = setting.strip_prefix("mode.")?.split_once('.')?;
            Some(mode)
        });
        modes.into_iter().next().unwrap_or("full")
    }

    /// Whether a table that was made so knows what its source may have forgotten.
    pub(crate) fn has_history(&self) -> bool {
        self.mode() == "scd2"
    }

    /// Whether a table other than `table` is at another version than it was.
    pub(crate) fn others_moved(&self, earlier: &Self, table: &str) -> bool {
        let mut others = self.tables.iter().filter(|(name, _)| *name != table);
        others.any(|(name, identity)| earlier.tables.get(name) != Some(identity))
    }

    /// The number of the version of each model applied, by the address as written.
    pub fn model_versions(&self) -> BTreeMap<String, i64> {
        let numbers = self.models.iter();
        numbers
            .filter_map(|(address, version)| Some((address.clone(), version.parse().ok()?)))
            .collect()
    }

    /// Why an asset that was made from `earlier` is not up to date, in words; `None` when
    /// nothing changed.
    pub fn change_since(&self, earlier: &Fingerprint) -> Option<String> {
        if self.kind != earlier.kind {
            return Some(format!("it was made by `{}`", earlier.kind));
        }
        if self.semantics != earlier.semantics {
            return Some("this release makes it differently".to_owned());
        }
        if self.definition != earlier.definition {
            let changed = "its definition changed";
            let variables = difference::changed_variables(&self.settings, &earlier.settings);
            if variables.is_some() {
                return variables;
            }
            if matches!(self.kind.as_str(), "sql" | "ingest") {
                let words = difference::of_table(&self.settings, &earlier.settings);
                let words = words.map(|words| format!("{changed}: {words}"));
                return Some(words.unwrap_or_else(|| changed.to_owned()));
            }
            let setting = setting_change(&self.settings, &earlier.settings);
            return Some(setting.unwrap_or_else(|| changed.to_owned()));
        }
        let table = difference(&self.tables, &earlier.tables).map(|name| {
            let pinned = |fingerprint: &'_ Self| {
                let identity = fingerprint.tables.get(&name)?;
                Pinned::parse(identity).map(|pinned| (pinned.id.to_owned(), pinned.version))
            };
            match (pinned(self), pinned(earlier)) {
                (Some((_, new)), Some((_, old))) if new != old => {
                    format!("{name} is at version {new} (was {old})")
                }
                (Some(new), Some(old)) if new == old => format!(
                    "{name} was restored and written again: its version {} is another one",
                    new.1
                ),
                (Some(_), Some(_)) => format!("{name} was created anew"),
                (Some(_), None) => format!("it now reads {name}"),
                (None, _) => format!("it no longer reads {name}"),
            }
        });
        let model = || {
            difference(&self.models, &earlier.models).map(|uri| {
                match (self.models.get(&uri), earlier.models.get(&uri)) {
                    (Some(new), Some(old)) => format!("{uri} is now version {new} (was {old})"),
                    (Some(_), None) => format!("it now applies {uri}"),
                    (None, _) => format!("it no longer applies {uri}"),
                }
            })
        };
        table
            .or_else(model)
            .or_else(|| setting_change(&self.decided, &earlier.decided))
    }
}

/// The first setting that changed, with its values.
fn setting_change(
    new: &BTreeMap<String, String>,
    old: &BTreeMap<String, String>,
) -> Option<String> {
    let name = difference(new, old)?;
    Some(match (new.get(&name), old.get(&name)) {
        (Some(new), Some(old)) => format!("`{name}` is {new} (was {old})"),
        (Some(new), None) => format!("`{name}` is {new} (was not there)"),
        (None, _) => format!("`{name}` is not there any more"),
    })
}

/// The values of a JSON object by their paths: `{"a": {"b": 1}}` gives `a.b` and `1`.
pub(crate) fn settings(definition: &serde_json::Value) -> BTreeMap<String, String> {
    let mut settings = BTreeMap::new();
    flatten(String::new(), definition, &mut settings);
    settings
}

fn flatten(path: String, value: &serde_json::Value, settings: &mut BTreeMap<String, String>) {
    use serde_json::Value;
    match value {
        Value::Object(map) if !map.is_empty() || path.is_empty() => {
            for (key, value) in map {
                let path = match path.as_str() {
                    "" => key.clone(),
                    path => format!("{path}.{key}"),
                };
                flatten(path, value, settings);
            }
        }
        Value::Null => {}
        Value::String(text) => {
            settings.insert(path, text.clone());
        }
        other => {
            settings.insert(path, other.to_string());
        }
    }
}

/// The first name whose value differs, or that only one of the maps has.
pub(crate) fn difference(
    new: &BTreeMap<String, String>,
    old: &BTreeMap<String, String>,
) -> Option<String> {
    new.keys()
        .chain(old.keys())
        .find(|name| new.get(*name) != old.get(*name))
        .cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base() -> Fingerprint {
        Fingerprint {
            kind: "sql".to_owned(),
            semantics: 1,
            definition: "d".to_owned(),
            tables: BTreeMap::from([("bronze.wine".to_owned(), "t1@3".to_owned())]),
            models: BTreeMap::from([("models:/wine@production".to_owned(), "1".to_owned())]),
            ..Fingerprint::default()
        }
    }

    fn changed(change: impl FnOnce(&mut Fingerprint)) -> (bool, Option<String>) {
        let mut new = base();
        change(&mut new);
        (new.key() != base().key(), new.change_since(&base()))
    }

    #[test]
    fn what_is_decided_about_a_model_does_not_train_it_again() {
        let model = |definition: serde_json::Value, when: &str| Fingerprint {
            kind: "train".to_owned(),
            definition: definition.to_string(),
            settings: settings(&definition),
            decided: settings(&serde_json::json!({"register": {"as": "wine", "when": when}})),
            ..Fingerprint::default()
        };
        let forest = |seed: u64| serde_json::json!({"estimator": {"forest": {"seed": seed}}});
        let (first, judged) = (model(forest(1), "no champion"), model(forest(1), "always"));
        assert_eq!(first.training_key(), judged.training_key());
        assert_ne!(first.key(), judged.key());
        let why = judged.change_since(&first).unwrap();
        assert_eq!(why, "`register.when` is always (was no champion)");
        let seeded = model(forest(2), "no champion");
        assert_ne!(first.training_key(), seeded.training_key());
        let why = seeded.change_since(&first).unwrap();
        assert_eq!(why, "`estimator.forest.seed` is 2 (was 1)");
    }

    #[test]
    fn every_change_moves_the_key_and_is_told() {
        assert_eq!(changed(|_| {}), (false, None));
        let cases: Vec<(bool, Option<String>)> = vec![
            changed(|new| new.kind = "ingest".to_owned()),
            changed(|new| new.semantics = 2),
            changed(|new| new.definition = "e".to_owned()),
            changed(|new| *new.tables.get_mut("bronze.wine").unwrap() = "t1@4".to_owned()),
            changed(|new| *new.tables.get_mut("bronze.wine").unwrap() = "t2@3".to_owned()),
            changed(|new| new.tables.clear()),
            changed(|new| {
                new.tables.insert("gold.a".to_owned(), "t@0".to_owned());
            }),
            changed(|new| {
                new.models
                    .insert("models:/wine@production".to_owned(), "2".to_owned());
            }),
            changed(|new| new.models.clear()),
        ];
        assert!(cases.iter().all(|(moved, _)| *moved));
        let told: Vec<String> = cases.into_iter().map(|(_, why)| why.unwrap()).collect();
        insta::assert_snapshot!(told.join("\n"), @r"
        it was made by `sql`
        this release makes it differently
        its definition changed
        bronze.wine is at version 4 (was 3)
        bronze.wine was created anew
        it no longer reads bronze.wine
        it now reads gold.a
        models:/wine@production is now version 2 (was 1)
        it no longer applies models:/wine@production
        ");
    }
}
