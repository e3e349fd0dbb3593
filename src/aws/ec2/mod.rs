//! What only a machine at EC2 has: the settings that its user data holds, and the notice that it is about to be taken away.

pub mod interruption;
pub mod user_data;
