//! Tells the operator of retired models that are still asked for, each once a day.
//!
//! Owns     which model was told of on which day.
//! Called   by the handlers, for every request whose model is retired.
//! Bounded  by the models of the configuration.
//! Fails    never.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::Offset;

use crate::resolve::RetiredModel;

/// What was told.
#[derive(Debug, Default)]
pub struct Retirements {
    told: Mutex<HashMap<String, Date>>,
}

impl Retirements {
    /// Logs it, unless it has been on this day.
    pub fn note(&self, retired: &RetiredModel) {
        let today = Offset::UTC.to_datetime(Timestamp::now()).date();
        // One statement below, so a panic elsewhere leaves nothing half done.
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.insert(retired.model.clone(), today) != Some(today) {
            drop(told);
            tracing::warn!(model = retired.model, "{retired}");
        }
    }
}
