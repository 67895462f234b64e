//! A session with the agent of a host.

use std::sync::Arc;

use allmende_agent::observe::{Inquiry, Observations};
use allmende_agent::protocol::{
    Answer, Event, Execution, Facts, Hello, Output, PROTOCOL_VERSION, Report, Request,
};

use jiff::Timestamp;

use super::agent_channel::AgentChannel;
use super::connection::Connection;
use super::keys::{ControllerKey, ControllerKeys};
use super::{Bridge, Destination, EMBEDDED_AGENT, FleetError, Line};
use crate::model::{Host, HostKey};

/// A session with the agent of a host. Several requests can be under way at once.
///
/// Dropping it closes the agent's input: the agent finishes the resource in hand, keeps its report and ends.
/// [`Session::close`] also waits for that.
pub struct Session {
    /// Shared with the line that the session runs on, if somebody keeps it.
    pub(super) connection: Arc<Connection>,
    pub(super) channel: AgentChannel,
}

/// What was found on a host, between two looks at the controller's clock.
#[derive(Debug, Clone, PartialEq)]
pub struct Observed {
    /// When the questions were sent.
    pub sent: Timestamp,
    /// When the answer was there.
    pub received: Timestamp,
    /// What was found.
    pub observations: Observations,
}

impl Session {
    /// Connects with the controller's key to a host whose key is pinned, starts the agent and exchanges hellos.
    ///
    /// An agent that speaks an older protocol is replaced at once; whether one of the same protocol is replaced is up to
    /// the caller ([`Session::ensure_current`]).
    ///
    /// # Errors
    /// See [`FleetError`]; nothing is sent to a host with another key than the pinned one.
    pub async fn connect(host: &Host, keys: &ControllerKeys) -> Result<Self, FleetError> {
        let mut session = Self::open(&Destination::from(host), &host.host_key, keys).await?;
        if session.hello().protocol < PROTOCOL_VERSION {
            session.ensure_current().await?;
        }
        Ok(session)
    }

    /// Connects and exchanges hellos; the agent stays as it is.
    pub(super) async fn open(
        host: &Destination,
        pinned: &HostKey,
        keys: &ControllerKeys,
    ) -> Result<Self, FleetError> {
        Line::open(host, pinned, keys).await?.session().await
    }

    pub(super) fn refuse_newer(&self) -> Result<(), FleetError> {
        let hello = self.hello();
        if hello.protocol > PROTOCOL_VERSION {
            return Err(FleetError::AgentTooNew {
                host: self.host().clone(),
                version: super::error::one_line(&hello.version),
                protocol: hello.protocol,
            });
        }
        Ok(())
    }

    /// The host.
    pub fn host(&self) -> &Destination {
        self.connection.host()
    }

    /// How the agent introduced itself.
    pub fn hello(&self) -> &Hello {
        self.channel.hello()
    }

    /// What the host is, as of now.
    pub fn facts(&self) -> &Facts {
        &self.hello().facts
    }

    /// Whether the agent is the one that this controller carries.
    pub fn is_current(&self) -> bool {
        self.hello().sha256 == EMBEDDED_AGENT.sha256
    }

    /// Asks for something, passes events on as they come, and returns the answer.
    ///
    /// Dropping the future stops listening, not the agent; dropping the session does that.
    ///
    /// # Errors
    /// [`FleetError::Refused`] if the agent says no; see [`FleetError`] for the rest.
    pub async fn request(&self, request: Request, on_event: impl FnMut(Event)) -> Result<Answer, FleetError> {
        self.channel.request(request, on_event).await
    }

    /// Compares the host with what is wanted, or makes it so: any request whose answer is a report.
    ///
    /// # Errors
    /// As for [`Session::request`].
    pub async fn report(&self, request: Request, on_event: impl FnMut(Event)) -> Result<Report, FleetError> {
        match self.request(request, on_event).await? {
            Answer::Report(report) => Ok(report),
            answer => Err(self.unexpected("a report", &answer)),
        }
    }

    /// Opens the controller's end of a bridge that the agent has asked for with [`Event::Bridge`].
    ///
    /// # Errors
    /// When the connection is lost, or the host opens no further channel.
    pub async fn bridge(&self, name: &str) -> Result<Bridge, FleetError> {
        Bridge::open(&self.connection, name).await
    }

    /// Runs one program on the host and returns what it printed.
    ///
    /// # Errors
    /// As for [`Session::request`]; a program that ends with a code other than 0 is none.
    pub async fn execute(&self, execution: Execution) -> Result<Output, FleetError> {
        match self.request(Request::Execute(execution), |_| ()).await? {
            Answer::Output(output) => Ok(output),
            answer => Err(self.unexpected("what a program printed", &answer)),
        }
    }

    /// Looks at the host: all questions in one round trip.
    ///
    /// # Errors
    /// As for [`Session::request`]; what could not be looked at is said in its place in the answer.
    pub async fn observe(&self, inquiry: Inquiry) -> Result<Observed, FleetError> {
        let sent = Timestamp::now();
        match self.request(Request::Observe(inquiry), |_| ()).await? {
            Answer::Observations(observations) => Ok(Observed {
                sent,
                received: Timestamp::now(),
                observations,
            }),
            answer => Err(self.unexpected("what was found on the host", &answer)),
        }
    }

    /// Collects the reports of runs that ended without a controller listening, oldest first, each with the run's name: those
    /// whose names begin with `ours`, for others belong to other controllers. They are dropped on the host. The end of a run that lost its controller is waited for, which an event tells.
    ///
    /// # Errors
    /// As for [`Session::request`].
    pub async fn take_reports(
        &self,
        ours: &str,
        mut on_event: impl FnMut(Event),
    ) -> Result<Vec<(String, Answer)>, FleetError> {
        let mut reports = Vec::new();
        for run in self
            .hello()
            .waiting_reports
            .iter()
            .filter(|run| run.starts_with(ours))
        {
            let request = Request::TakeReport { run: run.clone() };
            let report = self.request(request, &mut on_event).await?;
            reports.push((run.clone(), report));
        }
        Ok(reports)
    }

    /// Lets another key of the controller's start the agent.
    ///
    /// # Errors
    /// As for [`Session::request`].
    pub async fn authorize(&self, key: &ControllerKey) -> Result<(), FleetError> {
        let public_key = key.public_key().to_owned();
        self.request_done(Request::AuthorizeKey { public_key }).await
    }

    /// Takes a key of the controller's off the host.
    ///
    /// # Errors
    /// As for [`Session::request`].
    pub async fn withdraw(&self, key: &ControllerKey) -> Result<(), FleetError> {
        let public_key = key.public_key().to_owned();
        self.request_done(Request::WithdrawKey { public_key }).await
    }

    /// Takes the agent and the controller's key off the host. Nothing of Allmende's own is left there.
    ///
    /// # Errors
    /// As for [`Session::request`].
    pub async fn uninstall(self, key: &ControllerKey) -> Result<(), FleetError> {
        let request = Request::Uninstall {
            public_key: key.public_key().to_owned(),
        };
        self.request_done(request).await?;
        self.close().await;
        Ok(())
    }

    /// Ends the session and waits until the agent has ended; not longer than a few seconds. The connection ends as well, unless
    /// it is kept as a [`Line`].
    pub async fn close(self) {
        let Self {
            connection,
            mut channel,
        } = self;
        channel.hang_up().await;
        if let Some(connection) = Arc::into_inner(connection) {
            connection.close().await;
        }
    }

    pub(super) async fn request_done(&self, request: Request) -> Result<(), FleetError> {
        match self.request(request, |_| ()).await? {
            Answer::Done => Ok(()),
            answer => Err(self.unexpected("\"done\"", &answer)),
        }
    }

    pub(super) fn unexpected(&self, wanted: &str, answer: &Answer) -> FleetError {
        let kind = match answer {
            Answer::Done => "\"done\"",
            Answer::Report(_) => "a report",
            Answer::Blobs(_) => "a list of blobs",
            Answer::Output(_) => "what a program printed",
            Answer::Observations(_) => "what was found on the host",
            Answer::Backup(_) => "a report of a backup",
            Answer::Restored(_) => "a report of a restore",
            Answer::Drilled(_) => "a report of a drill",
        };
        FleetError::Protocol {
            host: self.host().clone(),
            reason: format!("{wanted} was to come, {kind} came"),
        }
    }
}
