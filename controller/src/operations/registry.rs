//! What can be asked for by name: operations that a server does, for people, schedules and playbooks.

use serde::Serialize;
use serde_json::Value;

use super::{
    ApplyHost, BackUpController, CheckBackups, ClaimedJob, Controller, CopyBackups, LockHost, Observer,
    Operation, OperationError, Prepared, PruneBackups, RemoveService, RestoreService, Risk, RunBackup,
    RunDrill, Scope, UndoRestore, UnlockHost, hand_over, prepare,
};
use crate::model::{Actor, Job, JobId, Outcome, Role};

/// Lists the operations; each line is all that it takes for one to be asked for by name.
macro_rules! requests {
    ($($Operation:ident),+ $(,)?) => {
        /// An operation whose kind is known only when the program runs.
        #[derive(Debug, Clone, Serialize)]
        #[serde(untagged)]
        pub enum Request {
            $(#[doc = concat!("See [`", stringify!($Operation), "`].")] $Operation($Operation)),+
        }

        impl Request {
            /// The names of all of them.
            pub const NAMES: &'static [&'static str] = &[$($Operation::NAME),+];

            /// An operation by its name, with its parameters as JSON.
            ///
            /// # Errors
            /// When there is none of this name, or the parameters are not its.
            pub fn parse(name: &str, parameters: &Value) -> Result<Self, OperationError> {
                match name {
                    $($Operation::NAME => serde_json::from_value(parameters.clone())
                        .map(Self::$Operation)
                        .map_err(|error| OperationError::Refused(format!("{name} cannot be asked for like this: {error}"))),)+
                    _ => Err(OperationError::Refused(format!(
                        "{name:?} cannot be asked for by name; possible are: {}", Self::NAMES.join(", ")
                    ))),
                }
            }

            /// Whether doing it again after it was cut off does no harm.
            pub fn is_repeatable(&self) -> bool {
                match self {
                    $(Self::$Operation(_) => $Operation::REPEATABLE),+
                }
            }

            /// How much an operation can spoil, by its name; none where there is no such operation.
            pub fn risk_of(name: &str) -> Option<Risk> {
                match name {
                    $($Operation::NAME => Some($Operation::RISK),)+
                    _ => None,
                }
            }

            /// In a few words what it is about.
            pub fn title(&self) -> String {
                match self {
                    $(Self::$Operation(operation) => operation.title()),+
                }
            }

            /// The lowest role that may ask for it; see [`Operation::role`].
            ///
            /// # Errors
            /// When that depends on something that does not exist.
            pub async fn role(&self, controller: &Controller) -> Result<Role, OperationError> {
                match self {
                    $(Self::$Operation(operation) => operation.role(controller).await),+
                }
            }

            /// What it is about; see [`Operation::scope`].
            ///
            /// # Errors
            /// When it is about something that does not exist.
            pub async fn scope(&self, controller: &Controller) -> Result<Scope, OperationError> {
                match self {
                    $(Self::$Operation(operation) => operation.scope(controller).await),+
                }
            }

            /// What becomes a job; see [`prepare`].
            ///
            /// # Errors
            /// Why it is refused.
            pub async fn prepare(&self, controller: &Controller, actor: &Actor) -> Result<Prepared, OperationError> {
                match self {
                    $(Self::$Operation(operation) => prepare(controller, actor, operation).await),+
                }
            }

            /// Makes a job of it for a server; see [`hand_over`].
            ///
            /// # Errors
            /// Why it was refused.
            pub async fn hand_over(&self, controller: &Controller, actor: &Actor) -> Result<JobId, OperationError> {
                match self {
                    $(Self::$Operation(operation) => hand_over(controller, actor, operation).await),+
                }
            }

            /// Does a job that was taken; see [`ClaimedJob::work`].
            ///
            /// # Errors
            /// Why it failed.
            pub async fn work(
                &self,
                claimed: ClaimedJob,
                controller: &Controller,
                actor: &Actor,
                observer: &dyn Observer,
            ) -> Result<Outcome, OperationError> {
                match self {
                    $(Self::$Operation(operation) => claimed.work(controller, actor, operation, observer).await),+
                }
            }
        }
    };
}

requests!(
    ApplyHost,
    RunBackup,
    RestoreService,
    UndoRestore,
    RunDrill,
    CheckBackups,
    CopyBackups,
    PruneBackups,
    BackUpController,
    RemoveService,
    LockHost,
    UnlockHost
);

impl Request {
    /// What a job asks for.
    ///
    /// # Errors
    /// When this program does not know it.
    pub fn of(job: &Job) -> Result<Self, OperationError> {
        Self::parse(&job.operation, &job.parameters)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_operation_is_found_by_its_name_and_a_wrong_one_says_what_there_is() {
        let request = Request::parse("host.lock", &json!({ "name": "web1", "reason": "moving" }));
        let request = request.expect("known");
        assert!(!request.is_repeatable());
        let error = Request::parse("host.lokc", &json!({}))
            .expect_err("unknown")
            .to_string();
        assert!(error.contains("host.apply"), "{error}");
        let error = Request::parse("host.lock", &json!({ "nmae": 1 }))
            .expect_err("wrong")
            .to_string();
        assert!(
            error.contains("host.lock cannot be asked for like this"),
            "{error}"
        );
    }
}
