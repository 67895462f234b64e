//! The sweep: asks everything that is watched in its rhythm, and records what comes back.
//!
//! ```text
//! agenda ──▶ what is due, by group ──▶ questions (bounded, one task a group) ──▶ answers
//!    ▲                                                                             │
//!    └──── again soon, where an answer does not count yet ◀──── record (a batch in one transaction)
//! ```
//!
//! An answer that was not recorded when the server died was never given: its check is asked again by whoever takes over.

mod agenda;
#[cfg(test)]
mod bench;
mod dependencies;
mod kept;
mod lines;
mod questions;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::task::JoinSet;

use super::log;
use super::stop::Stop;
use crate::health::{Rules, record};
use crate::model::{CheckKey, Name, Status, Subject};
use crate::operations::{Controller, Holder, LEASE, OperationError, RENEWAL, Watching};
use crate::store::Asked;
use agenda::{Agenda, Entry};
use questions::{Item, Questions};

/// How often answers are written down, and what is due is looked for.
const BEAT: Duration = Duration::from_millis(500);

/// How often it is looked whether the inventory has changed.
const REFRESH: Duration = Duration::from_secs(15);

/// While so many answers could not be written down, nothing further is asked.
const UNWRITTEN: usize = 50_000;

/// Sweeps until the server stops, whenever this is the server to do it.
pub async fn keep(controller: Arc<Controller>, stop: Stop) {
    let holder = Holder::this_process();
    loop {
        let servers = controller.store.servers();
        match servers
            .take_duty("sweep", holder.claim(LEASE), Holder::is_gone)
            .await
        {
            Ok(true) => match Sweep::begin(controller.clone()).await {
                Ok(sweep) => sweep.go_on(&stop, &holder).await,
                Err(error) => log(&format!("cannot ask checks: {error}")),
            },
            Ok(false) => {}
            Err(error) => log(&format!("cannot see who asks the checks: {error}")),
        }
        if !stop.sleep(RENEWAL).await {
            return;
        }
    }
}

/// A sweep under way.
struct Sweep {
    controller: Arc<Controller>,
    watching: Watching,
    questions: Arc<Questions>,
    agenda: Agenda<CheckKey>,
    items: HashMap<CheckKey, Arc<Item>>,
    /// Groups that are being asked: a slow one is not asked twice at once.
    under_way: HashSet<String>,
    asking: JoinSet<(String, Vec<Asked>)>,
    /// What came back and is not written down yet.
    unwritten: Vec<(Asked, Rules)>,
    /// What stood in the way the last time, so that the journal says it once.
    problems: BTreeSet<String>,
}

impl Sweep {
    async fn begin(controller: Arc<Controller>) -> Result<Self, OperationError> {
        Ok(Self {
            questions: Arc::new(Questions::new(controller.clone()).await?),
            controller,
            watching: Watching::default(),
            agenda: Agenda::default(),
            items: HashMap::new(),
            under_way: HashSet::new(),
            asking: JoinSet::new(),
            unwritten: Vec::new(),
            problems: BTreeSet::new(),
        })
    }

    /// Goes on until the server stops, or the duty is another's.
    async fn go_on(mut self, stop: &Stop, holder: &Holder) {
        let (mut refreshed, mut renewed) = (None, std::time::Instant::now());
        loop {
            if refreshed.is_none_or(|then: std::time::Instant| then.elapsed() >= REFRESH) {
                refreshed = Some(std::time::Instant::now());
                if let Err(error) = self.refresh().await {
                    self.complain(format!("cannot see what is watched: {error}"));
                }
            }
            if renewed.elapsed() >= RENEWAL {
                renewed = std::time::Instant::now();
                let servers = self.controller.store.servers();
                let kept = servers
                    .take_duty("sweep", holder.claim(LEASE), Holder::is_gone)
                    .await;
                // Without the database nothing can be written down, either; the other one will have the same answer.
                if !matches!(kept, Ok(true)) {
                    return;
                }
            }
            self.ask();
            self.collect();
            self.write().await;
            if !stop.sleep(BEAT).await {
                self.collect();
                self.write().await;
                return;
            }
        }
    }

    /// Brings the agenda up to date with the inventory.
    async fn refresh(&mut self) -> Result<(), OperationError> {
        let controller = self.controller.refreshed().await?;
        let list = self.watching.list(&controller).await?;
        self.questions.note_unwatched(
            list.problems
                .iter()
                .map(|(subject, problem)| (subject.to_string(), problem.clone()))
                .collect(),
        );
        let known: HashSet<CheckKey> = self
            .controller
            .store
            .watch()
            .list()
            .await?
            .into_iter()
            .map(|standing| standing.key)
            .collect();
        let items = questions::items(&controller, list.watched).await?;
        let hosts: Vec<Name> = items
            .iter()
            .filter_map(|item| item.host_name().cloned())
            .collect();
        self.questions.keep_lines(&hosts).await;
        let entries = items
            .iter()
            .map(|item| Entry {
                key: item.key.clone(),
                group: item.group(),
                every: item.every,
            })
            .collect();
        self.items = items
            .into_iter()
            .map(|item| (item.key.clone(), Arc::new(item)))
            .collect();
        self.agenda
            .set(entries, Timestamp::now(), |key| !known.contains(key));
        let keys = kept(self.items.keys(), &known, &list.problems);
        self.controller
            .store
            .watch()
            .keep_only(&keys, Timestamp::now())
            .await?;
        Ok(())
    }

    /// Begins to ask what is due.
    fn ask(&mut self) {
        if self.unwritten.len() >= UNWRITTEN {
            return;
        }
        let now = Timestamp::now();
        for (group, keys) in self.agenda.due(now) {
            if !self.under_way.insert(group.clone()) {
                for key in &keys {
                    self.agenda.again_soon(key, now);
                }
                continue;
            }
            let items: Vec<Arc<Item>> = keys
                .iter()
                .filter_map(|key| self.items.get(key).cloned())
                .collect();
            let questions = self.questions.clone();
            self.asking.spawn(async move {
                let answers = questions.ask(&items, now).await;
                (group, answers)
            });
        }
    }

    /// Takes what came back.
    fn collect(&mut self) {
        while let Some(ended) = self.asking.try_join_next() {
            match ended {
                Ok((group, answers)) => {
                    self.under_way.remove(&group);
                    let judged = answers.into_iter().filter_map(|asked| {
                        let rules = self.items.get(&asked.key)?.rules;
                        Some((asked, rules))
                    });
                    self.unwritten.extend(judged);
                }
                Err(error) => {
                    // A question that panicked: nobody knows which, so all that are under way may be asked again.
                    self.under_way.clear();
                    self.complain(format!("a check could not be asked: {error}"));
                }
            }
        }
    }

    /// Writes down what came back, and asks again soon what does not count yet.
    async fn write(&mut self) {
        if self.unwritten.is_empty() {
            return;
        }
        let judged = match record(&self.controller.store, &self.unwritten).await {
            Ok(judged) => judged,
            Err(error) => {
                self.complain(format!(
                    "cannot write down {} answers: {error}",
                    self.unwritten.len()
                ));
                return;
            }
        };
        let now = Timestamp::now();
        for ((asked, _), judged) in self.unwritten.drain(..).zip(judged) {
            if judged.again_soon {
                self.agenda.again_soon(&asked.key, now);
            }
            // What depends on something waits for that to be asked: which of the two it is decides what people are told.
            if judged.again_soon && asked.answer.status != Status::Ok {
                for cause in &asked.depends_on {
                    self.agenda.at_once(cause, now);
                }
            }
        }
        self.problems.clear();
    }

    fn complain(&mut self, problem: String) {
        if self.problems.insert(problem.clone()) {
            log(&problem);
        }
    }
}

/// The checks whose history and incidents stay: those that are asked, and those of which nobody knows whether they still should be. A
/// template that is broken for an hour is no reason to tell people that all is well, nor to forget a year.
fn kept<'a>(
    asked: impl Iterator<Item = &'a CheckKey>,
    known: &'a HashSet<CheckKey>,
    problems: &[(Subject, String)],
) -> BTreeSet<CheckKey> {
    let unclear = |key: &&CheckKey| problems.iter().any(|(subject, _)| *subject == key.subject);
    asked.chain(known.iter().filter(unclear)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_history_of_a_subject_that_cannot_be_worked_out_is_kept() {
        let key = |text: &str| text.parse::<CheckKey>().expect(text);
        let asked = [key("web1:disk")];
        let known = HashSet::from(["web1:disk", "web1:gone", "kita/cloud:page", "kita/wiki:page"].map(key));
        let problems = [(
            key("kita/cloud:page").subject,
            "its template is broken".to_owned(),
        )];
        let kept = kept(asked.iter(), &known, &problems);
        let kept: BTreeSet<String> = kept.iter().map(ToString::to_string).collect();
        assert_eq!(
            kept,
            BTreeSet::from(["kita/cloud:page", "web1:disk"].map(str::to_owned))
        );
    }
}
