//! What is remembered of files, and when that holds.

use std::fs;

use sluice_lake::ingest::{
    BadRecords, FileMemory, FoundFile, ReadOptions, SourceFile, Unmatched, find_files, identify,
    infer_schema, survey,
};

use crate::{
    fixture::TestLake,
    state::{PROJECT, open},
};

/// Longer than any file system's clock takes for one step, in nanoseconds.
const LONG_NS: i64 = 10_000_000_000;

async fn found(test: &TestLake) -> Vec<FoundFile> {
    let patterns = ["*".to_owned()];
    find_files(&test.source_dir(), &patterns, Unmatched::Refuse)
        .await
        .unwrap()
}

/// What would be remembered had the files been read `later_ns` after they were written.
fn memory(files: &[SourceFile], later_ns: i64) -> FileMemory {
    let remembered = files.iter().map(|file| {
        let mut remembered = file.remembered();
        let stamp = &remembered.seen.stamp;
        remembered.seen.at_ns = stamp.modified_ns.max(stamp.changed_ns) + later_ns;
        (file.path.clone(), remembered)
    });
    remembered.collect()
}

fn hash(content: &str) -> String {
    blake3::hash(content.as_bytes()).to_hex().to_string()
}

#[tokio::test]
async fn a_file_that_did_not_change_is_not_opened() {
    let test = TestLake::new();
    let path = test.file("a.csv", "n,s\n1,x\n");
    test.file("b.json", "{\"n\": 1}\n");
    let options = ReadOptions::default();
    let read = survey(found(&test).await, &options, &FileMemory::new())
        .await
        .unwrap();
    assert_eq!(read[0].content_hash, hash("n,s\n1,x\n"));
    assert_eq!(read[1].content_hash, hash("{\"n\": 1}\n"));

    // Another content: what is remembered of it is the proof that nobody looks.
    let mut known = memory(&read, LONG_NS);
    for file in known.values_mut() {
        file.content_hash = "remembered".to_owned();
    }
    let recalled = survey(found(&test).await, &options, &known).await.unwrap();
    for (recalled, read) in recalled.iter().zip(&read) {
        assert_eq!(recalled.content_hash, "remembered");
        assert_eq!(recalled.outline, read.outline);
    }
    let identified = identify(found(&test).await, &known).await.unwrap();
    assert_eq!(identified, recalled);

    // One more byte, or the same number of them.
    for content in ["n,s\n1,xx\n", "n,s\n2,x\n"] {
        fs::write(&path, content).unwrap();
        let read = survey(found(&test).await, &options, &known).await.unwrap();
        assert_eq!(read[0].content_hash, hash(content));
        let read = identify(found(&test).await, &known).await.unwrap();
        assert_eq!(read[0].content_hash, hash(content));
        assert_eq!(read[1].content_hash, "remembered");
    }
}

#[tokio::test]
async fn a_file_that_was_read_when_it_was_just_written_is_read_again() {
    let test = TestLake::new();
    test.file("a.csv", "n\n1\n");
    let options = ReadOptions::default();
    let read = survey(found(&test).await, &options, &FileMemory::new())
        .await
        .unwrap();
    for (later_ns, known) in [(0, false), (1_999_999_999, false), (2_000_000_000, true)] {
        let mut memory = memory(&read, later_ns);
        memory.get_mut("a.csv").unwrap().content_hash = "remembered".to_owned();
        let files = survey(found(&test).await, &options, &memory).await.unwrap();
        assert_eq!(files[0].content_hash == "remembered", known, "{later_ns}");
        let files = identify(found(&test).await, &memory).await.unwrap();
        assert_eq!(files[0].content_hash == "remembered", known, "{later_ns}");
    }
    // Read again and found to be the same: its columns are still known, and from when.
    let files = identify(found(&test).await, &memory(&read, 0))
        .await
        .unwrap();
    assert_eq!(files[0].outline, read[0].outline);
    assert!(files[0].seen.at_ns >= read[0].seen.at_ns);
}

#[tokio::test]
async fn the_store_remembers_files_for_one_way_of_reading_them() {
    let test = TestLake::new();
    for file in 0..20 {
        test.file(&format!("{file:02}.csv"), format!("a b,s\n{file},x\n"));
    }
    test.file("20.csv", "a b,s\n1.5,2024-01-01\n");
    let options = ReadOptions::default();
    let read = survey(found(&test).await, &options, &FileMemory::new())
        .await
        .unwrap();
    let state = open(&test.dir).await;
    let remember = |files: Vec<SourceFile>, read_as: String| {
        let state = state.clone();
        async move {
            let files: Vec<&SourceFile> = files.iter().collect();
            state
                .remember_files(PROJECT, "bronze.t", &read_as, &files)
                .await
                .unwrap();
        }
    };
    remember(read.clone(), options.identity()).await;
    let known = state
        .file_memory(PROJECT, "bronze.t", &options.identity())
        .await
        .unwrap();
    assert_eq!(known.len(), 21);
    for file in &read {
        assert_eq!(known[&file.path], file.remembered());
    }
    // The same schema follows from memory alone: the files are gone.
    let schema = infer_schema(&read, &options, None).await.unwrap();
    let mut recalled = read.clone();
    for file in &mut recalled {
        fs::remove_file(&file.absolute).unwrap();
        file.outline = known[&file.path].outline.clone();
    }
    assert_eq!(
        infer_schema(&recalled, &options, None).await.unwrap(),
        schema
    );

    // Read another way, the files are not known; other tables have files of their own.
    let strict = ReadOptions {
        bad_records: BadRecords::Fail,
        delimiter: b';',
        ..options.clone()
    };
    let known = async |table: &str, read_as: String| {
        let memory = state.file_memory(PROJECT, table, &read_as).await;
        memory.unwrap().len()
    };
    assert_eq!(known("bronze.t", strict.identity()).await, 0);
    assert_eq!(known("bronze.u", options.identity()).await, 0);
    let following = ReadOptions {
        evolve: true,
        batch_rows: 3,
        ..options.clone()
    };
    assert_eq!(following.identity(), options.identity());
    // A file has one memory.
    remember(vec![read[0].clone()], strict.identity()).await;
    assert_eq!(known("bronze.t", options.identity()).await, 20);
    assert_eq!(known("bronze.t", strict.identity()).await, 1);
}
