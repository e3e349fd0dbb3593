//! What needs more than one process: the store and the queue on a real engine.

mod contract;
mod engine;
