//! What goes wrong without ending a call. The client logs nothing: it tells its caller, who may.

use std::fmt::Display;

use crate::error::AwsError;
use crate::retry::Decision;

/// Something that went wrong, and that the client goes on from.
pub enum Event<'a> {
    /// An attempt failed, and the call is made again.
    Retried { error: &'a AwsError, decision: Decision },
    /// The name servers did not answer, and the last known addresses of the host are used. Told once, until they answer again.
    OldAddressesUsed { host: &'a str, error: &'a dyn Display },
}

/// Is told of each event, by the thread that makes the call.
pub type Observer = fn(&Event);
