//! The page to share from, for people without curl: a few files that are part of the program, at `/app` and next to it.
//!
//! The page can run nothing but its own script: each file goes out with a policy that allows what these files need and no
//! more. They are plain HTML, CSS and JavaScript. They are served as they are in `page/`; nothing builds them, and they fetch
//! nothing from elsewhere.

/// The page's path. The paths of its other files begin with it.
pub const PATH: &str = "/app";

/// The page, with the policy that its files are sent with.
pub struct Page {
    policy: String,
}

/// One of the page's files.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct File {
    path: &'static str,
    content_type: &'static str,
    pub(super) bytes: &'static [u8],
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

pub(super) fn find_file(path: &str) -> Option<&'static File> {
    FILES.iter().find(|file| file.path == path)
}

impl Page {
    /// A page that may show the images at `public_url`, and, as `blob:`, those that are about to be uploaded.
    pub fn showing(public_url: &str) -> Page {
        let images = find_origin(public_url);
        let policy = format!(
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
             img-src 'self' blob: {images}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        );
        Page { policy }
    }

    /// A file's headers. A browser may keep the file, and asks each time whether it has changed: a new program may have a new
    /// file.
    pub(super) fn headers(&self, file: &File) -> Vec<(&'static str, String)> {
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
fn find_origin(url: &str) -> &str {
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
            assert_eq!(find_origin(url), expected);
        }
    }

    /// A first visit on a slow line is quick.
    #[test]
    fn files_are_few_and_small() {
        let bytes: usize = FILES.iter().map(|file| file.bytes.len()).sum();
        assert!(bytes < 20_000, "{bytes} bytes");
    }

    /// The page names no file but its own.
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
