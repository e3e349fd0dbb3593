//! What would otherwise have to be said in every review.

use std::fs;
use std::path::{Path, PathBuf};

/// Past this a reader would find two rooms in one.
const MAX_LINES: usize = 450;

/// rustfmt does not break comments and strings.
const MAX_COLUMNS: usize = 130;

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_source_file_is_fit_to_be_read() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    sources(&root.join("src"), &mut found);
    sources(&root.join("tests"), &mut found);
    sources(&root.join("fuzz/fuzz_targets"), &mut found);
    assert!(found.len() > 50, "{found:?}");
    let mut complaints = Vec::new();
    for path in found {
        let text = fs::read_to_string(&path).unwrap();
        let name = path.strip_prefix(root).unwrap().display();
        if !text.starts_with("//! ") {
            complaints.push(format!("{name} does not begin with why it exists"));
        }
        if text.lines().count() > MAX_LINES {
            complaints.push(format!("{name} has {} lines", text.lines().count()));
        }
        let too_long = text.lines().zip(1..).filter(|(line, _)| line.chars().count() > MAX_COLUMNS);
        complaints.extend(too_long.map(|(_, number)| format!("{name}:{number} is too long")));
    }
    assert!(complaints.is_empty(), "{complaints:#?}");
}
