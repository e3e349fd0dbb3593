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

/// Every Markdown file that people are to read.
fn papers() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let in_directory =
        |directory: PathBuf| fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    in_directory(root.to_owned())
        .chain(in_directory(root.join("docs")))
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect()
}

#[test]
fn links_lead_somewhere() {
    let papers = papers();
    assert!(papers.len() > 5, "{papers:?}");
    for paper in papers {
        let text = fs::read_to_string(&paper).unwrap();
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|target| !target.starts_with("http")) {
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let there = if file.is_empty() { paper.clone() } else { paper.parent().unwrap().join(file) };
            assert!(there.exists(), "{}: {target}", paper.display());
            if !heading.is_empty() {
                let is_it = |line: &str| {
                    let words = line.trim_start_matches('#').trim().to_lowercase();
                    words.replace(' ', "-").replace([',', '.', '\''], "") == heading
                };
                let text = fs::read_to_string(&there).unwrap();
                let found = text.lines().any(|line| line.starts_with('#') && is_it(line));
                assert!(found, "{}: {target}", paper.display());
            }
        }
    }
}

/// Who reads `faults::each_fault_at_each_operation` is to find it.
#[test]
fn tests_that_are_named_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("docs/DISCUSSION.md")).unwrap();
    let named: Vec<(&str, &str)> =
        text.split('`').skip(1).step_by(2).filter_map(|code| code.split_once("::")).collect();
    assert!(named.len() > 20, "{named:?}");
    for (module, name) in named {
        let test = fs::read_to_string(root.join(format!("tests/it/{module}.rs"))).expect(module);
        let beginning = name.trim_end_matches('*');
        let end = if name.ends_with('*') { "" } else { "(" };
        let named = format!("{beginning}{end}");
        let mut tests = test.split("#[test]\n").skip(1).filter_map(|rest| Some(rest.split_once("fn ")?.1));
        assert!(tests.any(|test| test.starts_with(&named)), "{module}::{name}");
    }
}
