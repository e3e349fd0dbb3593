//! Every setting, read from the environment once and validated before anything starts.
//!
//! A wrong setting stops the program with the variable's name, its value and what it must be. None is corrected in silence.
//! AWS's own settings (region, credentials, endpoints) have the names that every AWS SDK reads, and are read in
//! [`crate::aws`].

use std::fmt;
use std::net::SocketAddr;

use crate::support::env::{self, Env};
use crate::support::log::Level;
use crate::support::secret::Secret;
use gate::Networks;
use pictures::Fit;

const DEFAULT_LISTEN: &str = "127.0.0.1:8080";

/// A 24 megapixel photograph passes with room to spare; decoded, 40 million pixels take 160 MB.
const DEFAULT_MAX_PIXELS: u64 = 40_000_000;

/// Over 4 billion pixels no decoder here would go on.
const LARGEST_MAX_PIXELS: u64 = u32::MAX as u64;

/// Far more than one machine's SQS connections are good for.
const LARGEST_WORKER_JOBS: u64 = 1024;

/// The settings of `server` and `worker`.
#[derive(Debug)]
pub struct Config {
    /// `LISTEN`: the server's IP address and port; port 0 lets the system choose.
    pub listen: String,
    /// `PUBLIC_URL`: what comes before an object's key in its URL, without a slash at the end.
    pub public_url: Option<String>,
    /// `IMAGES_BUCKET`: the S3 bucket.
    images_bucket: Option<String>,
    /// `JOBS_QUEUE_URL`: the SQS queue.
    jobs_queue_url: Option<String>,
    /// `MAX_PIXELS`: the most pixels that an image may have.
    pub max_pixels: u64,
    /// `UPLOAD_TOKEN`: the token that an upload must have; without one everybody may upload.
    pub upload_token: Option<Secret>,
    /// `TRUSTED_PROXIES`: whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Networks,
    /// `WORKER_JOBS`: jobs in hand at a time; by default 8 for each core.
    pub worker_jobs: Option<usize>,
    /// `PAGE`: whether there is a page to share from; `on` or `off`.
    pub page: bool,
    /// `THUMBNAIL_FIT`: `cover` or `contain`.
    pub thumbnail_fit: Fit,
    /// `METRICS_LISTEN`: where Prometheus finds the metrics, an IP address and a port; none by default.
    pub metrics_listen: Option<String>,
    /// `LOG`: `error`, `warn`, `info` or `debug`.
    pub log: Level,
}

/// A setting that is missing or wrong.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigError {
    variable: &'static str,
    /// The value, quoted, unless it is a secret or there was none.
    was: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}", self.variable, self.was)?;
        let setting = MUST_BE.iter().find(|(variable, _)| *variable == self.variable);
        setting.map_or(Ok(()), |(_, must_be)| write!(f, ": it must be {must_be}"))
    }
}

impl std::error::Error for ConfigError {}

/// Every variable, and what the user is told that it must be if it is missing or wrong.
const MUST_BE: [(&str, &str); 12] = [
    ("LISTEN", "an address and a port, such as 127.0.0.1:8080 or 0.0.0.0:80"),
    ("PUBLIC_URL", "where the images are seen, such as https://images.example.com"),
    ("IMAGES_BUCKET", "the name of the S3 bucket for the images (or start with --local DIR for one machine)"),
    ("JOBS_QUEUE_URL", "the SQS queue's URL, such as https://sqs.eu-west-1.amazonaws.com/123456789012/jobs"),
    ("MAX_PIXELS", "a whole number from 1 to 4294967295"),
    (
        "UPLOAD_TOKEN",
        "16 to 256 letters, digits and any of - . _ ~ + / =, such as openssl rand -hex 32 prints",
    ),
    ("TRUSTED_PROXIES", "addresses or networks with commas between, such as 10.0.0.0/8,192.0.2.7"),
    ("WORKER_JOBS", "a whole number from 1 to 1024"),
    ("PAGE", "on or off"),
    ("THUMBNAIL_FIT", "cover or contain"),
    ("METRICS_LISTEN", "an address and a port for Prometheus, such as 127.0.0.1:9100"),
    ("LOG", "error, warn, info or debug"),
];

impl ConfigError {
    fn missing(variable: &'static str) -> ConfigError {
        ConfigError { variable, was: "not set".to_owned() }
    }
}

impl Config {
    /// Reads and validates all settings. Those that only some kinds of run need may be missing here.
    pub fn read(env: &Env) -> Result<Config, ConfigError> {
        let whole = |variable, largest| read(env, variable, |text| parse_whole(text, largest));
        Ok(Config {
            listen: read(env, "LISTEN", parse_listen)?.unwrap_or(DEFAULT_LISTEN.into()),
            public_url: read(env, "PUBLIC_URL", parse_public_url)?,
            images_bucket: read(env, "IMAGES_BUCKET", parse_bucket)?,
            jobs_queue_url: read(env, "JOBS_QUEUE_URL", parse_queue_url)?,
            max_pixels: whole("MAX_PIXELS", LARGEST_MAX_PIXELS)?.unwrap_or(DEFAULT_MAX_PIXELS),
            upload_token: read(env, "UPLOAD_TOKEN", parse_upload_token)?,
            trusted_proxies: read(env, "TRUSTED_PROXIES", |text| text.parse().ok())?.unwrap_or_default(),
            worker_jobs: whole("WORKER_JOBS", LARGEST_WORKER_JOBS)?.map(|jobs| jobs as usize),
            page: read(env, "PAGE", |text| choose(text, [("on", true), ("off", false)]))?.unwrap_or(true),
            thumbnail_fit: read(env, "THUMBNAIL_FIT", |text| {
                choose(text, [("cover", Fit::Cover), ("contain", Fit::Contain)])
            })?
            .unwrap_or(Fit::Cover),
            metrics_listen: read(env, "METRICS_LISTEN", parse_listen)?,
            log: read(env, "LOG", |text| choose(text, Level::ALL.map(|level| (level.name(), level))))?
                .unwrap_or(Level::Info),
        })
    }

    /// The bucket and the queue, which every run on AWS needs.
    pub fn bucket_and_queue(&self) -> Result<(&str, &str), ConfigError> {
        let bucket = self.images_bucket.as_deref().ok_or(ConfigError::missing("IMAGES_BUCKET"))?;
        let queue = self.jobs_queue_url.as_deref().ok_or(ConfigError::missing("JOBS_QUEUE_URL"))?;
        Ok((bucket, queue))
    }

    /// `PUBLIC_URL`, which every server on AWS needs.
    pub fn required_public_url(&self) -> Result<&str, ConfigError> {
        self.public_url.as_deref().ok_or(ConfigError::missing("PUBLIC_URL"))
    }

    /// `PUBLIC_URL`, or this server itself if it is reached at the address that it listens on.
    pub fn local_public_url(&self, listening: SocketAddr) -> Result<String, ConfigError> {
        match &self.public_url {
            Some(url) => Ok(url.clone()),
            None if listening.ip().is_unspecified() => Err(ConfigError::missing("PUBLIC_URL")),
            None => Ok(format!("http://{listening}")),
        }
    }
}

/// The setting, if it is set. A wrong one is shown in the error, but for a secret.
fn read<T>(
    env: &Env,
    variable: &'static str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>, ConfigError> {
    let Some(text) = env.get(variable) else { return Ok(None) };
    let shown = || match variable {
        "UPLOAD_TOKEN" => "set to something else".to_owned(),
        _ => format!("{:?}", env::shown(text)),
    };
    parse(text).map(Some).ok_or_else(|| ConfigError { variable, was: shown() })
}

fn parse_whole(text: &str, largest: u64) -> Option<u64> {
    text.parse().ok().filter(|number| (1..=largest).contains(number))
}

/// What the word stands for.
fn choose<T, const N: usize>(text: &str, words: [(&str, T); N]) -> Option<T> {
    words.into_iter().find(|(word, _)| *word == text).map(|(_, meaning)| meaning)
}

/// The characters that RFC 6750 allows in a bearer's token. Shorter ones could be guessed, over the network and in time.
fn parse_upload_token(text: &str) -> Option<Secret> {
    let sound = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b);
    ((16..=256).contains(&text.len()) && text.bytes().all(sound)).then(|| Secret::new(text))
}

/// Of names only `localhost` is taken. To look another one up here is not worth it: who listens knows the address.
fn parse_listen(text: &str) -> Option<String> {
    let address = match text.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}"),
        None => text.to_owned(),
    };
    address.parse::<SocketAddr>().is_ok().then_some(address)
}

fn parse_public_url(text: &str) -> Option<String> {
    let url = text.trim_end_matches('/');
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
    let sound = !rest.is_empty()
        && rest.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'?' | b'#' | b'"' | b'\\'));
    sound.then(|| url.to_owned())
}

/// S3's rules for bucket names, less the rare ones that S3 itself will tell.
fn parse_bucket(text: &str) -> Option<String> {
    let characters = text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.'));
    (characters && (3..=63).contains(&text.len())).then(|| text.to_owned())
}

fn parse_queue_url(text: &str) -> Option<String> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"))?;
    let (host, path) = rest.split_once('/')?;
    let sound = !host.is_empty() && !path.is_empty() && rest.bytes().all(|b| b.is_ascii_graphic());
    sound.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
        Config::read(&variables.iter().copied().collect())
    }

    #[test]
    fn defaults() {
        let config = read(&[("MAX_PIXELS", "")]).unwrap();
        assert_eq!((config.listen.as_str(), config.max_pixels), ("127.0.0.1:8080", 40_000_000));
        assert!(config.page);
        assert_eq!(config.local_public_url("127.0.0.1:80".parse().unwrap()).unwrap(), "http://127.0.0.1:80");
        let errors = [config.bucket_and_queue().unwrap_err(), config.required_public_url().unwrap_err()];
        assert!(errors[0].to_string().starts_with("IMAGES_BUCKET is not set"), "{}", errors[0]);
        assert!(errors[1].to_string().starts_with("PUBLIC_URL is not set"), "{}", errors[1]);
        assert!(config.local_public_url("0.0.0.0:80".parse().unwrap()).is_err());
    }

    #[test]
    fn all_set() {
        let queue = "https://sqs.eu-west-1.amazonaws.com/1/jobs";
        let config = read(&[
            ("LISTEN", "[::1]:0"),
            ("PUBLIC_URL", "https://i.example.com/x/"),
            ("IMAGES_BUCKET", "my-images"),
            ("JOBS_QUEUE_URL", queue),
            ("MAX_PIXELS", "5"),
            ("UPLOAD_TOKEN", "0123456789abcdef"),
            ("TRUSTED_PROXIES", "10.0.0.0/8"),
            ("WORKER_JOBS", "6"),
            ("PAGE", "off"),
            ("THUMBNAIL_FIT", "contain"),
            ("METRICS_LISTEN", "127.0.0.1:9100"),
            ("LOG", "debug"),
        ]);
        let config = config.unwrap();
        assert_eq!(config.required_public_url(), Ok("https://i.example.com/x"));
        assert_eq!(config.bucket_and_queue(), Ok(("my-images", queue)));
        assert_eq!((config.max_pixels, config.worker_jobs, config.log), (5, Some(6), Level::Debug));
        assert_eq!((config.page, config.thumbnail_fit), (false, Fit::Contain));
        assert_eq!(config.metrics_listen.as_deref(), Some("127.0.0.1:9100"));
        assert!(config.trusted_proxies.contain([10, 0, 0, 1].into()));
        assert_eq!(config.upload_token, Some(Secret::new("0123456789abcdef")));
        assert!(!format!("{config:?}").contains("0123456789abcdef"));
    }

    #[test]
    fn localhost_is_an_address() {
        let config = read(&[("LISTEN", "localhost:8080"), ("METRICS_LISTEN", "localhost:0")]).unwrap();
        assert_eq!(config.listen, "127.0.0.1:8080");
        assert_eq!(config.metrics_listen.as_deref(), Some("127.0.0.1:0"));
    }

    #[test]
    fn a_wrong_setting_is_named() {
        for (variable, value) in [
            ("LISTEN", "8080"),
            ("LISTEN", "localhost:http"),
            ("LISTEN", "images.example.com:80"),
            ("LISTEN", ":8080"),
            ("METRICS_LISTEN", "metrics:9100"),
            ("PUBLIC_URL", "images.example.com"),
            ("PUBLIC_URL", "https://a b"),
            ("IMAGES_BUCKET", "My_Images"),
            ("JOBS_QUEUE_URL", "jobs"),
            ("MAX_PIXELS", "0"),
            ("MAX_PIXELS", "40e6"),
            ("WORKER_JOBS", "-1"),
            ("WORKER_JOBS", "1025"),
            ("PAGE", "no"),
            ("THUMBNAIL_FIT", "Cover"),
            ("TRUSTED_PROXIES", "localhost"),
            ("METRICS_LISTEN", "9100"),
            ("LOG", "trace"),
        ] {
            let error = read(&[(variable, value)]).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{variable} is {value:?}: it must be ")), "{error}");
        }
    }

    #[test]
    fn a_wrong_secret_is_not_shown() {
        for token in ["hush", "hush hush hush hush", "hushhushhushhüsh", &"hush".repeat(65)] {
            let error = read(&[("UPLOAD_TOKEN", token)]).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hush"), "{error}");
            assert!(error.to_string().starts_with("UPLOAD_TOKEN is set to something else: it must be 16 to"));
        }
    }
}
