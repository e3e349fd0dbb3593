//! A strict HTTP/1.1 front door for a server that trusts its clients.
