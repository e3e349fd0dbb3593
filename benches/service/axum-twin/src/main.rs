//! The server's work as most people would write it in Rust: axum in front, the official AWS SDK behind.
//!
//! It takes the same settings and does the same for an upload: find the image, tell its format and size by its content, store
//! it where nothing is yet, queue the job, and answer 202 with four URLs. It does less than ours where that is usual: it reads
//! the image's header and does not make sure of its structure.

use std::env;
use std::error::Error;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_sdk_s3::primitives::ByteStream;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Multipart, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use imagesize::ImageType;
use serde_json::{Value, json};
use tokio::net::TcpListener;

const MAX_IMAGE_BYTES: usize = 1024 * 1024;

/// Room for the multipart's framing and other fields.
const MAX_BODY_BYTES: usize = MAX_IMAGE_BYTES + 64 * 1024;

const MAX_PIXELS: usize = 40_000_000;

struct Service {
    s3: aws_sdk_s3::Client,
    sqs: aws_sdk_sqs::Client,
    bucket: String,
    queue_url: String,
    public_url: String,
}

type Answer = (StatusCode, Json<Value>);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let config = aws_config::load_from_env().await;
    // Engines in AWS's place have one host for all buckets.
    let s3 = aws_sdk_s3::config::Builder::from(&config).force_path_style(true).build();
    let service = Service {
        s3: aws_sdk_s3::Client::from_conf(s3),
        sqs: aws_sdk_sqs::Client::new(&config),
        bucket: env::var("IMAGES_BUCKET")?,
        queue_url: env::var("JOBS_QUEUE_URL")?,
        public_url: env::var("PUBLIC_URL")?,
    };
    let app = Router::new()
        .route("/", post(upload))
        .route("/healthz", get(|| async {}))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(Arc::new(service));
    axum::serve(TcpListener::bind(env::var("LISTEN")?).await?, app).await?;
    Ok(())
}

async fn upload(State(service): State<Arc<Service>>, form: Multipart) -> Answer {
    accept(&service, form).await.unwrap_or_else(|(status, error)| (status, Json(json!({ "error": error }))))
}

async fn accept(service: &Service, form: Multipart) -> Result<Answer, (StatusCode, String)> {
    let image = image_of(form).await?;
    let (extension, content_type, thumbnails) = check(&image)?;
    let id = format!("{:032x}", rand::random::<u128>());
    let key = format!("{id}/original.{extension}");
    let bytes = image.len();
    store(service, &key, content_type, image).await?;
    queue(service, &id, &key, thumbnails).await?;
    log(&format!("upload id={id} status=202 bytes={bytes}\n"));
    let url = |name: &str, extension: &str| format!("{}/{id}/{name}.{extension}", service.public_url);
    let urls = json!({
        "original": url("original", extension),
        "small": url("small", thumbnails),
        "medium": url("medium", thumbnails),
        "large": url("large", thumbnails),
    });
    Ok((StatusCode::ACCEPTED, Json(urls)))
}

async fn image_of(mut form: Multipart) -> Result<Bytes, (StatusCode, String)> {
    let bad = |error: axum::extract::multipart::MultipartError| (error.status(), error.body_text());
    while let Some(field) = form.next_field().await.map_err(bad)? {
        if field.name() == Some("image") {
            let image = field.bytes().await.map_err(bad)?;
            return match image.len() {
                0..=MAX_IMAGE_BYTES => Ok(image),
                _ => Err((StatusCode::PAYLOAD_TOO_LARGE, "the image is over 1 MiB".to_owned())),
            };
        }
    }
    Err((StatusCode::BAD_REQUEST, "there is no field image".to_owned()))
}

/// The original's extension and content type, and the thumbnails' extension.
fn check(image: &[u8]) -> Result<(&'static str, &'static str, &'static str), (StatusCode, String)> {
    let bad = |error: String| (StatusCode::BAD_REQUEST, error);
    let kind = imagesize::image_type(image).map_err(|error| bad(error.to_string()))?;
    let size = imagesize::blob_size(image).map_err(|error| bad(error.to_string()))?;
    if size.width * size.height > MAX_PIXELS {
        return Err(bad("the image has too many pixels".to_owned()));
    }
    match kind {
        ImageType::Jpeg => Ok(("jpg", "image/jpeg", "jpg")),
        ImageType::Png => Ok(("png", "image/png", "png")),
        ImageType::Gif => Ok(("gif", "image/gif", "png")),
        ImageType::Webp => Ok(("webp", "image/webp", "png")),
        _ => Err(bad("send a JPEG, PNG, GIF or WebP".to_owned())),
    }
}

async fn store(
    service: &Service,
    key: &str,
    content_type: &str,
    image: Bytes,
) -> Result<(), (StatusCode, String)> {
    let put = service.s3.put_object().bucket(&service.bucket).key(key).if_none_match("*");
    let put = put.content_type(content_type).cache_control("public, max-age=31536000, immutable");
    put.body(ByteStream::from(image)).send().await.map_err(unavailable)?;
    Ok(())
}

async fn queue(service: &Service, id: &str, key: &str, thumbnails: &str) -> Result<(), (StatusCode, String)> {
    let uploaded_at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let job = json!({
        "version": 1,
        "id": id,
        "original": key,
        "thumbnails": thumbnails,
        "uploaded_at_ms": uploaded_at.as_millis() as u64,
    });
    let send = service.sqs.send_message().queue_url(&service.queue_url).message_body(job.to_string());
    send.send().await.map_err(unavailable)?;
    Ok(())
}

/// In one write: `eprintln` makes one of each piece.
fn log(line: &str) {
    let _ = io::stderr().write_all(line.as_bytes()); // nothing can be done about it
}

fn unavailable(error: impl Error) -> (StatusCode, String) {
    log(&format!("{error:?}\n"));
    (StatusCode::SERVICE_UNAVAILABLE, "try again".to_owned())
}
