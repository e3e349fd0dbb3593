//! What only an EC2 instance has: the settings in its user data, and the notice that it is about to be taken away.

pub mod interruption;
pub mod user_data;
