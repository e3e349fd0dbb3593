//! `server`: takes uploads, stores them, queues their jobs. With `--local DIR` it is the whole service on one machine.
//!
//! Wiring only. The flags and the environment say which store and which queue to open. The server then runs on these two until a
//! signal stops it.

use std::error::Error;
use std::ffi::OsString;
use std::fmt::Display;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{ExitCode, exit};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use gate::reachable;
use image_sharer::aws::{self, check};
use image_sharer::domain::job::Job;
use image_sharer::domain::queue::{Queue, QueueError};
use image_sharer::domain::store::Store;
use image_sharer::local::{LocalQueue, LocalStore};
use image_sharer::reconcile::{self, Scan};
use image_sharer::server::api::Api;
use image_sharer::server::page::{self, Page};
use image_sharer::server::{Server, socket_places};
use image_sharer::support::config::Config;
use image_sharer::support::env::Env;
use image_sharer::support::metrics::WorkerMetrics;
use image_sharer::support::shutdown::{EXIT_AT_ONCE, Shutdown};
use image_sharer::support::{log, metrics, program};
use image_sharer::worker::{Settings, Until, work};

const HELP: &str = "\
Takes images by HTTP, stores them, and queues a job for their thumbnails.

  server --local DIR   everything on this machine, in a directory: no account
  server               on S3 and SQS; needs the three settings marked *
  server --check       proves the credentials, the bucket and the queue
  server --help | --version

Examples:
  server --local data
  curl -F image=@cat.jpg -H 'Accept: application/json' http://127.0.0.1:8080/
  LISTEN=0.0.0.0:80 PUBLIC_URL=http://me.example server --local /srv/images

Settings are environment variables:
  LISTEN           address and port                            127.0.0.1:8080
* PUBLIC_URL       where the images are seen   with --local, the server itself
* IMAGES_BUCKET    the S3 bucket
* JOBS_QUEUE_URL   the SQS queue
  MAX_PIXELS       the most that an image may have                   40000000
  UPLOAD_TOKEN     the token that uploads need in Authorization          none
  TRUSTED_PROXIES  addresses whose X-Forwarded-For is believed           none
  PAGE             on or off: a page to share from, at /app                on
  WORKER_JOBS      with --local, jobs in hand at a time       8 for each core
  THUMBNAIL_FIT    with --local, cover or contain                       cover
  METRICS_LISTEN   address and port for Prometheus                       none
  LOG              error, warn, info or debug                            info
and AWS's own: AWS_REGION, AWS_PROFILE, AWS_ENDPOINT_URL and the others that the
aws command reads.";

enum Run {
    Local(PathBuf),
    Aws,
    Check,
}

fn main() -> ExitCode {
    program::run("server", HELP, parse, start)
}

fn parse(arguments: &[OsString]) -> Option<Run> {
    match arguments {
        [] => Some(Run::Aws),
        [flag] if flag == "--check" => Some(Run::Check),
        [flag, directory] if flag == "--local" => Some(Run::Local(directory.into())),
        _ => None,
    }
}

fn start(run: Run, env: Env, config: Config) -> Result<ExitCode, Box<dyn Error>> {
    match run {
        Run::Local(directory) => serve_local(&config, &env, &directory),
        Run::Aws => serve_on_aws(&config, &env),
        Run::Check => {
            config.required_public_url()?;
            let (bucket, queue_url) = config.bucket_and_queue()?;
            Ok(check::check(&env, bucket, queue_url)?)
        }
    }
}

fn serve_on_aws(config: &Config, env: &Env) -> Result<ExitCode, Box<dyn Error>> {
    let public_url = config.required_public_url()?.to_owned();
    let (bucket, queue_url) = config.bucket_and_queue()?;
    let (store, queue) = aws::store_and_queue(env, bucket, queue_url)?;
    let api = make_api(config, Arc::new(store), Arc::new(queue), public_url);
    let listener = listen(config)?;
    let of_server = api.metrics.clone();
    metrics::start(config.metrics_listen.as_deref(), move |page| of_server.show(page))?;
    serve(begin(config, env, listener, api, &Shutdown::on_signals(|| exit(EXIT_AT_ONCE))?)?)
}

/// The server and a worker in one process, on a directory and a queue in memory.
fn serve_local(config: &Config, env: &Env, directory: &Path) -> Result<ExitCode, Box<dyn Error>> {
    let shutdown = Shutdown::on_signals(|| exit(EXIT_AT_ONCE))?;
    let store = Arc::new(LocalStore::open(directory)?);
    let queue = Arc::new(LocalQueue::default());
    let listener = listen(config)?;
    let public_url = config.local_public_url(listener.local_addr()?)?;
    let api = Api { serves_objects: true, ..make_api(config, store.clone(), queue.clone(), public_url) };
    let worker_metrics = WorkerMetrics::default();
    let (of_server, of_worker) = (api.metrics.clone(), worker_metrics.clone());
    metrics::start(config.metrics_listen.as_deref(), move |page| {
        of_server.show(page);
        of_worker.show(page);
    })?;
    requeue_unfinished(&store, &queue, &shutdown)?;
    let server = begin(config, env, listener, api, &shutdown)?;
    greet(config, server.address(), directory);

    let settings = Settings::for_this_machine(config.worker_jobs, config.max_pixels, config.thumbnail_fit);
    let worker_queue = queue.clone();
    let worker = thread::Builder::new().name("worker".into()).spawn(move || {
        let worked = work(store, worker_queue, settings, shutdown.clone(), worker_metrics, Until::Stopped);
        shutdown.request(); // without a worker there is nothing to serve for
        worked
    })?;
    // After an error the process does not wait for the worker, which may hang on the same disk.
    let code = serve(server)?;
    queue.close();
    worker.join().map_err(|_| "the worker panicked")??;
    Ok(code)
}

/// What the handlers need. On AWS, CloudFront serves the objects.
fn make_api(config: &Config, store: Arc<dyn Store>, queue: Arc<dyn Queue>, public_url: String) -> Api {
    Api {
        store,
        queue,
        page: config.page.then(|| Page::showing(&public_url)),
        public_url,
        max_pixels: config.max_pixels,
        upload_token: config.upload_token.clone(),
        serves_objects: false,
        metrics: Arc::default(),
    }
}

fn listen(config: &Config) -> Result<TcpListener, Box<dyn Error>> {
    TcpListener::bind(&config.listen).map_err(|error| {
        let advice = match error.kind() {
            ErrorKind::AddrInUse => {
                ": another program listens there: stop it, or set LISTEN to another port, such as 127.0.0.1:8081"
            }
            ErrorKind::PermissionDenied => ": ports below 1024 are for root: set LISTEN to a higher one",
            ErrorKind::AddrNotAvailable => {
                ": it must be an address of this machine, such as 127.0.0.1, or 0.0.0.0 for all of them"
            }
            _ => "",
        };
        format!("LISTEN is {}: {error}{advice}", config.listen).into()
    })
}

fn begin(
    config: &Config,
    env: &Env,
    listener: TcpListener,
    api: Api,
    shutdown: &Shutdown,
) -> Result<Server, Box<dyn Error>> {
    let public_url = api.public_url.clone();
    let proxies = config.trusted_proxies.clone();
    let server = Server::start(listener, proxies, &socket_places(env), api, shutdown)?;
    let (address, page) = (server.address(), page_url(config, server.address()));
    let mut fields: Vec<(&str, &dyn Display)> = vec![("address", &address), ("public_url", &public_url)];
    fields.extend(page.iter().map(|page| ("page", page as &dyn Display)));
    log::info("serving", &fields);
    Ok(server)
}

/// The URL of the page to share from, if there is one.
fn page_url(config: &Config, address: SocketAddr) -> Option<String> {
    config.page.then(|| format!("http://{}{}", reachable(address), page::PATH))
}

/// Tells the person at the terminal what to do next, on standard output. The log is on standard error.
fn greet(config: &Config, address: SocketAddr, directory: &Path) {
    let token = config.upload_token.as_ref().map_or("", |_| " -H \"Authorization: Bearer $UPLOAD_TOKEN\"");
    let directory = directory.canonicalize().unwrap_or_else(|_| directory.to_owned());
    program::print(&format!(
        "Images are kept in {}. Ctrl-C stops the server. Share one:",
        directory.display()
    ));
    let url = format!("http://{}/", reachable(address));
    program::print(&format!("  curl -F image=@cat.jpg -H 'Accept: application/json'{token} {url}"));
    if let Some(page) = page_url(config, address) {
        program::print(&format!("Or in a browser: {page}"));
    }
}

/// Serves until it is to stop, then drains. Fails if the server cannot go on.
fn serve(server: Server) -> Result<ExitCode, Box<dyn Error>> {
    server.wait()?;
    log::info("stopped", &[("finished", &server.drain())]);
    Ok(ExitCode::SUCCESS)
}

/// Queues again what an earlier process answered 202 and did not finish, on a thread of its own, since there may be much. The
/// listing begins before anything is served, so no new upload is queued twice.
fn requeue_unfinished(
    store: &Arc<LocalStore>,
    queue: &Arc<LocalQueue>,
    shutdown: &Shutdown,
) -> Result<(), Box<dyn Error>> {
    let listing = store.list(None, reconcile::PAGE)?;
    let (store, queue, shutdown) = (store.clone(), queue.clone(), shutdown.clone());
    thread::Builder::new().name("requeue".into()).spawn(move || {
        let mut scan = Scan::new(&*store, &shutdown);
        let ended = scan.run(listing, |job| send_when_there_is_room(&queue, job, &shutdown), |_| {});
        if let Err(error) = ended {
            log::error("requeue_failed", &[("error", &error)]);
        }
        if scan.counts.unfinished > 0 {
            scan.counts.log("queued_again");
        }
    })?;
    Ok(())
}

/// False if the process is stopping.
fn send_when_there_is_room(queue: &LocalQueue, job: &Job, shutdown: &Shutdown) -> Result<bool, QueueError> {
    loop {
        match queue.send(job) {
            Err(QueueError::Full) if shutdown.wait_timeout(Duration::from_secs(1)) => return Ok(false),
            Err(QueueError::Full) => {}
            sent => return sent.map(|()| true),
        }
    }
}
