//! nginx, for what stands in front of the service: a cache in CloudFront's place, or a proxy.

use std::fs;
use std::process::Command;

use crate::kept::Kept;
use crate::program::{free_port, tempdir, wait_until};

/// What all configurations have in common.
const CONFIGURATION: &str = "
daemon off;
master_process off;
pid DIRECTORY/pid;
error_log stderr warn;
events {}
http {
    access_log off;
    client_body_temp_path DIRECTORY/body;
    fastcgi_temp_path DIRECTORY/fastcgi;
    proxy_temp_path DIRECTORY/proxy;
    scgi_temp_path DIRECTORY/scgi;
    uwsgi_temp_path DIRECTORY/uwsgi;
    HTTP
}
";

pub(crate) struct Nginx {
    /// Where it listens.
    pub port: u16,
    _kept: Kept,
}

impl Nginx {
    /// Starts one. `http` is the content of its block of that name. There DIRECTORY is its own directory, and PORT its port.
    pub(crate) fn start(http: &str) -> Nginx {
        // Other test processes may be after the same port at the same time.
        (0..10).find_map(|_| Nginx::start_on(free_port(), http)).expect("nginx starts")
    }

    /// None if nginx ended, as it does when the port is taken.
    fn start_on(port: u16, http: &str) -> Option<Nginx> {
        let directory = tempdir::TempDir::new();
        let path = directory.path().to_str().expect("a path in UTF-8");
        let configuration =
            CONFIGURATION.replace("HTTP", http).replace("DIRECTORY", path).replace("PORT", &port.to_string());
        fs::write(directory.path().join("nginx.conf"), configuration).unwrap();
        let nginx = || {
            let mut nginx = Command::new("nginx");
            // Debian has it where the path of an ordinary user does not lead.
            nginx.env("PATH", format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default()));
            nginx.args(["-e", "stderr", "-p", path, "-c", "nginx.conf"]);
            nginx
        };
        let tested = nginx()
            .arg("-t")
            .output()
            .unwrap_or_else(|error| panic!("nginx is needed: apt-get install nginx-light ({error})"));
        assert!(tested.status.success(), "{}", String::from_utf8_lossy(&tested.stderr));
        let nginx = nginx();
        let mut kept = Kept::start(&nginx, directory.path());
        std::mem::forget(directory); // it is taken away by what keeps nginx
        let listens = || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
        let ended = wait_until("nginx listens", || {
            let ended = kept.has_ended();
            (ended || listens()).then_some(ended)
        });
        (!ended).then_some(Nginx { port, _kept: kept })
    }
}
