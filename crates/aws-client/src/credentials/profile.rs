//! Credentials and region from the files that `aws configure` writes: `~/.aws/credentials` and `~/.aws/config`.
//!
//! The format is in the AWS SDKs and Tools Reference Guide, "Shared config and credentials files". Only the keys,
//! `region` and `endpoint_url` are read. A profile that gets its keys by other means (a role to assume, single sign-on, a
//! program) is refused with a hint, rather than skipped.

use std::collections::HashMap;
use std::fs;
use std::io::ErrorKind;

use crate::credentials::{Credentials, Unavailable};
use crate::env::Env;
use crate::error::Error;

/// Settings that exchange the profile's keys, or a token, for other keys. The keys next to them are not the ones to use.
const ROLE: [&str; 2] = ["role_arn", "web_identity_token_file"];

/// Settings that a profile may have instead of keys.
const OTHER_MEANS: [&str; 4] = ["sso_session", "sso_start_url", "login_session", "credential_process"];

/// The settings of one profile, their names in lower case.
type Profile = HashMap<String, String>;

/// The keys of the profile `AWS_PROFILE`, or of `default`.
pub(crate) fn credentials(env: &Env) -> Result<Credentials, Unavailable> {
    let files = Files::of(env);
    let name = profile_name(env);
    let profiles = [files.read_credentials(name)?, files.read_config(name)?];
    let uses_any_of = |means: &[&str]| {
        let used =
            means.iter().find(|name| profiles.iter().flatten().any(|profile| profile.contains_key(**name)));
        used.map_or(Ok(()), |name_of_means| Err(unsupported(name, name_of_means)))
    };
    uses_any_of(&ROLE)?;
    if let Some(found) = profiles.iter().flatten().find_map(keys) {
        return found.map_err(|missing| {
            Unavailable::broken(format!("profile {name} has no {missing} (in {})", files.names()))
        });
    }
    uses_any_of(&OTHER_MEANS)?;
    let missing = format!("no keys for profile {name} in {}", files.names());
    match env.get("AWS_PROFILE") {
        Some(_) => Err(Unavailable::broken(missing)),
        None => Err(Unavailable::absent(missing)),
    }
}

fn unsupported(profile: &str, means: &str) -> Unavailable {
    Unavailable::broken(format!(
        "profile {profile} uses {means}, which is not supported here; put the keys into the environment with \
         `eval \"$(aws configure export-credentials --profile {profile} --format env)\"`"
    ))
}

/// Another setting of the profile, if it has it. A file that cannot be read has none; reading its keys will say so.
pub(crate) fn setting(env: &Env, setting: &str) -> Option<String> {
    let files = Files::of(env);
    let name = profile_name(env);
    let profiles = [files.read_config(name), files.read_credentials(name)];
    profiles.into_iter().flatten().flatten().find_map(|profile| profile.get(setting).cloned())
}

fn profile_name(env: &Env) -> &str {
    env.first(&["AWS_PROFILE", "AWS_DEFAULT_PROFILE"]).unwrap_or("default")
}

/// The keys, or the name of the one that is missing; nothing if there is neither.
fn keys(profile: &Profile) -> Option<Result<Credentials, &'static str>> {
    let get = |name: &str| profile.get(name).filter(|value| !value.is_empty());
    match (get("aws_access_key_id"), get("aws_secret_access_key")) {
        (Some(id), Some(secret)) => {
            let mut credentials = Credentials::of_key(id, secret);
            credentials.session_token = get("aws_session_token").cloned();
            Some(Ok(credentials))
        }
        (Some(_), None) => Some(Err("aws_secret_access_key")),
        (None, Some(_)) => Some(Err("aws_access_key_id")),
        (None, None) => None,
    }
}

struct Files {
    credentials: Option<String>,
    config: Option<String>,
}

impl Files {
    fn of(env: &Env) -> Files {
        // No shell expands `~` in a variable that systemd or an editor sets, so it is expanded here.
        let in_home = |path: &str| env.get("HOME").map(|home| format!("{home}/{path}"));
        let path = |variable, file| match env.get(variable) {
            Some(path) => path.strip_prefix("~/").and_then(in_home).or(Some(path.to_string())),
            None => in_home(&format!(".aws/{file}")),
        };
        Files {
            credentials: path("AWS_SHARED_CREDENTIALS_FILE", "credentials"),
            config: path("AWS_CONFIG_FILE", "config"),
        }
    }

    fn names(&self) -> String {
        let named: Vec<&str> =
            [&self.credentials, &self.config].into_iter().flatten().map(String::as_str).collect();
        if named.is_empty() { "any file, as HOME is not set".to_string() } else { named.join(" or ") }
    }

    fn read_credentials(&self, name: &str) -> Result<Option<Profile>, Unavailable> {
        let sections = read(self.credentials.as_deref())?;
        Ok(sections.into_iter().rev().find(|(section, _)| section == name).map(|(_, profile)| profile))
    }

    /// In this file a profile's section is `[profile NAME]`, in quotes if the name has spaces; only the default's may be
    /// `[default]`.
    fn read_config(&self, name: &str) -> Result<Option<Profile>, Unavailable> {
        let sections = read(self.config.as_deref())?;
        let is_profile = |section: &str| {
            let prefixed = section.strip_prefix("profile").filter(|rest| rest.starts_with([' ', '\t']));
            prefixed.is_some_and(|rest| rest.trim().trim_matches(['"', '\'']) == name)
        };
        let mut found = None;
        for (section, profile) in sections {
            if is_profile(&section) {
                return Ok(Some(profile));
            }
            if section == name && name == "default" {
                found = Some(profile);
            }
        }
        Ok(found)
    }
}

/// A file that does not exist has no sections.
fn read(path: Option<&str>) -> Result<Vec<(String, Profile)>, Unavailable> {
    let Some(path) = path else { return Ok(Vec::new()) };
    match fs::read(path) {
        Ok(bytes) => Ok(parse(&String::from_utf8_lossy(&bytes))),
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(Vec::new()),
        Err(e) => Err(Unavailable::Broken(Error::of_io(format!("cannot read {path}"), e))),
    }
}

/// The sections in their order. Repeated sections are merged, and the later of two settings wins. A line that is indented more
/// than the setting before is nested in it, as under `s3`, and is skipped.
fn parse(text: &str) -> Vec<(String, Profile)> {
    let mut sections: Vec<(String, Profile)> = Vec::new();
    let mut current: Option<usize> = None;
    let mut last_indent: Option<usize> = None;
    for line in text.trim_start_matches('\u{feff}').lines() {
        let content = line.trim();
        if content.is_empty() || content.starts_with(['#', ';']) {
            continue;
        }
        let indent = line.len() - line.trim_start().len();
        if let Some(name) = content.strip_prefix('[').filter(|_| indent == 0).and_then(section_name) {
            let known = sections.iter().position(|(section, _)| section == name);
            current = known.or_else(|| {
                sections.push((name.to_string(), Profile::new()));
                Some(sections.len() - 1)
            });
            last_indent = None;
            continue;
        }
        if last_indent.is_some_and(|last| indent > last) {
            continue;
        }
        if let (Some(section), Some((name, value))) = (current, content.split_once('=')) {
            let profile = &mut sections[section].1;
            profile.insert(name.trim().to_ascii_lowercase(), without_comment(value).trim().to_string());
            last_indent = Some(indent);
        }
    }
    sections
}

fn section_name(after_bracket: &str) -> Option<&str> {
    after_bracket.split_once(']').map(|(name, _)| name.trim())
}

/// A comment after a value begins with `#` or `;` after white space.
fn without_comment(value: &str) -> &str {
    let starts = value.match_indices(['#', ';']).map(|(at, _)| at);
    let end = starts.into_iter().find(|at| value[..*at].ends_with([' ', '\t']));
    &value[..end.unwrap_or(value.len())]
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Two files in a directory of their own, deleted in the end.
    struct Home(PathBuf);

    impl Home {
        fn with(credentials: &str, config: &str) -> Home {
            static COUNT: AtomicUsize = AtomicUsize::new(0);
            let n = COUNT.fetch_add(1, Ordering::Relaxed);
            let home = std::env::temp_dir().join(format!("image-sharer-profile-{}-{n}", std::process::id()));
            fs::create_dir_all(home.join(".aws")).unwrap();
            fs::write(home.join(".aws/credentials"), credentials).unwrap();
            fs::write(home.join(".aws/config"), config).unwrap();
            Home(home)
        }

        fn env(&self, profile: &str) -> Env {
            [("HOME", self.0.to_str().unwrap()), ("AWS_PROFILE", profile)].into_iter().collect()
        }

        fn key_id(&self, profile: &str) -> Result<String, Unavailable> {
            credentials(&self.env(profile)).map(|found| found.access_key_id)
        }
    }

    impl Drop for Home {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    const CREDENTIALS: &str = "\u{feff}# written by hand\r\n\
        [default]\r\n\
        AWS_Access_Key_Id=DEFAULT\r\n\
        aws_secret_access_key = a/b+c=#d ; the secret of default\r\n\
        \r\n\
        [ work ]  ; a comment\n\
        \taws_access_key_id = WORK # comment\n\
        \taws_secret_access_key = w\n\
        \taws_session_token = tok\n\
        [twice]\n\
        aws_access_key_id = OLD\n\
        [half]\n\
        aws_access_key_id = HALF\n\
        [twice]\n\
        aws_access_key_id = TWICE\n\
        aws_secret_access_key = t\n\
        [both]\n\
        aws_access_key_id = FROM_CREDENTIALS\n\
        aws_secret_access_key = b\n\
        [both-and-role]\n\
        aws_access_key_id = NO\n\
        aws_secret_access_key = n\n";

    const CONFIG: &str = "[default]\nregion = eu-west-1\n\
        [profile  work]\nregion=eu-central-1\n\
        s3 =\n  region = nested\n  max_concurrent_requests = 20\n\
        [profile config-only]\naws_access_key_id = CONFIG\naws_secret_access_key = c\n\
        [profile both]\naws_access_key_id = FROM_CONFIG\naws_secret_access_key = b\n\
        [profile sso]\nsso_session = corp\n[profile \"in quotes\"]\nregion = eu-south-1\n\
        endpoint_url = http://localhost:4566\n\
        aws_access_key_id = QUOTED\naws_secret_access_key = q\n\
        [profile role]\nrole_arn = r\naws_access_key_id = NO\naws_secret_access_key = n\n\
        [profile both-and-role]\nrole_arn = r\n\
        [profile token]\nweb_identity_token_file = /t\n[profile login]\nlogin_session = l\n\
        [unprefixed]\naws_access_key_id = NO\naws_secret_access_key = n\n";

    #[test]
    fn profiles_of_both_files() {
        let home = Home::with(CREDENTIALS, CONFIG);
        for (profile, expected) in [
            ("", "DEFAULT"),
            ("default", "DEFAULT"),
            ("work", "WORK"),
            ("twice", "TWICE"),
            ("config-only", "CONFIG"),
            ("both", "FROM_CREDENTIALS"),
            ("in quotes", "QUOTED"),
        ] {
            assert_eq!(home.key_id(profile).unwrap(), expected, "{profile}");
        }
        let default = credentials(&home.env("")).unwrap();
        assert_eq!(default.secret_access_key, "a/b+c=#d");
        assert_eq!(credentials(&home.env("work")).unwrap().session_token.as_deref(), Some("tok"));
        let region = |profile| setting(&home.env(profile), "region");
        assert_eq!(region("work").as_deref(), Some("eu-central-1"));
        assert_eq!(region("").as_deref(), Some("eu-west-1"));
        assert_eq!(region("in quotes").as_deref(), Some("eu-south-1"));
        assert_eq!(region("twice"), None);
    }

    #[test]
    fn a_profile_that_was_asked_for_must_be_there() {
        let home = Home::with(CREDENTIALS, CONFIG);
        for (profile, named) in [
            ("missing", "missing"),
            ("unprefixed", "unprefixed"),
            ("half", "aws_secret_access_key"),
            ("sso", "sso_session"),
            ("role", "role_arn"),
            ("both-and-role", "role_arn"),
            ("token", "web_identity_token_file"),
            ("login", "login_session"),
        ] {
            match home.key_id(profile) {
                Err(Unavailable::Broken(reason)) => assert!(reason.to_string().contains(named), "{reason}"),
                other => panic!("{profile}: {other:?}"),
            }
        }
        assert!(matches!(Home::with("", "").key_id(""), Err(Unavailable::Absent(_))));
    }

    #[test]
    fn the_endpoint_of_a_profile() {
        let home = Home::with(CREDENTIALS, CONFIG);
        let endpoint = |profile, more: &[(&str, &str)]| {
            let variables = [("HOME", home.0.to_str().unwrap()), ("AWS_PROFILE", profile)];
            let env = variables.iter().chain(more).copied().collect();
            crate::endpoint::configured(&env, &["AWS_ENDPOINT_URL"]).unwrap()
        };
        let variable = ("AWS_ENDPOINT_URL", "http://b");
        assert_eq!(endpoint("in quotes", &[]).as_deref(), Some("http://localhost:4566"));
        assert_eq!(endpoint("in quotes", &[variable]).as_deref(), Some("http://b"));
        assert_eq!(endpoint("in quotes", &[variable, ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "True")]), None);
        assert_eq!(endpoint("work", &[]), None);
    }

    #[test]
    fn paths_from_the_environment() {
        let home = Home::with(CREDENTIALS, CONFIG);
        let path = home.0.join(".aws/credentials");
        let env = [("AWS_SHARED_CREDENTIALS_FILE", path.to_str().unwrap())].into_iter().collect();
        assert_eq!(credentials(&env).unwrap().access_key_id, "DEFAULT");
        assert!(matches!(credentials(&Env::default()), Err(Unavailable::Absent(_))));
    }

    #[test]
    fn paths_from_home() {
        let home = Home::with("", "");
        fs::write(home.0.join("keys"), CREDENTIALS).unwrap();
        fs::write(home.0.join("regions"), CONFIG).unwrap();
        let variables = [
            ("HOME", home.0.to_str().unwrap()),
            ("AWS_SHARED_CREDENTIALS_FILE", "~/keys"),
            ("AWS_CONFIG_FILE", "~/regions"),
        ];
        let env = variables.into_iter().collect();
        assert_eq!(credentials(&env).unwrap().access_key_id, "DEFAULT");
        assert_eq!(setting(&env, "region").as_deref(), Some("eu-west-1"));
    }

    #[test]
    fn text_that_is_no_such_file_has_no_profiles() {
        for text in ["", "[", "[]", "]", "=", "a=b", "[x", "\u{0}", "[a]\n=\n==\n[b]\n x"] {
            assert!(parse(text).iter().all(|(_, profile)| keys(profile).is_none()), "{text:?}");
        }
    }
}
