//! Proving that a backup can be restored.

use allmende_agent::protocol::{Answer, DrillFinding, DrillReport, DrillVerdict, Request};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::chosen::Chosen;
use super::served::ask;
use crate::backup::repository::Permission;
use crate::model::{Drill, DrillOutcome, JobEventKind, Outcome, ServiceRef};
use crate::operations::apply::{collect_reports, run_of};
use crate::operations::{Controller, JobContext, Operation, OperationError, Preview, Risk, Scope};

/// Restores a service's newest backup into scratch places on its host, compares, damages the copy, compares again, and removes
/// everything.
///
/// [`Outcome::details`] hold `drill`: its number, outcome and evidence.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunDrill {
    /// The service.
    pub service: ServiceRef,
}

impl Operation for RunDrill {
    const NAME: &'static str = "backup.drill";
    const RISK: Risk = Risk::Change;
    // What one that was cut off left is removed by the next one.
    const REPEATABLE: bool = true;

    fn title(&self) -> String {
        format!("drill {}", self.service)
    }

    async fn scope(&self, controller: &Controller) -> Result<Scope, OperationError> {
        let service = controller.store.services().find(&self.service).await?;
        Ok(Scope::organisation(&service.organisation).locking([service.host]))
    }

    async fn preview(&self, controller: &Controller) -> Result<Preview, OperationError> {
        let chosen = Chosen::find(controller, &self.service, None).await?;
        Ok(Preview::of([format!(
            "Backup {} of {} would be restored into scratch places on {}, compared and removed again.",
            chosen.backup.id,
            chosen.service.full_name(),
            chosen.service.host
        )]))
    }

    async fn run(&self, context: &JobContext<'_>) -> Result<Outcome, OperationError> {
        let controller = context.controller();
        let chosen = Chosen::find(controller, &self.service, None).await?;
        let host = controller.store.hosts().get(&chosen.service.host).await?;
        let (here, snapshots) = chosen.open(controller).await?;
        let session = controller.session(&host).await?;
        collect_reports(&session, &host.name, context).await?;
        let run = run_of(context).await?;
        let order = chosen
            .way_back(&here, &snapshots, &run.id)
            .drill()
            .map_err(OperationError::Refused)?;
        let began_at = Timestamp::now();
        let request = Request::Drill {
            run: run.id.clone(),
            holder: run.holder,
            order: Box::new(order),
        };
        let served = || here.served_as(Permission::Read);
        let (answer, said) = ask(context, &session, &host.name, request, served).await?;
        session.close().await;
        for text in said {
            context.notify(JobEventKind::Warning { text });
        }
        let Answer::Drilled(report) = answer else {
            return Err(OperationError::Refused(format!(
                "{} answered something else than what came of the drill",
                host.name
            )));
        };
        let mut drill = Drill {
            id: 0,
            backup: chosen.backup.id,
            repository: here.repository.id.clone(),
            host: host.name.clone(),
            began_at,
            ended_at: Timestamp::now(),
            outcome: match report.verdict {
                DrillVerdict::Passed => DrillOutcome::Passed,
                DrillVerdict::Failed => DrillOutcome::Failed,
                DrillVerdict::NotMade => DrillOutcome::Refused,
            },
            evidence: serde_json::to_value(&report).unwrap_or_default(),
            seconds: std::time::Duration::from_millis(
                report.files_millis.saturating_add(report.dumps_millis),
            )
            .as_secs_f64(),
        };
        drill.id = controller.store.drills().add(&drill).await?;
        let message = told(&chosen.service.full_name(), &drill, &report);
        if drill.outcome == DrillOutcome::Refused {
            return Err(OperationError::Refused(message));
        }
        Ok(Outcome {
            message,
            changed: false,
            details: json!({ "drill": drill }),
            ..Outcome::default()
        })
    }
}

/// What came of a drill, for people.
fn told(name: &str, drill: &Drill, report: &DrillReport) -> String {
    let backup = drill.backup;
    let reason = report.reason.clone().unwrap_or_default();
    let mut lines = vec![match drill.outcome {
        DrillOutcome::Passed => format!(
            "{name}: backup {backup} restores in {:.1} s: {} of {} comparisons fit, and a copy damaged on purpose was noticed.",
            drill.seconds,
            report.findings.len(),
            report.findings.len(),
        ),
        DrillOutcome::Failed if reason.is_empty() => format!("{name}: the drill of backup {backup} failed."),
        DrillOutcome::Failed => format!("{name}: the drill of backup {backup} failed: {reason}"),
        DrillOutcome::Refused => {
            format!("{name}: no drill was made, which says nothing about backup {backup}: {reason}")
        }
    }];
    let misfit = |finding: &&DrillFinding| !finding.fits;
    for finding in report.findings.iter().filter(misfit).take(10) {
        let DrillFinding {
            what,
            expected,
            found,
            ..
        } = finding;
        lines.push(format!("  {what}: expected {expected}, found {found}"));
    }
    lines.extend(report.left_over.iter().map(|left| format!("  Left over: {left}")));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(outcome: DrillOutcome, report: &DrillReport) -> String {
        let drill = Drill {
            id: 1,
            backup: 7,
            repository: "r".to_owned(),
            host: "web1".parse().expect("a name"),
            began_at: Timestamp::UNIX_EPOCH,
            ended_at: Timestamp::UNIX_EPOCH,
            outcome,
            evidence: serde_json::Value::Null,
            seconds: 1.25,
        };
        told("kita/cloud", &drill, report)
    }

    #[test]
    fn a_drill_without_room_says_nothing_about_the_backup() {
        let report = DrillReport {
            reason: Some("there is not enough room on /".to_owned()),
            ..DrillReport::default()
        };
        assert_eq!(
            said(DrillOutcome::Refused, &report),
            "kita/cloud: no drill was made, which says nothing about backup 7: there is not enough room on /"
        );
    }

    #[test]
    fn a_drill_that_failed_names_what_does_not_fit() {
        let finding = |fits| DrillFinding {
            what: "SELECT 1".to_owned(),
            expected: "3".to_owned(),
            found: "2".to_owned(),
            fits,
        };
        let report = DrillReport {
            findings: vec![finding(false), finding(true)],
            ..DrillReport::default()
        };
        assert_eq!(
            said(DrillOutcome::Failed, &report),
            "kita/cloud: the drill of backup 7 failed.\n  SELECT 1: expected 3, found 2"
        );
    }
}
