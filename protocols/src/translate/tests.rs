//! Every pair of protocols, both ways: what one says, the other says too.

mod answers;
mod legal;
mod requests;
mod upstream;
