//! Every setting, read from the environment once and validated before anything starts.
//!
//! A wrong one stops the program with the variable's name, what it was and what it should be; none is corrected in
//! silence. What AWS needs beside these (region,
//! credentials, endpoints) has the names that every AWS SDK reads, and is read in [`crate::aws`].

use std::fmt;

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
    /// `LISTEN`: the server's address and port; port 0 lets the system choose.
    pub listen: String,
    /// `PUBLIC_URL`: what comes before an object's key in its URL, without a slash at the end.
    pub public_url: Option<String>,
    /// `IMAGES_BUCKET`: the S3 bucket.
    pub images_bucket: Option<String>,
    /// `JOBS_QUEUE_URL`: the SQS queue.
    pub jobs_queue_url: Option<String>,
    /// `MAX_PIXELS`: the most that an image may have.
    pub max_pixels: u64,
    /// `UPLOAD_TOKEN`: what an upload has to bear; none lets everyone upload.
    pub upload_token: Option<Secret>,
    /// `TRUSTED_PROXIES`: whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Networks,
    /// `WORKER_JOBS`: jobs in hand at a time; by default 8 for each core.
    pub worker_jobs: Option<usize>,
    /// `PAGE`: whether there is a page to share from; `on` or `off`.
    pub page: bool,
    /// `THUMBNAIL_FIT`: `cover` or `contain`.
    pub thumbnail_fit: Fit,
    /// `METRICS_LISTEN`: where numbers are shown for Prometheus, an address and a port; none by default.
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
    should_be: &'static str,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}: it must be {}", self.variable, self.was, self.should_be)
    }
}

impl std::error::Error for ConfigError {}

const LISTEN: &str = "an address and a port, such as 127.0.0.1:8080 or 0.0.0.0:80";
const METRICS_LISTEN: &str = "an address and a port for Prometheus, such as 127.0.0.1:9100";
const PUBLIC_URL: &str = "where the images are seen, such as https://images.example.com";
const IMAGES_BUCKET: &str =
    "the name of the S3 bucket for the images (or start with --local DIR for one machine)";
const JOBS_QUEUE_URL: &str =
    "the SQS queue's URL, such as https://sqs.eu-west-1.amazonaws.com/123456789012/jobs";
const TRUSTED_PROXIES: &str = "addresses or networks with commas between, such as 10.0.0.0/8,192.0.2.7";
const UPLOAD_TOKEN: &str =
    "16 to 256 letters, digits and any of - . _ ~ + / =, such as openssl rand -hex 32 prints";

impl Config {
    /// Reads and validates all settings. Those that only some kinds of run need may be missing here.
    pub fn read(env: &Env) -> Result<Config, ConfigError> {
        let fits = |text: &str| match text {
            "cover" => Some(Fit::Cover),
            "contain" => Some(Fit::Contain),
            _ => None,
        };
        let on_or_off = |text: &str| match text {
            "on" => Some(true),
            "off" => Some(false),
            _ => None,
        };
        let whole = |largest: u64| {
            move |text: &str| text.parse().ok().filter(|number| (1..=largest).contains(number))
        };
        let jobs = setting(env, "WORKER_JOBS", "a whole number from 1 to 1024", whole(LARGEST_WORKER_JOBS))?;
        let max_pixels =
            setting(env, "MAX_PIXELS", "a whole number from 1 to 4294967295", whole(LARGEST_MAX_PIXELS))?;
        Ok(Config {
            listen: setting(env, "LISTEN", LISTEN, listen)?.unwrap_or(DEFAULT_LISTEN.into()),
            public_url: setting(env, "PUBLIC_URL", PUBLIC_URL, public_url)?,
            images_bucket: setting(env, "IMAGES_BUCKET", IMAGES_BUCKET, bucket)?,
            jobs_queue_url: setting(env, "JOBS_QUEUE_URL", JOBS_QUEUE_URL, queue_url)?,
            max_pixels: max_pixels.unwrap_or(DEFAULT_MAX_PIXELS),
            upload_token: secret(env, "UPLOAD_TOKEN", UPLOAD_TOKEN, upload_token)?,
            trusted_proxies: setting(env, "TRUSTED_PROXIES", TRUSTED_PROXIES, |text| text.parse().ok())?
                .unwrap_or_default(),
            worker_jobs: jobs.map(|jobs| jobs as usize),
            page: setting(env, "PAGE", "on or off", on_or_off)?.unwrap_or(true),
            thumbnail_fit: setting(env, "THUMBNAIL_FIT", "cover or contain", fits)?.unwrap_or(Fit::Cover),
            metrics_listen: setting(env, "METRICS_LISTEN", METRICS_LISTEN, listen)?,
            log: setting(env, "LOG", "error, warn, info or debug", |text| text.parse().ok())?
                .unwrap_or(Level::Info),
        })
    }

    /// The bucket and the queue, which every run on AWS needs.
    pub fn bucket_and_queue(&self) -> Result<(&str, &str), ConfigError> {
        let bucket = self.images_bucket.as_deref().ok_or(missing("IMAGES_BUCKET", IMAGES_BUCKET))?;
        let queue = self.jobs_queue_url.as_deref().ok_or(missing("JOBS_QUEUE_URL", JOBS_QUEUE_URL))?;
        Ok((bucket, queue))
    }

    /// `PUBLIC_URL`, which every server on AWS needs.
    pub fn required_public_url(&self) -> Result<&str, ConfigError> {
        self.public_url.as_deref().ok_or(missing("PUBLIC_URL", PUBLIC_URL))
    }

    /// `PUBLIC_URL`, or this server itself if it is reached at the address that it listens on.
    pub fn local_public_url(&self, listening: std::net::SocketAddr) -> Result<String, ConfigError> {
        match &self.public_url {
            Some(url) => Ok(url.clone()),
            None if listening.ip().is_unspecified() => Err(missing("PUBLIC_URL", PUBLIC_URL)),
            None => Ok(format!("http://{listening}")),
        }
    }
}

fn missing(variable: &'static str, should_be: &'static str) -> ConfigError {
    ConfigError { variable, was: "not set".to_owned(), should_be }
}

fn setting<T>(
    env: &Env,
    variable: &'static str,
    should_be: &'static str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, ConfigError> {
    match env.get(variable) {
        None => Ok(None),
        Some(text) => match parse(text) {
            Some(value) => Ok(Some(value)),
            None => Err(ConfigError { variable, was: format!("{:?}", env::shown(text)), should_be }),
        },
    }
}

/// A setting that is not shown, not even when it is wrong.
fn secret(
    env: &Env,
    variable: &'static str,
    should_be: &'static str,
    parse: impl Fn(&str) -> Option<Secret>,
) -> Result<Option<Secret>, ConfigError> {
    setting(env, variable, should_be, parse)
        .map_err(|error| ConfigError { was: "set to something else".to_owned(), ..error })
}

/// The characters that RFC 6750 allows in a bearer's token. Shorter ones could be guessed, over the network and in time.
fn upload_token(text: &str) -> Option<Secret> {
    let sound = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b);
    ((16..=256).contains(&text.len()) && text.bytes().all(sound)).then(|| Secret::new(text))
}

fn listen(text: &str) -> Option<String> {
    let (host, port) = text.rsplit_once(':')?;
    port.parse::<u16>().ok().filter(|_| !host.is_empty()).map(|_| text.to_owned())
}

fn public_url(text: &str) -> Option<String> {
    let url = text.trim_end_matches('/');
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
    let sound = !rest.is_empty()
        && rest.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'?' | b'#' | b'"' | b'\\'));
    sound.then(|| url.to_owned())
}

/// S3's rules for bucket names, less the rare ones that S3 itself will tell.
fn bucket(text: &str) -> Option<String> {
    let characters = text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.'));
    (characters && (3..=63).contains(&text.len())).then(|| text.to_owned())
}

fn queue_url(text: &str) -> Option<String> {
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
    fn a_wrong_setting_is_named() {
        for (variable, value) in [
            ("LISTEN", "8080"),
            ("LISTEN", "localhost:http"),
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
