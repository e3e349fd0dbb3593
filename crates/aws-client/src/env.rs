//! The environment variables, as a value.
//!
//! Every setting is read through an [`Env`]. So each test states its whole environment, and tests can run at once although a
//! process has only one real environment.

use std::collections::HashMap;
use std::fmt;

/// Environment variables by name. An empty one counts as unset, as in the AWS SDKs.
#[derive(Clone, Default)]
pub struct Env(HashMap<String, String>);

impl Env {
    /// The variables of this process. Bytes that are not UTF-8 become U+FFFD, which no setting allows.
    pub fn of_process() -> Env {
        let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
        std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect()
    }

    /// The variable, if it is set and not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
    }

    /// The first of these that is set.
    pub fn first(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| self.get(name))
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Env {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Env {
        Env(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

/// A setting as an error may show it: a URL without the name and password before the host. No setting may have them.
pub fn shown(value: &str) -> String {
    let host = value.find("://").map_or(0, |at| at + "://".len());
    match value[host..].rfind('@') {
        Some(at) => format!("{}…{}", &value[..host], &value[host + at..]),
        None => value.to_string(),
    }
}

/// Names only: some of the values are secrets.
impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_is_unset_and_values_are_not_shown() {
        let env: Env = [("A", ""), ("B", "  "), ("C", " hush\n")].into_iter().collect();
        assert_eq!(
            (env.get("A"), env.get("B"), env.get("C"), env.get("D")),
            (None, None, Some("hush"), None)
        );
        assert_eq!(env.first(&["D", "A", "C"]), Some("hush"));
        assert!(!format!("{env:?}").contains("hush"));
    }
}
