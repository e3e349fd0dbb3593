//! What a client is told when it does not get what it asked for: a status, and one sentence that says what to do.
//!
//! The gate and the api both refuse, and a client should not be able to tell which of them it was.

pub(super) use gate::Refusal;

/// A 405, with the methods that are allowed.
pub(super) fn method_not_allowed(allow: &str, message: &'static str) -> Refusal {
    Refusal { header: Some(("Allow", allow.to_owned())), ..Refusal::new(405, message) }
}

/// A 401: uploads are for clients that have the token.
pub(super) fn unauthorized() -> Refusal {
    let message =
        "Uploads are for those who were given a token: send the header Authorization: Bearer TOKEN.";
    Refusal { header: Some(("WWW-Authenticate", "Bearer".to_owned())), ..Refusal::new(401, message) }
}
