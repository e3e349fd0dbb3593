//! What an Accept header may say, and which ETags are the one that is asked for.

use super::*;

#[test]
fn accept() {
    let fine = ["", " ", "application/json", "APPLICATION/JSON", "application/json; charset=utf-8"];
    let also_fine = [
        "application/json, text/plain, */*",
        "text/html;q=0.9,application/json;q=0.001",
        "*/*, application/json",
    ];
    for accept in fine.into_iter().chain(also_fine) {
        assert!(accepts_json(Some(accept)), "{accept:?}");
    }
    assert!(accepts_json(None));
    for accept in [
        "*/*",
        "text/html",
        "application/*",
        "application/json;q=0",
        "application/json ; Q=0.000",
        "application/jsonp",
        ",",
    ] {
        assert!(!accepts_json(Some(accept)), "{accept:?}");
    }
}

#[test]
fn etags() {
    let tag = etag(b"picture");
    for list in ["*", &tag, &format!("W/{tag}"), &format!("\"a\", {tag}")] {
        assert!(matches_etag(Some(list), &tag), "{list}");
    }
    for list in ["", "\"a\"", tag.trim_matches('"')] {
        assert!(!matches_etag(Some(list), &tag), "{list}");
    }
    assert!(!matches_etag(None, &tag));
    assert_ne!(tag, etag(b"picturf"));
}
