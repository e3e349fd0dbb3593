//! What a reviewer would otherwise have to say each time: files and lines have a length that can be read, links lead somewhere,
//! and a test that the docs name exists.

use std::fs;
use std::path::{Path, PathBuf};

/// The most lines of a file in src and crates. A longer one is about two things.
const MAX_LINES: usize = 400;

/// The most lines of a file of tests, which is a list and may be longer.
const MAX_LINES_OF_TESTS: usize = 450;

/// The most columns. rustfmt does not break comments and strings.
const MAX_COLUMNS: usize = 130;

/// The README is one page.
const MAX_README_LINES: usize = 150;
const MAX_README_WORDS: usize = 1500;

/// A crate that is published says in its README why it exists.
const README_FIRST: &str = "#![doc = include_str!(\"../README.md\")]";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files below a directory that a person may have written, by their paths from the root. What tools make or install is left
/// out: target directories, a fuzzer's corpus, and names that begin with a dot.
fn files_below(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(root().join(directory)).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().expect("a name in UTF-8");
        let path = directory.join(&name);
        if !entry.file_type().unwrap().is_dir() {
            found.push(path);
        } else if !name.starts_with('.')
            && !["target", "corpus", "artifacts", "node_modules"].contains(&&*name)
        {
            files_below(&path, found);
        }
    }
}

fn files_named(extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    files_below(Path::new(""), &mut found);
    found.retain(|path| path.extension().is_some_and(|own| own == extension));
    found
}

/// A folder named tests, or a file named tests.rs.
fn is_of_tests(path: &Path) -> bool {
    path.with_extension("").iter().any(|part| part == "tests")
}

#[test]
fn every_source_file_is_fit_to_be_read() {
    let found = files_named("rs");
    assert!(found.len() > 100, "{found:?}");
    let mut complaints = Vec::new();
    for path in found {
        let text = fs::read_to_string(root().join(&path)).unwrap();
        let name = path.display();
        if !text.starts_with("//! ") && !text.starts_with(README_FIRST) {
            complaints.push(format!("{name} does not begin with why it exists"));
        }
        let most = if is_of_tests(&path) { MAX_LINES_OF_TESTS } else { MAX_LINES };
        if text.lines().count() > most {
            complaints.push(format!("{name} has {} lines", text.lines().count()));
        }
        let too_long = text.lines().zip(1..).filter(|(line, _)| line.chars().count() > MAX_COLUMNS);
        complaints.extend(too_long.map(|(_, number)| format!("{name}:{number} is too long")));
    }
    assert!(complaints.is_empty(), "{complaints:#?}");
}

#[test]
fn the_readme_is_one_page() {
    let text = fs::read_to_string(root().join("README.md")).unwrap();
    let (lines, words) = (text.lines().count(), text.split_whitespace().count());
    assert!(
        lines <= MAX_README_LINES && words <= MAX_README_WORDS,
        "README.md has {lines} lines and {words} words"
    );
}

/// A path of the machine that something was written on means nothing on another one.
#[test]
fn no_file_names_the_directory_of_this_checkout() {
    let here = root().to_str().expect("a path in UTF-8");
    if root().components().count() < 3 {
        return; // such as /app, which is also the page's path
    }
    let mut found = Vec::new();
    files_below(Path::new(""), &mut found);
    let names_it = |path: &PathBuf| {
        let bytes = fs::read(root().join(path)).unwrap();
        bytes.windows(here.len()).any(|window| window == here.as_bytes())
    };
    let of_git = Path::new(".git"); // in a work tree of git's it is a file
    found.retain(|path| path != of_git && names_it(path));
    assert!(found.is_empty(), "{here} is in {found:?}");
}

/// A heading's anchor, as forges make it: without punctuation.
fn anchor(line: &str) -> String {
    let words = line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
    words.chars().filter(|each| each.is_alphanumeric() || ['-', '_'].contains(each)).collect()
}

#[test]
fn links_lead_somewhere() {
    let pages = files_named("md");
    assert!(pages.len() > 5, "{pages:?}");
    let mut complaints = Vec::new();
    for page in pages {
        let page = root().join(page);
        let text = fs::read_to_string(&page).unwrap();
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|target| !target.starts_with("http")) {
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let there = if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            let has_heading = || {
                let text = fs::read_to_string(&there).unwrap();
                text.lines().any(|line| line.starts_with('#') && anchor(line) == heading)
            };
            if !there.exists() || !heading.is_empty() && !has_heading() {
                complaints.push(format!("{}: {target}", page.display()));
            }
        }
    }
    assert!(complaints.is_empty(), "{complaints:#?}");
}

/// A reader of `faults::each_fault_at_each_operation` is to find it.
#[test]
fn tests_that_are_named_exist() {
    let text = fs::read_to_string(root().join("docs/DISCUSSION.md")).unwrap();
    let named: Vec<(&str, &str)> =
        text.split('`').skip(1).step_by(2).filter_map(|code| code.split_once("::")).collect();
    assert!(named.len() > 20, "{named:?}");
    for (module, name) in named {
        let rooms = ["it", "system"].map(|room| root().join(format!("tests/{room}/{module}.rs")));
        let sources: Vec<String> = rooms.iter().filter_map(|path| fs::read_to_string(path).ok()).collect();
        assert!(!sources.is_empty(), "no file has the tests of {module}");
        let beginning = name.trim_end_matches('*');
        let end = if name.ends_with('*') { "" } else { "(" };
        let named = format!("{beginning}{end}");
        let tests = sources.iter().flat_map(|source| source.split("#[test]\n").skip(1));
        let mut names = tests.filter_map(|rest| Some(rest.split_once("fn ")?.1));
        assert!(names.any(|test| test.starts_with(&named)), "{module}::{name}");
    }
}
