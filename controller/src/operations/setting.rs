//! `NAME=VALUE`, as people give parameters.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::catalogue::Parameter;
use crate::model::Secret;

/// A value for a parameter or setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// Which.
    pub name: String,
    /// The value.
    pub value: String,
}

impl Setting {
    /// Settings as they may be written down. Values of a secret parameter, or of none at all, are left out: they are refused,
    /// and what was refused may be a password.
    pub(super) fn kept<'a>(set: &[Self], parameter: impl Fn(&str) -> Option<&'a Parameter>) -> Vec<Self> {
        let mut kept = set.to_vec();
        for setting in &mut kept {
            if parameter(&setting.name).is_none_or(Parameter::is_secret) {
                setting.value = Secret::MASK.to_owned();
            }
        }
        kept
    }
}

impl FromStr for Setting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok(Self {
                name: name.to_owned(),
                value: value.to_owned(),
            }),
            _ => Err("expected NAME=VALUE, for example domain=cloud.example.org".to_owned()),
        }
    }
}
