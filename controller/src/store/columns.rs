//! How values are kept in columns.

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::StoreError;
use crate::model::{Name, Size};

/// A time from its column.
pub(super) fn time(millis: i64, what: &str) -> Result<Timestamp, StoreError> {
    Timestamp::from_millisecond(millis).map_err(|error| StoreError::damaged(what, error))
}

/// A time that may be missing from its column.
pub(super) fn optional_time(millis: Option<i64>, what: &str) -> Result<Option<Timestamp>, StoreError> {
    millis.map(|millis| time(millis, what)).transpose()
}

/// A name from its column.
pub(super) fn name(text: String, what: &str) -> Result<Name, StoreError> {
    text.parse().map_err(|error| StoreError::damaged(what, error))
}

/// A number for its column, which holds at most 2^63 - 1.
pub(super) fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A size that may be missing, for its column.
pub(super) fn optional_count(size: Option<Size>) -> Option<i64> {
    size.map(|size| count(size.0))
}

/// A size from its column.
pub(super) fn size(bytes: i64, what: &str) -> Result<Size, StoreError> {
    u64::try_from(bytes)
        .map(Size)
        .map_err(|error| StoreError::damaged(what, error))
}

/// A value as JSON, for its column.
pub(super) fn to_json<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(StoreError::Unstorable)
}

/// A value from its column.
pub(super) fn from_json<T: DeserializeOwned>(text: &str, what: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::damaged(what, error))
}

/// A word, as serde writes it, without JSON's quotes: for columns that people may read.
pub(super) fn to_word<T: Serialize>(value: &T) -> Result<String, StoreError> {
    Ok(to_json(value)?.trim_matches('"').to_owned())
}

/// The value of a word.
pub(super) fn from_word<T: DeserializeOwned>(word: &str, what: &str) -> Result<T, StoreError> {
    serde_json::from_value(serde_json::Value::from(word)).map_err(|error| StoreError::damaged(what, error))
}
