//! A secret, from the settings or from a client: it can be compared, and is never shown.

use std::fmt;

use subtle::ConstantTimeEq;

#[derive(Clone, Eq)]
pub struct Secret(String);

impl Secret {
    pub(crate) fn new(text: &str) -> Secret {
        Secret(text.to_owned())
    }

    /// The token, if this is the value of an `Authorization` header for bearers (RFC 6750, 2.1; schemes in any case).
    pub(crate) fn bearer_token(&self) -> Option<Secret> {
        let (scheme, token) = self.0.split_once(' ')?;
        scheme.eq_ignore_ascii_case("Bearer").then(|| Secret::new(token.trim()))
    }
}

/// Takes equally long for all guesses of one length. `==` of text stops at the first difference, so an attacker who measures
/// the time could find a secret letter by letter. Its length does not help to guess it.
impl PartialEq for Secret {
    fn eq(&self, other: &Secret) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(a secret)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_is_equal_and_nothing_is_shown() {
        let secret = Secret::new("correct horse");
        assert_eq!(secret, Secret::new("correct horse"));
        for other in ["", "correct hors", "correct horsf", "correct horse "] {
            assert_ne!(secret, Secret::new(other), "{other:?}");
        }
        assert!(!format!("{secret:?}").contains("horse"));
    }

    #[test]
    fn bearers() {
        for good in ["Bearer t", "bearer t", "BEARER  t "] {
            assert_eq!(Secret::new(good).bearer_token(), Some(Secret::new("t")), "{good:?}");
        }
        for bad in ["", "t", "Bearer", "Bearert", "Basic t", "Bearer\tt"] {
            assert_eq!(Secret::new(bad).bearer_token(), None, "{bad:?}");
        }
    }
}
