//! Which request is for what, and what can be refused by the head alone.

use super::api::Api;
use super::form::image_too_large;
use super::limits::MAX_BODY_BYTES;
use super::page;
use super::refusal::{Refusal, method_not_allowed, unauthorized};
use super::request::RequestHead;
use crate::domain::key::Key;
use crate::support::secret::Secret;

/// What a request asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// An upload, with a body of this length.
    Upload {
        length: usize,
    },
    Health,
    Object(Key),
    Page(&'static page::File),
}

impl Api {
    /// Finds out what a request asks for, and refuses what can be refused before the body is read, in the order that
    /// docs/REFERENCE.md promises: 404, 405, 401, 406, 413. (A POST without a length, 411, the gate has refused before that.)
    /// The gate calls this too, so that it need not read the body; the api does not count on that.
    pub(super) fn check_head(&self, head: &RequestHead) -> Result<Route, Refusal> {
        let can_read = matches!(head.method.as_str(), "GET" | "HEAD");
        match head.path() {
            "/" if head.method != "POST" => Err(self.only_post()),
            "/" => self.check_upload(head),
            "/healthz" if can_read => Ok(Route::Health),
            "/healthz" => Err(only_get()),
            path => match self.find_object_or_page(path) {
                Some(route) if can_read => Ok(route),
                Some(_) => Err(only_get()),
                None => Err(Refusal::new(
                    404,
                    "There is nothing here: POST an image to /, and look at the URLs that come back.",
                )),
            },
        }
    }

    fn check_upload(&self, head: &RequestHead) -> Result<Route, Refusal> {
        let token = head.authorization.as_ref().and_then(Secret::bearer_token);
        if self.upload_token.is_some() && self.upload_token != token {
            return Err(unauthorized());
        }
        if !accepts_json(head.accept.as_deref()) {
            return Err(Refusal::new(406, "The answer is JSON: send the header Accept: application/json."));
        }
        match head.content_length {
            None => Err(Refusal::new(411, "Send the body with a Content-Length.")),
            Some(length) if length > MAX_BODY_BYTES as u64 => Err(image_too_large()),
            Some(length) => Ok(Route::Upload { length: length as usize }),
        }
    }

    fn find_object_or_page(&self, path: &str) -> Option<Route> {
        let object =
            || path.strip_prefix('/')?.parse().ok().filter(|_| self.serves_objects).map(Route::Object);
        let page = || page::find_file(path).filter(|_| self.page.is_some()).map(Route::Page);
        object().or_else(page)
    }

    fn only_post(&self) -> Refusal {
        let message = match self.page {
            Some(_) => {
                "Only POST is taken here: curl -F image=@cat.jpg -H 'Accept: application/json'. \
                 The page to share from is at /app."
            }
            None => "Only POST is taken here: curl -F image=@cat.jpg -H 'Accept: application/json'.",
        };
        method_not_allowed("POST", message)
    }
}

fn only_get() -> Refusal {
    method_not_allowed("GET, HEAD", "Only GET and HEAD are taken here.")
}

/// Whether an `Accept` header names application/json with a weight above zero (RFC 9110, 12.5.1). None, or an empty one, says
/// nothing against it. A wildcard does not count: docs/REFERENCE.md says that the type must be named.
fn accepts_json(accept: Option<&str>) -> bool {
    let accept = accept.unwrap_or_default();
    accept.trim().is_empty()
        || accept.split(',').any(|range| {
            let mut parts = range.split(';').map(str::trim);
            let is_json = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("application/json"));
            is_json && !parts.any(is_zero_weight)
        })
}

fn is_zero_weight(parameter: &str) -> bool {
    let Some((name, weight)) = parameter.split_once('=') else { return false };
    name.trim().eq_ignore_ascii_case("q") && weight.trim().parse::<f32>().is_ok_and(|weight| weight == 0.0)
}

#[cfg(test)]
mod tests {
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
}
