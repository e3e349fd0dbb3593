//! What a listing asks for, and what it makes of answers, S3's and others.

use aws_client::env::Env;
use samples::loopback::{Loopback, ok};

use super::*;
use crate::aws::Aws;
use crate::aws::s3::S3Store;
use crate::domain::store::Store;

const ID: &str = "0123456789abcdef0123456789abcdef";

fn object(key: &str) -> String {
    format!(
        "<Contents><Key>{key}</Key><LastModified>2026-11-24T06:34:10.000Z</LastModified><ETag>&quot;e&quot;</ETag>\
         <Size>1</Size><Owner><ID>o</ID></Owner></Contents>"
    )
}

fn answer(objects: &[String], rest: &str) -> String {
    let head = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/\">";
    format!("{head}<Name>images</Name>{}{rest}</ListBucketResult>\n", objects.concat())
}

fn on(server: &Loopback) -> S3Store {
    let (region, url) = ("eu-central-1", server.url());
    let variables = [
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "hush"),
        ("AWS_REGION", region),
        ("AWS_ENDPOINT_URL", url.as_str()),
    ];
    let env: Env = variables.into_iter().collect();
    S3Store::new(&Aws::new(env, "").unwrap(), "images").unwrap()
}

#[test]
fn pages_follow_the_token() {
    let more = "<IsTruncated>true</IsTruncated><NextContinuationToken>a+/&amp;=</NextContinuationToken>";
    let server = Loopback::answering(vec![
        ok(&answer(&[object(&format!("{ID}/large.jpg"))], more)),
        ok(&answer(&[], "<IsTruncated>false</IsTruncated>")),
    ]);
    let id: ImageId = ID.parse().unwrap();
    let pages: Vec<_> = on(&server).list(Some(id), 7).unwrap().map(Result::unwrap).collect();
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [1, 0]);
    assert_eq!(pages[0][0].modified, dates::from_rfc3339("2026-11-24T06:34:10Z").unwrap());
    let lines: Vec<String> =
        server.requests().iter().map(|request| request.lines().next().unwrap().to_string()).collect();
    assert_eq!(
        lines,
        [
            format!("GET /images/?list-type=2&max-keys=7&start-after={ID}0 HTTP/1.1"),
            "GET /images/?list-type=2&max-keys=7&continuation-token=a%2B%2F%26%3D HTTP/1.1".to_string(),
        ]
    );
}

#[test]
fn a_page_that_would_come_again_is_an_error_and_the_end() {
    let more = "<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>";
    let server = Loopback::answering(vec![ok(&answer(&[], more)), ok(&answer(&[], more))]);
    let pages: Vec<_> = on(&server).list(None, 1000).unwrap().collect();
    assert!(pages[0].is_ok() && pages[1].is_err() && pages.len() == 2, "{pages:?}");
}

#[test]
fn an_error_says_what_it_was_about_and_is_the_end() {
    let server = Loopback::answering(vec![ok("<html>Welcome!</html>")]);
    let mut pages = on(&server).list(None, 1000).unwrap();
    let error = pages.next().unwrap().unwrap_err().to_string();
    assert_eq!(error, "S3 ListObjectsV2 images: unreadable answer: it is no whole ListBucketResult");
    assert!(pages.next().is_none());
}

#[test]
fn keys_that_are_not_ours_are_skipped() {
    let whole = "<IsTruncated>false</IsTruncated>";
    let keys = ["a/b", "&lt;Key&gt;", "x&#x1;y", "", &format!("{ID}/huge.jpg"), &format!("{ID}/small.png")];
    let ListedPage { objects, next: token } = read(answer(&keys.map(object), whole).as_bytes()).unwrap();
    assert_eq!(objects.iter().map(|object| object.key.to_string()).collect::<Vec<_>>(), [keys[5]]);
    assert_eq!(token, None);
}

#[test]
fn a_malformed_answer_is_an_error_that_says_so() {
    let key = format!("{ID}/small.png");
    let whole = answer(&[object(&key)], "<IsTruncated>false</IsTruncated>");
    assert!(read(whole.as_bytes()).is_ok());
    for (from, to, expected) in [
        ("</ListBucketResult>", "", "no whole ListBucketResult"),
        ("<ListBucketResult", "<Error", "no whole ListBucketResult"),
        ("</Contents>", "", "no end"),
        ("<Key>", "<Kez>", "no Key"),
        ("2026-11", "2026-13", "LastModified"),
        ("<LastModified>", "<X>", "LastModified"),
        ("false", "maybe", "IsTruncated"),
        ("false", "true", "NextContinuationToken"),
    ] {
        let error = read(whole.replace(from, to).as_bytes()).unwrap_err();
        assert!(error.contains(expected), "{from} as {to}: {error}");
    }
}

#[test]
fn fuzz_of_an_answer() {
    let more = "<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>";
    let objects = [object(&format!("{ID}/small.png")), object("a&amp;b")];
    let seeds =
        [answer(&objects, more).into_bytes(), answer(&[], "<IsTruncated>false</IsTruncated>").into_bytes()];
    samples::mutate::run("listing", &seeds, |bytes| {
        if let Ok(ListedPage { objects, next: token }) = read(bytes) {
            assert!(objects.len() <= bytes.len() && token.is_none_or(|token| !token.is_empty()));
        }
    });
}
