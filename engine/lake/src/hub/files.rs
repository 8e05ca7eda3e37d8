//! Which files of a model are pulled, and which names are safe to write.

use std::path::{Component, Path};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::HubError;

/// Endings of what is pulled by default: weights that are only numbers, configurations,
/// vocabularies. Pickled weights (`.bin`, `.pt`, `.pkl`, ...) run code when they are read, and
/// those of other frameworks are of no use here.
const TAKEN: [&str; 4] = ["safetensors", "json", "txt", "model"];
/// The longest name of a file or folder, in bytes: that of usual file systems.
const MAX_NAME_BYTES: usize = 255;

/// The choice among the files of a model.
#[derive(Debug)]
pub(super) struct Choice {
    patterns: Vec<String>,
    included: Option<GlobSet>,
}

impl Choice {
    /// What `patterns` match (`*` matches slashes, too); without any, what is of use.
    ///
    /// # Errors
    /// [`HubError::Pattern`].
    pub(super) fn new(patterns: &[String]) -> Result<Self, HubError> {
        let set = || {
            let mut set = GlobSetBuilder::new();
            for pattern in patterns {
                set.add(GlobBuilder::new(pattern).build()?);
            }
            set.build()
        };
        let included = match patterns {
            [] => None,
            _ => Some(set().map_err(|source| HubError::Pattern { source })?),
        };
        Ok(Self {
            patterns: patterns.to_vec(),
            included,
        })
    }

    /// The files to pull and those to leave, each sorted by name.
    ///
    /// # Errors
    /// [`HubError::NothingChosen`] when none is to be pulled.
    pub(super) fn of(
        &self,
        model: &str,
        mut names: Vec<String>,
    ) -> Result<(Vec<String>, Vec<String>), HubError> {
        names.sort();
        names.dedup();
        let (taken, left): (Vec<String>, Vec<String>) =
            names.into_iter().partition(|name| self.takes(name));
        if taken.is_empty() {
            return Err(HubError::NothingChosen {
                model: model.to_owned(),
                patterns: self.patterns.clone(),
                files: left,
            });
        }
        Ok((taken, left))
    }

    fn takes(&self, name: &str) -> bool {
        match &self.included {
            Some(included) => included.is_match(name),
            None => Path::new(name)
                .extension()
                .is_some_and(|ending| TAKEN.iter().any(|taken| ending == *taken)),
        }
    }
}

/// Checks that a name stays inside the folder that it is written into, on every system.
///
/// # Errors
/// What is wrong with it, in words.
pub(super) fn check_name(name: &str) -> Result<(), &'static str> {
    if name
        .chars()
        .any(|c| c.is_control() || matches!(c, '\\' | ':'))
    {
        return Err("it has a character that no file name may have");
    }
    let normal = |part: Component<'_>| matches!(part, Component::Normal(_));
    let split = name.split('/');
    // `components` skips empty parts and `.`, the former does not.
    if !Path::new(name).components().all(normal)
        || split.clone().any(|part| matches!(part, "" | "." | ".."))
    {
        return Err("it leads out of the model's folder");
    }
    if split.clone().any(|part| part.len() > MAX_NAME_BYTES) {
        return Err("it is too long");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The files of sentence-transformers/all-MiniLM-L6-v2.
    const MINILM: [&str; 14] = [
        ".gitattributes",
        "1_Pooling/config.json",
        "README.md",
        "config.json",
        "model.safetensors",
        "onnx/model.onnx",
        "openvino/openvino_model.bin",
        "pytorch_model.bin",
        "rust_model.ot",
        "tf_model.h5",
        "tokenizer.json",
        "tokenizer_config.json",
        "train_script.py",
        "vocab.txt",
    ];

    fn chosen(patterns: &[&str]) -> Result<Vec<String>, HubError> {
        let patterns: Vec<String> = patterns.iter().map(|&p| p.to_owned()).collect();
        let names = MINILM.map(str::to_owned).to_vec();
        let (taken, left) = Choice::new(&patterns)?.of("org/name", names)?;
        assert_eq!(taken.len() + left.len(), MINILM.len());
        Ok(taken)
    }

    #[test]
    fn pickles_and_other_frameworks_are_left_out() {
        assert_eq!(
            chosen(&[]).unwrap(),
            [
                "1_Pooling/config.json",
                "config.json",
                "model.safetensors",
                "tokenizer.json",
                "tokenizer_config.json",
                "vocab.txt"
            ]
        );
    }

    #[test]
    fn patterns_take_what_they_say() {
        assert_eq!(chosen(&["tokenizer*"]).unwrap().len(), 2);
        assert_eq!(chosen(&["*.onnx", "README.md"]).unwrap().len(), 2);
        let nothing = chosen(&["*.gguf"]).unwrap_err().to_string();
        assert!(nothing.contains("`*.gguf`") && nothing.contains("config.json"));
        assert!(chosen(&["["]).unwrap_err().to_string().contains('['));
    }

    #[test]
    fn names_stay_inside() {
        for name in ["config.json", "1_Pooling/config.json", "a b/ü.txt", "..a"] {
            check_name(name).unwrap();
        }
        let long = "x".repeat(300);
        for name in [
            "",
            "/etc/passwd",
            "../x",
            "a/../../x",
            "a//b",
            "a/./b",
            "a/",
            "C:x",
            "a\\b",
            "a\nb",
            "a\0b",
            &long,
        ] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
    }
}
