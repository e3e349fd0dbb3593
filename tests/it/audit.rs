//! The question that every test of failure ends with: of all that was ever answered 202, are the four objects there, whole and
//! right?

use std::sync::{Arc, Mutex};

use crate::curl::{Reply, Urls, upload};
use crate::local::all_answer;

/// What was answered 202. One value is shared by all threads of a test.
#[derive(Default)]
pub struct Audit {
    accepted: Mutex<Vec<(Urls, Arc<[u8]>)>>,
}

impl Audit {
    /// Uploads a JPEG, and notes it if the answer is 202.
    pub fn upload(&self, url: &str, picture: &Arc<[u8]>) -> Reply {
        let reply = upload(url, picture);
        if reply.status == 202 {
            self.note(reply.urls(), picture);
        }
        reply
    }

    /// Notes an upload of a JPEG that was answered 202 with these URLs.
    pub fn note(&self, urls: Urls, picture: &Arc<[u8]>) {
        self.accepted.lock().unwrap().push((urls, picture.clone()));
    }

    /// Waits for the thumbnails of all, makes sure of all four objects of each, and says how many uploads there were.
    pub fn nothing_is_lost(&self) -> usize {
        self.check(str::to_owned)
    }

    /// The same where all is now served at another address, which is another one after each start of a local server.
    pub fn nothing_is_lost_at(&self, address: &str) -> usize {
        self.check(|url| {
            let path = url.splitn(4, '/').nth(3).expect("a path after the host");
            format!("{address}/{path}")
        })
    }

    fn check(&self, now_at: impl Fn(&str) -> String) -> usize {
        let accepted = self.accepted.lock().unwrap();
        for (urls, picture) in accepted.iter() {
            all_answer(&urls.map(&now_at), picture, "jpg");
        }
        accepted.len()
    }
}
