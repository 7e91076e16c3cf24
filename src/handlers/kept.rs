//! Answers that an upstream keeps: `GET`, `DELETE` and `cancel` of a response, and its input items.
//!
//! Called   by the front door; the ledger knows whose a response is and which key has it.
//! Fails    with a 404 for an id that is unknown, too old, or another client's: they look the same.
