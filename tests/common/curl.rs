//! curl, the client that the service is for.

use std::process::Command;

use image_sharer::domain::image_id::ImageId;
use serde_json::Value;

/// An answer, as curl got it.
#[derive(Debug)]
pub(crate) struct Reply {
    /// The last status, past any `100 Continue`.
    pub status: u16,
    /// The last head.
    pub head: String,
    pub body: Vec<u8>,
}

impl Reply {
    /// A header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(':'));
        lines.into_iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    /// The sentence of a refusal. Fails if the answer is not a refusal of the form that the contract names.
    pub(crate) fn error(&self) -> String {
        assert_eq!(self.header("Content-Type"), Some("application/json"), "{self:?}");
        let json = self.json();
        let fields: Vec<&String> = json.as_object().expect("an object").keys().collect();
        assert_eq!(fields, ["error"], "{self:?}");
        json["error"].as_str().expect("a sentence").to_owned()
    }

    /// The four URLs of an accepted upload. Fails if the answer is anything else.
    pub(crate) fn urls(&self) -> Urls {
        assert_eq!(self.status, 202, "{self:?}");
        assert_eq!(self.header("Content-Type"), Some("application/json"));
        let json = self.json();
        assert_eq!(json.as_object().expect("an object").len(), 4, "{json}");
        let url =
            |name: &str| json[name].as_str().unwrap_or_else(|| panic!("no {name} in {json}")).to_owned();
        Urls { original: url("original"), small: url("small"), medium: url("medium"), large: url("large") }
    }
}

/// The URLs that an upload is answered with.
#[derive(Clone, Debug)]
pub(crate) struct Urls {
    pub original: String,
    pub small: String,
    pub medium: String,
    pub large: String,
}

impl Urls {
    /// The thumbnails, with their sides in pixels.
    pub(crate) fn thumbnails(&self) -> [(&str, u32); 3] {
        [(&self.small, 100), (&self.medium, 300), (&self.large, 600)]
    }

    /// The image that they are of.
    pub(crate) fn id(&self) -> ImageId {
        self.original.rsplit('/').nth(1).and_then(|id| id.parse().ok()).expect("an id")
    }

    /// Each of them changed in the same way.
    pub(crate) fn map(&self, change: impl Fn(&str) -> String) -> Urls {
        Urls {
            original: change(&self.original),
            small: change(&self.small),
            medium: change(&self.medium),
            large: change(&self.large),
        }
    }
}

/// Runs curl with these arguments, and returns the last answer that it gets.
pub(crate) fn curl(arguments: &[&str]) -> Reply {
    let mut command = Command::new("curl");
    command
        .args(["--silent", "--show-error", "--include", "--noproxy", "*", "--max-time", "60"])
        .args(arguments);
    let output = command.output().expect("curl is installed");
    let errors = String::from_utf8_lossy(&output.stderr);
    let mut rest = output.stdout.as_slice();
    loop {
        let end = rest.windows(4).position(|window| window == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("curl {arguments:?}: no answer: {errors}"));
        let head = String::from_utf8_lossy(&rest[..end]).into_owned();
        rest = &rest[end + 4..];
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        if status >= 200 {
            return Reply { status, head, body: rest.to_vec() };
        }
    }
}

/// `curl -F image=@… -H 'Accept: application/json'`, and more arguments.
pub(crate) fn upload_with(url: &str, image: &[u8], arguments: &[&str]) -> Reply {
    upload_accepting(url, image, "Accept: application/json", arguments)
}

/// The same with another `Accept` header; curl takes `Accept:` for none at all, and `Accept;` for an empty one.
pub(crate) fn upload_accepting(url: &str, image: &[u8], accept: &str, arguments: &[&str]) -> Reply {
    let directory = crate::program::tempdir::TempDir::new();
    let path = directory.path().join("upload");
    std::fs::write(&path, image).unwrap();
    let field = format!("image=@{}", path.display());
    let mut all = vec!["-F", &field, "-H", accept];
    all.extend(arguments);
    all.push(url);
    curl(&all)
}

/// An ordinary upload.
pub(crate) fn upload(url: &str, image: &[u8]) -> Reply {
    upload_with(url, image, &[])
}
