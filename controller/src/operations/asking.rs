//! Asking checks now.

use futures_util::{StreamExt, stream};

use super::{Controller, OperationError, Watched};
use crate::health::{Means, Prober};
use crate::model::{Answer, CheckKey};

/// How many questions a person's own asking has under way at once.
const AT_ONCE: usize = 64;

/// A check that was asked.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Its name.
    pub key: CheckKey,
    /// What came back; none where only the agent on the host can answer.
    pub answer: Option<Answer>,
}

impl Controller {
    /// Who asks from outside, at most this many questions at once.
    ///
    /// # Errors
    /// What the vault says.
    pub async fn prober(&self, limit: usize) -> Result<Prober, OperationError> {
        let means = Means {
            authority: Some(self.authority().await?.certificate),
            jump_key: Some(self.jump_key().await?),
            resolvers: None,
        };
        Ok(Prober::new(limit, means))
    }
}

/// Asks these checks, and returns the answers in the same order.
///
/// # Errors
/// What the vault says.
pub async fn ask_now(controller: &Controller, checks: &[Watched]) -> Result<Vec<Asked>, OperationError> {
    let prober = controller.prober(AT_ONCE).await?;
    let asking = stream::iter(checks).map(|watched| {
        let prober = &prober;
        async move {
            Asked {
                key: watched.key.clone(),
                answer: prober.ask(&watched.check, watched.host.as_deref()).await,
            }
        }
    });
    Ok(asking.buffered(AT_ONCE).collect().await)
}
