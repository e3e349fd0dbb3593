//! Every trap of the two RFCs, and of the clients that do not keep to them, once.

use super::*;
use FormError::*;

const LIMITS: Limits =
    Limits { field_bytes: 1_048_576, other_bytes: 65_536, parts: 64, part_header_bytes: 8_192 };

fn find_image<'a>(content_type: &str, body: &'a [u8]) -> Result<&'a [u8], FormError> {
    find_field(content_type, body, "image", &LIMITS)
}

const TYPE: &str = "multipart/form-data; boundary=B";
const FILE: &str = "Content-Disposition: form-data; name=\"image\"; filename=\"cat.jpg\"";

/// A part of these header lines and content, after its delimiter.
fn part_of(headers: &[&str], content: &[u8]) -> Vec<u8> {
    let headers: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    [b"--B\r\n", headers.as_bytes(), b"\r\n", content, b"\r\n"].concat()
}

fn body_of(parts: &[Vec<u8>]) -> Vec<u8> {
    [&parts.concat()[..], b"--B--\r\n"].concat()
}

fn field(name: &str, content: &[u8]) -> Vec<u8> {
    part_of(&[&format!("Content-Disposition: form-data; name=\"{name}\"")], content)
}

/// What a body with one part of these headers gives.
fn with_headers(headers: &[&str]) -> Result<Vec<u8>, FormError> {
    find_image(TYPE, &body_of(&[part_of(headers, b"cat")])).map(<[u8]>::to_vec)
}

fn with_disposition(parameters: &str) -> Result<Vec<u8>, FormError> {
    with_headers(&[&format!("Content-Disposition: form-data; {parameters}")])
}

fn with_type(content_type: &str, boundary: &str) -> Result<Vec<u8>, FormError> {
    let body = format!("--{boundary}\r\n{FILE}\r\n\r\ncat\r\n--{boundary}--\r\n");
    find_image(content_type, body.as_bytes()).map(<[u8]>::to_vec)
}

const CAT: Result<&[u8], FormError> = Ok(b"cat");

fn cat() -> Result<Vec<u8>, FormError> {
    Ok(b"cat".to_vec())
}

#[test]
fn finds_the_image_among_other_fields() {
    let body =
        body_of(&[field("a", b"1"), part_of(&[FILE, "Content-Type: image/jpeg"], b"cat"), field("b", b"")]);
    assert_eq!(find_image(TYPE, &body), CAT);
    assert_eq!(find_image(TYPE, &body_of(&[field("image", b"cat")])), CAT, "a file name is not needed");
}

#[test]
fn takes_part_headers_in_any_order_and_case() {
    let type_first =
        ["Content-Type: image/jpeg", FILE, "Content-Transfer-Encoding: binary", "Content-Length: 3"];
    assert_eq!(with_headers(&type_first), cat());
    assert_eq!(with_headers(&["CONTENT-DISPOSITION:FORM-DATA;NAME=image;FILENAME=cat.jpg"]), cat());
    assert_eq!(
        with_headers(&["Content-Disposition: form-data;", "\tname=\"image\"; filename=\"long\""]),
        cat()
    );
}

#[test]
fn takes_every_kind_of_file_name() {
    for file_name in [
        r#"filename="a\"b.jpg""#,
        r#"filename="a\"; name=\"b.jpg""#,
        r#"filename="a;b=c.jpg""#,
        r#"filename="a; name=other.jpg""#,
        r#"filename="C:\Users\me\cat.jpg""#,
        r#"filename="cat%22.jpg""#,
        r#"filename="katze-ü-猫.jpg""#,
        r#"filename="cat.jpg"; filename*=UTF-8''%e7%8c%ab.jpg"#,
        r#"filename*=UTF-8''%e7%8c%ab.jpg"#,
        r#"filename="""#,
        r#"filename=cat.jpg;"#,
    ] {
        assert_eq!(with_disposition(&format!("name=\"image\"; {file_name}")), cat(), "{file_name}");
        assert_eq!(with_disposition(&format!("{file_name}; name=\"image\"")), cat(), "{file_name}");
    }
    let latin1 =
        b"--B\r\nContent-Disposition: form-data; name=image; filename=\"\xFC.jpg\"\r\n\r\ncat\r\n--B--";
    assert_eq!(find_image(TYPE, latin1), CAT);
}

#[test]
fn a_file_name_may_end_in_a_backslash_of_its_own() {
    assert_eq!(with_disposition(r#"name="image"; filename="cat\""#), cat());
    assert_eq!(
        with_disposition(r#"filename="cat\"; name="image""#),
        Err(PartHeaders),
        "this can be read in two ways"
    );
}

#[test]
fn a_file_name_is_never_taken_for_the_name() {
    assert_eq!(with_disposition(r#"name="other"; filename="x\"; name=\"image""#), Err(NoField));
    assert_eq!(with_disposition(r#"name="other"; filename="; name=image""#), Err(NoField));
    assert_eq!(with_disposition(r#"name="Image""#), Err(NoField), "names are told apart by case");
    assert_eq!(with_disposition(r#"name*=UTF-8''image; name=other"#), Err(NoField));
}

#[test]
fn refuses_a_part_without_exactly_one_name() {
    assert_eq!(with_disposition("filename=\"cat.jpg\""), Err(PartHeaders));
    assert_eq!(with_disposition("name=\"image\"; name=\"image\""), Err(PartHeaders));
    assert_eq!(with_disposition("name=\"image\"; NAME=other"), Err(PartHeaders));
    assert_eq!(with_disposition("name=\"image"), Err(PartHeaders));
    assert_eq!(with_disposition("name=\"image\" x"), Err(PartHeaders));
    assert_eq!(with_headers(&[FILE, FILE]), Err(PartHeaders));
    assert_eq!(with_headers(&["Content-Type: image/jpeg"]), Err(PartHeaders));
    assert_eq!(with_headers(&[]), Err(PartHeaders));
    assert_eq!(with_headers(&["Content-Disposition: attachment; name=\"image\""]), Err(PartHeaders));
    assert_eq!(with_headers(&["Content-Disposition: form-data"]), Err(PartHeaders));
}

#[test]
fn refuses_header_fields_that_hide_others() {
    assert_eq!(with_headers(&["X: 1\nContent-Disposition: form-data; name=other", FILE]), Err(PartHeaders));
    assert_eq!(with_headers(&["X: 1\rY: 2", FILE]), Err(PartHeaders));
    assert_eq!(with_headers(&["X: \0", FILE]), Err(PartHeaders));
    assert_eq!(with_headers(&["no colon", FILE]), Err(PartHeaders));
    assert_eq!(with_headers(&["Content-Disposition : form-data; name=image"]), Err(PartHeaders));
    assert_eq!(with_headers(&[": empty", FILE]), Err(PartHeaders));
}

#[test]
fn refuses_an_encoded_image() {
    for plain in ["7bit", "8BIT", "binary "] {
        assert_eq!(with_headers(&[FILE, &format!("Content-Transfer-Encoding: {plain}")]), cat());
    }
    for encoding in ["base64", "quoted-printable", "x-gzip", ""] {
        assert_eq!(with_headers(&[FILE, &format!("content-transfer-encoding: {encoding}")]), Err(Encoded));
    }
    let two = ["Content-Transfer-Encoding: base64", "Content-Transfer-Encoding: binary"];
    assert_eq!(with_headers(&[FILE, two[0], two[1]]), Err(Encoded));
}

#[test]
fn takes_the_boundaries_that_are_legal() {
    let longest = "b".repeat(70);
    for boundary in
        ["B", "----WebKitFormBoundaryAbC123", "----=_Part_0_1.2", "'()+_,-./:=?", "a b", longest.as_str()]
    {
        let quoted = format!("Multipart/Form-Data; charset=utf-8; Boundary=\"{boundary}\" ;");
        assert_eq!(with_type(&quoted, boundary), cat());
        if !boundary.contains(' ') {
            assert_eq!(with_type(&format!("multipart/form-data;boundary={boundary}"), boundary), cat());
        }
    }
}

#[test]
fn refuses_the_boundaries_that_are_not() {
    let too_long = "b".repeat(71);
    for boundary in [
        "",
        "\"\"",
        "\"B \"",
        "\"B\\\"\"",
        "\"B\r\n\"",
        "B@",
        "\"ü\"",
        "B; boundary=B",
        "B C",
        "\"B",
        &too_long,
    ] {
        assert_eq!(
            with_type(&format!("multipart/form-data; boundary={boundary}"), "B"),
            Err(Boundary),
            "{boundary}"
        );
    }
    assert_eq!(with_type("multipart/form-data", "B"), Err(Boundary));
}

#[test]
fn refuses_other_media_types() {
    for other in
        ["", "image/jpeg", "multipart/mixed; boundary=B", "multipart/form-data2; boundary=B", "; boundary=B"]
    {
        assert_eq!(with_type(other, "B"), Err(NotMultipart));
    }
}

#[test]
fn a_line_that_only_begins_like_the_boundary_is_content() {
    let content = b"\r\n--Bx\r\n--B-\r\n--B--x\r\n--B x\r\n --B\r\n--b\r\n--B\n--B\r--\r\n-B";
    assert_eq!(find_image(TYPE, &body_of(&[part_of(&[FILE], content)])), Ok(&content[..]));
}

#[test]
fn takes_preamble_epilogue_and_transport_padding() {
    let body =
        [b"preamble\r\n--Bx\r\n", &part_of(&[FILE], b"cat")[..], b"--B-- \t\r\nepilogue\r\n--B\r\n"].concat();
    assert_eq!(find_image(TYPE, &body), CAT);
    let body = [b"\r\n--B \t \r\n", FILE.as_bytes(), b"\r\n\r\ncat\r\n--B--"].concat();
    assert_eq!(find_image(TYPE, &body), CAT);
}

#[test]
fn refuses_lines_that_end_in_lf_alone() {
    let body = body_of(&[part_of(&[FILE], b"cat")]);
    let body: Vec<u8> = body.into_iter().filter(|byte| *byte != b'\r').collect();
    assert_eq!(find_image(TYPE, &body), Err(NoParts));
    let body = [b"--B\r\n", FILE.as_bytes(), b"\n\ncat\r\n--B--\r\n"].concat();
    assert_eq!(find_image(TYPE, &body), Err(PartHeaders));
}

#[test]
fn refuses_every_body_that_is_cut_short() {
    let body = body_of(&[field("a", b"1"), part_of(&[FILE], b"cat")]);
    let whole = body.len() - b"\r\n".len();
    assert_eq!(find_image(TYPE, &body[..whole]), CAT);
    for length in 0..whole {
        let refused = find_image(TYPE, &body[..length]);
        assert!(matches!(refused, Err(NoParts | CutShort)), "{length}: {refused:?}");
    }
}

#[test]
fn refuses_no_image_an_empty_one_and_two() {
    assert_eq!(find_image(TYPE, b"--B--\r\n"), Err(NoField));
    assert_eq!(find_image(TYPE, &body_of(&[field("file", b"cat")])), Err(NoField));
    assert_eq!(find_image(TYPE, &body_of(&[field("image", b"")])), Err(EmptyField));
    assert_eq!(find_image(TYPE, &body_of(&[field("image", b"1"), field("image", b"")])), Err(TwoFields));
}

#[test]
fn a_nested_multipart_is_opaque() {
    let nested = [b"--inner\r\n", FILE.as_bytes(), b"\r\n\r\ndog\r\n--inner--\r\n"].concat();
    let mixed = part_of(
        &["Content-Disposition: form-data; name=\"files\"", "Content-Type: multipart/mixed; boundary=inner"],
        &nested,
    );
    assert_eq!(find_image(TYPE, &body_of(&[mixed.clone(), field("image", b"cat")])), CAT);
    assert_eq!(find_image(TYPE, &body_of(&[mixed])), Err(NoField));
}

#[test]
fn the_limits_are_exact() {
    let image = vec![7; LIMITS.field_bytes + 1];
    let [exact, over] =
        [LIMITS.field_bytes, LIMITS.field_bytes + 1].map(|n| body_of(&[field("image", &image[..n])]));
    assert_eq!(find_image(TYPE, &exact), Ok(&image[..LIMITS.field_bytes]));
    assert_eq!(find_image(TYPE, &over), Err(FieldTooLarge));

    let half = vec![7; LIMITS.other_bytes / 2];
    let others = [field("image", b"cat"), field("a", &half), field("b", &half)];
    assert_eq!(find_image(TYPE, &body_of(&others)), CAT);
    let others = [&others[..], &[field("c", b"1")]].concat();
    assert_eq!(find_image(TYPE, &body_of(&others)), Err(OthersTooLarge));

    let mut parts = vec![field("a", b""); LIMITS.parts - 1];
    parts.push(field("image", b"cat"));
    assert_eq!(find_image(TYPE, &body_of(&parts)), CAT);
    parts.push(field("a", b""));
    assert_eq!(find_image(TYPE, &body_of(&parts)), Err(TooManyParts));

    let padding = LIMITS.part_header_bytes - FILE.len() - "\r\nX:".len();
    let [exact, over] = [padding, padding + 1].map(|n| format!("X:{}", "x".repeat(n)));
    assert_eq!(with_headers(&[FILE, &exact]), cat());
    assert_eq!(with_headers(&[FILE, &over]), Err(PartHeadersTooLarge));
}

#[test]
fn too_large_comes_before_wrong() {
    let large = vec![7; LIMITS.field_bytes + 1];
    let encoded = part_of(&[FILE, "Content-Transfer-Encoding: base64"], &large);
    assert_eq!(find_image(TYPE, &body_of(&[encoded, field("image", b"")])), Err(FieldTooLarge));

    let nameless = part_of(&["Content-Type: text/plain"], b"");
    let image = field("image", &large);
    assert_eq!(find_image(TYPE, &body_of(&[nameless.clone(), image.clone()])), Err(FieldTooLarge));
    let parts = [vec![field("a", b""); LIMITS.parts], vec![image.clone()]].concat();
    assert_eq!(find_image(TYPE, &body_of(&parts)), Err(FieldTooLarge));
    assert_eq!(find_image(TYPE, &image), Err(FieldTooLarge), "nor is there a closing boundary");
    assert_eq!(find_image(TYPE, &field("other", &large)), Err(OthersTooLarge));
    assert_eq!(find_image(TYPE, &body_of(&[nameless, field("image", b"cat")])), Err(PartHeaders));
}

fn seeds() -> Vec<Vec<u8>> {
    let headers = ["Content-Type: image/jpeg", FILE, "Content-Transfer-Encoding: binary"];
    vec![
        body_of(&[field("a", b"1"), part_of(&headers, b"cat\r\n--Bx\r\n"), field("b", b"")]),
        body_of(&[part_of(
            &[r#"Content-Disposition: form-data; filename="C:\a\"b;.jpg"; name=image"#],
            b"cat",
        )]),
        [b"preamble\r\n", &body_of(&[field("image", b"cat")])[..], b"epilogue"].concat(),
    ]
}

/// What is returned lies within the body, holds no delimiter line, and is followed by one.
#[test]
fn fuzz_body() {
    samples::mutate::run("multipart body", &seeds(), |body| {
        if let Ok(image) = find_image(TYPE, body) {
            assert!((1..=LIMITS.field_bytes).contains(&image.len()));
            let start = image.as_ptr() as usize - body.as_ptr() as usize;
            assert!(body[start + image.len()..].starts_with(b"\r\n--B"));
            assert!(memmem::find(image, b"\r\n--B\r\n").is_none());
        }
    });
}

#[test]
fn fuzz_content_type() {
    let types =
        [TYPE, "multipart/form-data; charset=\"a\\\"b\"; boundary=\"B\"", "multipart/form-data ;BOUNDARY=B;"];
    let types: Vec<Vec<u8>> = types.iter().map(|text| text.as_bytes().to_vec()).collect();
    samples::mutate::run("multipart Content-Type", &types, |bytes| {
        if let Ok(boundary) = parse_boundary(&String::from_utf8_lossy(bytes)) {
            assert!((1..=MAX_BOUNDARY_BYTES).contains(&boundary.len()) && boundary.is_ascii());
        }
    });
}
