//! Tokenizers: trained the same every time, applied with our own settings, and sentences
//! through all-MiniLM-L6-v2.

use std::sync::Arc;

use candle_core::Device;
use sluice_learn::deep::bert::{TOKENIZER_FILE, TextModel, TextPredictor, TokenBatch};
use sluice_learn::deep::tokenizer::{TextTokenizer, TokenizerKind, TokenizerSpec, Tokens};

use crate::deep_fixtures::{assert_close, json, minilm, numbers, tiny_bert};

/// Some English: the lines of the project's licence.
fn lines() -> Vec<&'static str> {
    include_str!("../../../../LICENSE").lines().collect()
}

fn spec(kind: TokenizerKind) -> TokenizerSpec {
    TokenizerSpec::new(kind, 400)
}

#[test]
fn the_same_texts_train_the_same_tokenizer() {
    for kind in TokenizerKind::ALL {
        let trained = spec(kind).train(lines()).unwrap();
        assert!(trained.vocab_size() <= 400, "{}", trained.vocab_size());
        assert!(trained.vocab_size() > 300, "{}", trained.vocab_size());
        assert_eq!(trained.id("[PAD]"), Some(0), "{kind:?}");
        // The order of the texts is no part of them, nor is the number of threads.
        let mut backwards = lines();
        backwards.reverse();
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(3)
            .build()
            .unwrap();
        let again = pool.install(|| spec(kind).train(backwards)).unwrap();
        assert!(again.json() == trained.json(), "{kind:?} differs");
        let fewer = spec(kind).train(&lines()[..40]).unwrap();
        assert!(fewer.json() != trained.json());
    }
}

#[test]
fn a_trained_tokenizer_encodes_and_decodes() {
    for kind in TokenizerKind::ALL {
        let tokenizer = spec(kind).train(lines()).unwrap();
        let number = |token: &str| tokenizer.id(token).unwrap();
        let encoder = tokenizer.encoder(None).unwrap();
        let text = "the license shall not grant permission";
        let tokens = encoder.encode(&[text]).unwrap().remove(0);
        assert_eq!(tokens.ids[0], number("[CLS]"));
        assert_eq!(tokens.ids.last(), Some(&number("[SEP]")));
        assert_eq!(tokens.first, tokens.ids.len());
        assert!(!tokens.ids.contains(&number("[UNK]")), "{kind:?}");
        let decoded = tokenizer.decode(&tokens.ids).unwrap();
        assert_eq!(decoded.trim(), text, "{kind:?}");
        let pair = encoder.encode_pairs(&[("the work", "a copy")]).unwrap();
        let second = &pair[0].ids[pair[0].first..];
        assert_eq!(second.last(), Some(&number("[SEP]")));
        assert!(pair[0].first > 2 && second.len() > 1);
    }
}

#[test]
fn lengths_are_ours_and_not_the_files() {
    let plain = spec(TokenizerKind::WordPiece).train(lines()).unwrap();
    // A file that cuts at 4 and pads to 50.
    let mut file: serde_json::Value = serde_json::from_str(plain.json()).unwrap();
    file["truncation"] = serde_json::json!({
        "direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0
    });
    file["padding"] = serde_json::json!({
        "strategy": {"Fixed": 50}, "direction": "Right", "pad_to_multiple_of": null,
        "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"
    });
    let tokenizer = TextTokenizer::parse(file.to_string()).unwrap();
    assert_eq!(
        tokenizer.json(),
        file.to_string(),
        "the file stays as it is"
    );
    let text = "permissions and limitations under the license of this work";
    let encode = |max_length| {
        let encoder = tokenizer.encoder(max_length).unwrap();
        encoder.encode(&[text, "work"]).unwrap()
    };
    let whole = encode(None);
    assert!(
        whole[0].ids.len() > 10 && whole[1].ids.len() == 3,
        "{whole:?}"
    );
    let cut = encode(Some(6));
    assert_eq!(cut[0].ids.len(), 6);
    assert_eq!(cut[0].ids[..5], whole[0].ids[..5]);
    assert_eq!(cut[0].ids[5], tokenizer.id("[SEP]").unwrap());
    assert_eq!(cut[1], whole[1]);
    let error = tokenizer.encoder(Some(2)).unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("`max_length` must be"), "{source}");
    // A text of 100,000 words and one that is empty.
    let long = "work ".repeat(100_000);
    let encoder = tokenizer.encoder(Some(64)).unwrap();
    let tokens = encoder.encode(&[&long, ""]).unwrap();
    assert_eq!((tokens[0].ids.len(), tokens[1].ids.len()), (64, 2));
}

#[test]
fn what_cannot_be_trained_says_why() {
    let error = spec(TokenizerKind::WordPiece)
        .train(["", "  "])
        .unwrap_err();
    assert!(error.to_string().contains("hold no word"), "{error}");
    for kind in TokenizerKind::ALL {
        let error = TokenizerSpec::new(kind, 20).train(lines()).unwrap_err();
        let expected = "`vocab_size: 20` has no room for the special tokens";
        assert!(error.to_string().contains(expected), "{error}");
    }
    // Rare characters make room: 10 of them fit.
    let mut few = TokenizerSpec::new(TokenizerKind::WordPiece, 40);
    few.limit_alphabet = 10;
    let tokenizer = few.train(lines()).unwrap();
    let encoder = tokenizer.encoder(None).unwrap();
    let tokens = encoder.encode(&["xylophone"]).unwrap().remove(0);
    assert!(tokens.ids.contains(&tokenizer.id("[UNK]").unwrap()));
    assert_eq!(
        TokenizerKind::parse("unigramm"),
        Err(Some("unigram".to_owned()))
    );
}

#[test]
fn a_tokenizer_that_does_not_fit_the_model_is_refused() {
    let model = TextModel::open(&tiny_bert(), &Device::Cpu).unwrap();
    let large = spec(TokenizerKind::WordPiece).train(lines()).unwrap();
    let error = model.check_fit(&large, 16).unwrap_err().to_string();
    assert!(
        error.contains("but the model's vocabulary has 120"),
        "{error}"
    );
    let small = TokenizerSpec::new(TokenizerKind::WordPiece, 120);
    let small = small.train(lines()).unwrap();
    model.check_fit(&small, 24).unwrap();
    let error = model.check_fit(&small, 25).unwrap_err().to_string();
    assert!(error.contains("lower it to 24 or less"), "{error}");
    let broken = TextTokenizer::parse("{\"version\": \"1.0\"}").unwrap_err();
    assert!(broken.to_string().contains("could not be read"), "{broken}");
}

#[test]
fn many_texts_are_answered_as_each_alone() {
    let model = Arc::new(TextModel::open(&tiny_bert(), &Device::Cpu).unwrap());
    let spec = TokenizerSpec::new(TokenizerKind::WordPiece, 120);
    let tokenizer = spec.train(lines()).unwrap();
    let predictor =
        |batch_size| TextPredictor::new(Arc::clone(&model), &tokenizer, 24, batch_size).unwrap();
    // Each line twice, in upper and lower case, which the tokenizer takes for the same.
    let upper: Vec<String> = lines().iter().map(|line| line.to_uppercase()).collect();
    let mut texts: Vec<&str> = lines()[..60].to_vec();
    texts.extend(upper[..60].iter().map(String::as_str));
    let together = predictor(16).predict(&texts).unwrap();
    assert_eq!(together.len(), 120 * 3);
    assert_eq!(together[..180], together[180..]);
    for (number, text) in texts[..60].iter().enumerate() {
        let alone = predictor(1).predict(&[text]).unwrap();
        assert_close(text, &alone, &together[number * 3..number * 3 + 3], 1e-6);
    }
    let different = together
        .chunks(3)
        .filter(|scores| scores != &&together[..3]);
    assert!(different.count() > 60);
    assert!(predictor(16).predict(&[]).unwrap().is_empty());
    let error = TextPredictor::new(model, &tokenizer, 25, 16).unwrap_err();
    assert!(
        error.to_string().contains("lower it to 24 or less"),
        "{error}"
    );
}

#[test]
fn sentences_stand_where_transformers_puts_them() {
    let Some(dir) = minilm() else { return };
    let expected = json("minilm_sentences.json");
    let sentences: Vec<&str> = expected["sentences"]
        .as_array()
        .unwrap()
        .iter()
        .map(|sentence| sentence.as_str().unwrap())
        .collect();
    let tokenizer = TextTokenizer::read(&dir.join(TOKENIZER_FILE)).unwrap();
    let model = TextModel::open(&dir, &Device::Cpu).unwrap();
    model.check_fit(&tokenizer, 256).unwrap();
    let encoder = tokenizer.encoder(Some(256)).unwrap();
    let tokens: Vec<Tokens> = encoder.encode(&sentences).unwrap();
    let vectors = model.scores(&TokenBatch::padded(&tokens, 0)).unwrap();
    let theirs: Vec<f64> = expected["vectors"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(numbers)
        .collect();
    assert_close("vectors", &vectors, &theirs, 1e-4);
}
