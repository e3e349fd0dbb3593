//! What only the tests of one machine do with a local server: start it on an empty directory, and again on the same one.

use crate::program::LocalServer;

impl LocalServer {
    /// Starts one on an empty directory.
    pub(crate) fn start() -> LocalServer {
        LocalServer::start_with(&[])
    }

    /// Starts another on the same directory; this one must have ended.
    pub(crate) fn restart(&self) -> LocalServer {
        self.restart_with(&[])
    }

    /// Starts another on the same directory with some settings; this one must have ended.
    pub(crate) fn restart_with(&self, settings: &[(&str, &str)]) -> LocalServer {
        LocalServer::start_on(self.directory.clone(), settings)
    }
}
