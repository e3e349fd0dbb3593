//! The page to share from: files of the program's own, at `/app` and beside it, for people without curl.
//!
//! An upload can never run as a page, and the page can run nothing but its own script: each file goes out with a policy that
//! allows what these few files need and no more. They are plain HTML, CSS and JavaScript, served as they are in `page/`; nothing
//! builds them, and nothing in them is fetched from elsewhere.

/// Where the page is; its other files' paths begin with it.
pub const PATH: &str = "/app";

/// The page's files, and what is said with each of them.
pub struct Page {
    policy: String,
}

/// One of the page's files.
#[derive(Debug, PartialEq, Eq)]
pub struct File {
    path: &'static str,
    content_type: &'static str,
    /// What it holds.
    pub bytes: &'static [u8],
}

const FILES: [File; 4] = [
    File { path: PATH, content_type: "text/html; charset=utf-8", bytes: include_bytes!("page/page.html") },
    File {
        path: "/app.css",
        content_type: "text/css; charset=utf-8",
        bytes: include_bytes!("page/page.css"),
    },
    File {
        path: "/app.js",
        content_type: "text/javascript; charset=utf-8",
        bytes: include_bytes!("page/page.js"),
    },
    File { path: "/app.svg", content_type: "image/svg+xml", bytes: include_bytes!("page/icon.svg") },
];

/// The file at this path.
pub(super) fn find_file(path: &str) -> Option<&'static File> {
    FILES.iter().find(|file| file.path == path)
}

impl Page {
    /// A page that may show the images at `public_url`, and, as `blob:`, those that are about to be uploaded.
    pub fn showing(public_url: &str) -> Page {
        let images = origin(public_url);
        let policy = format!(
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
             img-src 'self' blob: {images}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        );
        Page { policy }
    }

    /// A file's headers. It may be kept, and is asked for again each time: a new program may have a new one.
    pub fn headers(&self, file: &File) -> Vec<(&'static str, String)> {
        vec![
            ("Content-Type", file.content_type.to_owned()),
            ("Cache-Control", "no-cache".to_owned()),
            ("Content-Security-Policy", self.policy.clone()),
            ("X-Content-Type-Options", "nosniff".to_owned()),
            ("Referrer-Policy", "no-referrer".to_owned()),
        ]
    }
}

/// A URL's scheme, host and port.
fn origin(url: &str) -> &str {
    let host = url.find("://").map_or(0, |at| at + "://".len());
    let end = url[host..].find('/').map_or(url.len(), |at| host + at);
    &url[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins() {
        for (url, expected) in [
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("https://images.example.com/x/y", "https://images.example.com"),
            ("https://a/", "https://a"),
        ] {
            assert_eq!(origin(url), expected);
        }
    }

    /// Each is there for whoever opens the page first, on a slow line.
    #[test]
    fn files_are_few_and_small() {
        let bytes: usize = FILES.iter().map(|file| file.bytes.len()).sum();
        assert!(bytes < 20_000, "{bytes} bytes");
    }

    /// What a file names beside itself is one of the files.
    #[test]
    fn nothing_is_fetched_from_elsewhere() {
        let html = std::str::from_utf8(find_file(PATH).unwrap().bytes).unwrap();
        let named: Vec<&str> = ["href=\"", "src=\""]
            .into_iter()
            .flat_map(|attribute| html.split(attribute).skip(1))
            .filter_map(|rest| rest.split('"').next())
            .collect();
        assert!(named.len() >= 3, "{named:?}");
        assert!(named.iter().all(|path| find_file(path).is_some()), "{named:?}");
    }
}
