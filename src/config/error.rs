//! Where values come from, and what is wrong with them. Values are masked when an error is made, so that no
//! way of showing it can leak a secret.

use std::{fmt, path::PathBuf};

use serde::Serialize;

use crate::error::EngineError;

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "from", content = "name", rename_all = "lowercase")]
pub enum Source {
    /// Nobody set it.
    Default,
    /// A configuration file.
    File(PathBuf),
    /// The options of the embedding program.
    Options,
    /// An environment variable, by name.
    Env(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Options => f.write_str("options"),
            Self::Env(name) => write!(f, "environment {name}"),
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConfigError {
    /// Key path, such as `rooms.max_rooms`; `configuration file` if the file as a whole is wrong.
    pub path: &'static str,
    /// The value as written; secrets masked.
    pub value: Option<String>,
    /// What is wrong with it: the end of a sentence that starts with the value.
    pub problem: String,
    /// What is allowed; empty if the problem already says it.
    pub allowed: String,
    /// Where the value comes from.
    pub source: Source,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.path)?;
        if let Some(value) = &self.value {
            write!(f, " {value}")?;
        }
        write!(f, " {}", self.problem)?;
        if !self.allowed.is_empty() {
            write!(f, "; allowed: {}", self.allowed)?;
        }
        if self.source != Source::Default {
            write!(f, " ({})", self.source)?;
        }
        Ok(())
    }
}

/// Everything that is wrong, one line each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

impl From<ConfigError> for ConfigErrors {
    fn from(error: ConfigError) -> Self {
        Self(vec![error])
    }
}

impl From<ConfigErrors> for EngineError {
    fn from(errors: ConfigErrors) -> Self {
        Self::Config(errors.to_string())
    }
}
