//! Requests, from every client to every upstream.
