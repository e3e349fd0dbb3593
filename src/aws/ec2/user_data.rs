//! The settings of a machine that was just started, from its EC2 user data.
//!
//! All machines of the service start from one image. The launch template's user data says which program a machine runs, and with
//! which settings, in lines of `NAME=value`:
//!
//! ```text
//! ROLE=worker
//! IMAGES_BUCKET=…
//! JOBS_QUEUE_URL=…
//! ```
//!
//! At every boot `worker --user-data DIRECTORY` writes them to `DIRECTORY/worker.env` or `DIRECTORY/server.env`, by the role; a
//! unit of init/ starts only if its file is there. The directory is in /run, so that nothing is left of an earlier boot: a
//! machine that lost its power while it wrote is not stuck with half a file.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use aws_client::credentials::Unavailable;
use aws_client::credentials::imds::Session;
use aws_client::env::Env;

use crate::domain::failure::{Cause, Failure};
use crate::support::log;

/// How long the metadata service may take to answer. It answers as soon as there is a network, which takes some seconds. If there
/// is none after minutes, somebody has to look at the machine.
const PATIENCE: Duration = Duration::from_secs(300);

/// Between two attempts, each of which is short.
const PAUSE: Duration = Duration::from_secs(1);

const ROLES: [&str; 2] = ["server", "worker"];

/// Fetches the user data and writes the settings. Returns the path of the file.
pub fn write_settings(env: &Env, directory: &Path) -> Result<PathBuf, Failure> {
    let settings = parse(&fetch(env, PATIENCE)?)?;
    let path = directory.join(format!("{}.env", settings.role));
    write(&path, &settings.text).map_err(|error| Failure::of_io(path.display(), error))?;
    Ok(path)
}

fn fetch(env: &Env, patience: Duration) -> Result<String, Failure> {
    let deadline = Instant::now() + patience;
    loop {
        let session = Session::start(env).map_err(Unavailable::into_reason);
        match session.and_then(|session| session.get("/latest/user-data")) {
            Ok(Some(text)) => return Ok(text),
            Ok(None) => {
                return Err(wrong(
                    "this instance has no user data: it is to hold ROLE=worker or ROLE=server, and the settings, \
                     a line each",
                ));
            }
            Err(reason) if Instant::now() >= deadline => return Err(reason.into()),
            Err(reason) => log::warn("no_user_data_yet", &[("reason", &reason)]),
        }
        thread::sleep(PAUSE);
    }
}

#[derive(Debug, PartialEq, Eq)]
struct EnvironmentFile {
    role: &'static str,
    /// The file's lines, `NAME="value"`.
    text: String,
}

/// Settings may be secret, so an error names the line and shows nothing of it.
fn parse(user_data: &str) -> Result<EnvironmentFile, Failure> {
    let mut role = None;
    let mut text = String::new();
    for (line, number) in user_data.lines().zip(1..) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') && !line.starts_with("#!") {
            continue;
        }
        let setting =
            line.split_once('=').filter(|(name, value)| is_name(name) && !value.contains(char::is_control));
        let (name, value) = setting.ok_or_else(|| {
            wrong(format!(
                "line {number} of the user data is not NAME=value, with a NAME of capitals, digits and _"
            ))
        })?;
        if name == "ROLE" {
            role = Some(
                *ROLES
                    .iter()
                    .find(|role| **role == value)
                    .ok_or_else(|| wrong("ROLE is to be server or worker"))?,
            );
        } else {
            text.push_str(&format!("{name}=\"{}\"\n", escaped(value)));
        }
    }
    let role = role.ok_or_else(|| wrong("the user data has no ROLE=worker or ROLE=server"))?;
    Ok(EnvironmentFile { role, text })
}

fn wrong(text: impl Into<String>) -> Failure {
    Failure::new(Cause::Refused, text)
}

fn is_name(name: &str) -> bool {
    let rest_of_name = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
    name.starts_with(|first: char| first.is_ascii_uppercase()) && name.bytes().all(rest_of_name)
}

/// Escapes a value for double quotes, which systemd (systemd.exec(5), "EnvironmentFile=") and a shell read alike.
fn escaped(value: &str) -> String {
    let mut escaped = String::new();
    for character in value.chars() {
        if matches!(character, '"' | '\\' | '$' | '`') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

/// Writes the file whole or not at all, readable for root only.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let unfinished = path.with_extension("new");
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
    file.write_all(text.as_bytes())?;
    fs::rename(unfinished, path)
}

#[cfg(test)]
mod tests {
    use samples::loopback::{Loopback, ok};

    use super::*;

    #[test]
    fn lines_become_an_environment_file() {
        let user_data = "# a worker\r\n\nROLE=worker\nIMAGES_BUCKET=pictures\n  JOBS_QUEUE_URL=https://sqs/1/jobs?a=b  \n";
        let settings = parse(user_data).unwrap();
        assert_eq!(settings.role, "worker");
        assert_eq!(settings.text, "IMAGES_BUCKET=\"pictures\"\nJOBS_QUEUE_URL=\"https://sqs/1/jobs?a=b\"\n");
    }

    #[test]
    fn a_shell_reads_back_what_was_meant() {
        let odd = "a \"b\" 'c' $HOME `id` \\ # ; & é";
        let settings = parse(&format!("ROLE=server\nLISTEN={odd}")).unwrap();
        let script = format!("{}printf %s \"$LISTEN\"", settings.text);
        let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), odd);
    }

    #[test]
    fn what_is_not_settings_is_refused_and_not_repeated() {
        for (user_data, why) in [
            ("", "no ROLE"),
            ("LISTEN=0.0.0.0:80", "no ROLE"),
            ("ROLE=both", "server or worker"),
            ("#!/bin/sh\nROLE=worker", "line 1"),
            ("ROLE=worker\nnot_a_name=hush", "line 2"),
            ("ROLE=worker\nhush", "line 2"),
            ("ROLE=worker\nA=b\u{7}hush", "line 2"),
            ("ROLE=worker\n=hush", "line 2"),
        ] {
            let reason = parse(user_data).unwrap_err().to_string();
            assert!(reason.contains(why) && !reason.contains("hush"), "{user_data:?}: {reason}");
        }
    }

    fn env(server: &Loopback) -> Env {
        [("AWS_EC2_METADATA_SERVICE_ENDPOINT", server.url())].into_iter().collect()
    }

    #[test]
    fn a_service_that_is_not_there_yet_is_waited_for() {
        let busy = "HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n".to_string();
        let answers = vec![busy.clone(), busy, ok("TOKEN"), ok("ROLE=server\nLISTEN=0.0.0.0:80")];
        let server = Loopback::answering(answers);
        let directory = std::env::temp_dir().join(format!("user-data-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let path = write_settings(&env(&server), &directory).unwrap();
        assert_eq!(path.file_name().unwrap(), "server.env");
        assert_eq!(fs::read_to_string(&path).unwrap(), "LISTEN=\"0.0.0.0:80\"\n");
        fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn no_user_data_is_final_and_no_service_is_so_in_the_end() {
        let nothing = "HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n".to_string();
        let server = Loopback::answering(vec![ok("TOKEN"), nothing]);
        assert!(fetch(&env(&server), PATIENCE).unwrap_err().to_string().contains("no user data"));
        let nobody = [("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1")].into_iter().collect();
        assert!(fetch(&nobody, Duration::ZERO).unwrap_err().to_string().contains("127.0.0.1:1"));
    }
}
