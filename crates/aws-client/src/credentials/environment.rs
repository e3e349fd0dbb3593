//! Credentials in environment variables.

use crate::credentials::{Credentials, Unavailable};
use crate::env::Env;

/// The keys, if they are set.
pub(super) fn credentials(env: &Env) -> Result<Credentials, Unavailable> {
    match (env.get("AWS_ACCESS_KEY_ID"), env.get("AWS_SECRET_ACCESS_KEY")) {
        (Some(id), Some(secret)) => {
            let mut credentials = Credentials::of_key(id, secret);
            credentials.session_token = env.get("AWS_SESSION_TOKEN").map(str::to_string);
            Ok(credentials)
        }
        (None, None) => Err(Unavailable::absent("AWS_ACCESS_KEY_ID is not set")),
        (Some(_), None) => Err(Unavailable::broken(
            "AWS_ACCESS_KEY_ID is set but AWS_SECRET_ACCESS_KEY is not; set both or neither",
        )),
        (None, Some(_)) => Err(Unavailable::broken(
            "AWS_SECRET_ACCESS_KEY is set but AWS_ACCESS_KEY_ID is not; set both or neither",
        )),
    }
}

/// EKS mounts a token for a service account with a role, to be exchanged for keys. The exchange is not made here, and to go on
/// without it would mean to act as the node.
pub(super) fn refuse_web_identity(env: &Env) -> Result<Credentials, Unavailable> {
    match env.get("AWS_WEB_IDENTITY_TOKEN_FILE") {
        None => Err(Unavailable::absent("AWS_WEB_IDENTITY_TOKEN_FILE is not set")),
        Some(path) => Err(Unavailable::broken(format!(
            "AWS_WEB_IDENTITY_TOKEN_FILE is {path}, but roles of service accounts are not supported here; use EKS Pod \
             Identity, which sets AWS_CONTAINER_CREDENTIALS_FULL_URI, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        ))),
    }
}
