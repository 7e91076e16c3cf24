//! One key of a pool, and which of them a job gets.
//!
//! Owns     how each model stands at the key.
//! Called   by the pool alone.
//! Bounded  by `STANDINGS_MAX` models that are told apart.
//! Fails    never: a key whose Provider is being restarted takes no part.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::dispatch::{Gauge, Key, Trial};
use crate::gate::Door;
use crate::job::Job;
use crate::provider::ProviderMessage;
use crate::restart::History;
use crate::shared::Shared;
use crate::standing::{Resting, Standing};
use crate::tree::Node;

use super::KeySettings;

/// Models that are told apart at one key. Upstreams have some hundred; the names beyond were made up by callers, and
/// share one standing.
const STANDINGS_MAX: usize = 1_024;

/// The name under which they do; no model can have it.
const OTHERS: &str = "*";

/// When a caller may try again while the one trial is out: it takes as long as a first byte does.
const TRIAL_WAIT: Duration = Duration::from_secs(1);

/// A key and its Provider.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) key: KeySettings,
    pub(super) gauge: Arc<Gauge>,
    pub(super) node: Arc<Node>,
    pub(super) history: History,
    /// How each model stands here.
    pub(super) standings: HashMap<Arc<str>, Arc<Standing>>,
    /// `None` while its Provider is restarted.
    pub(super) up: Option<Arc<Key>>,
}

/// Whether a key can be asked for a model now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    /// Yes.
    Ready,
    /// A rest is over: one call may try.
    Trial(Trial),
    /// It rests, and may try only when there is nobody else.
    Resting { trial: Trial, until: Duration, is_limited: bool },
    /// Somebody is trying already.
    TrialIsOut { is_limited: bool },
    /// The upstream said that our quota there is empty.
    Empty { until: Duration },
}

impl Fit {
    /// Why it cannot be asked as any other can.
    fn in_words(self) -> Option<&'static str> {
        match self {
            Self::Ready => None,
            Self::Trial(_) | Self::TrialIsOut { is_limited: false } => {
                Some("one call tries it after failures")
            }
            Self::Resting { is_limited: false, .. } => Some("it rests after failures"),
            Self::Resting { is_limited: true, .. } | Self::TrialIsOut { is_limited: true } => {
                Some("it rests, since its upstream wants fewer calls")
            }
            Self::Empty { .. } => Some("its upstream said that our quota is used up"),
        }
    }
}

impl Member {
    /// Its Provider runs.
    pub(super) fn come_up(&mut self, provider: Door<ProviderMessage>, shared: &Arc<Shared>) {
        self.up = Some(Arc::new(Key {
            endpoint: Arc::clone(&self.key.endpoint),
            gauge: Arc::clone(&self.gauge),
            provider,
            shared: Arc::clone(shared),
        }));
    }

    /// The same member with changed settings; leases that are out keep the old ones.
    pub(super) fn with(mut self, key: KeySettings) -> Self {
        if self.key.endpoint != key.endpoint {
            // Another address, or another key there: what was known of the old one says nothing.
            self.standings.clear();
            self.gauge.rest.end();
            if let Some(up) = &self.up {
                // One that is gone starts anew without what it knew.
                let _ = up.provider.send_always(ProviderMessage::Renewed);
            }
        }
        self.key = key;
        if let Some(up) = self.up.take() {
            self.come_up(up.provider.clone(), &up.shared);
        }
        self
    }

    pub(super) fn standing(&mut self, model: &Arc<str>) -> &Arc<Standing> {
        let is_told_apart = self.standings.len() < STANDINGS_MAX || self.standings.contains_key(model);
        let name = if is_told_apart { Arc::clone(model) } else { OTHERS.into() };
        self.standings.entry(name).or_default()
    }

    pub(super) fn fit(&mut self, model: &Arc<str>, now: Duration) -> Fit {
        let gauge = Arc::clone(&self.gauge);
        let standing = self.standing(model);
        if let Some(until) = standing.is_empty_until(now) {
            return Fit::Empty { until };
        }
        let (of_key, of_model) = (gauge.rest.at(now), standing.rest.at(now));
        if (of_key, of_model) == (Resting::No, Resting::No) {
            return Fit::Ready;
        }
        let is_limited = of_key == Resting::No && standing.rest.is_limited();
        let is_out = (of_key != Resting::No && gauge.rest.trial_is_out())
            || (of_model != Resting::No && standing.rest.trial_is_out());
        if is_out {
            return Fit::TrialIsOut { is_limited };
        }
        let trial = Trial { of_key: of_key != Resting::No, of_model: of_model != Resting::No };
        let until = |resting| match resting {
            Resting::Until(until) => Some(until),
            Resting::No | Resting::HalfOpen => None,
        };
        match until(of_key).max(until(of_model)) {
            Some(until) => Fit::Resting { trial, until, is_limited },
            None => Fit::Trial(trial),
        }
    }

    /// How unwelcome one more call of this model would be here.
    pub(super) fn load(&mut self, model: &Arc<str>) -> f64 {
        let (in_flight, weight) = (self.gauge.in_flight(), self.key.weight);
        self.standing(model).load(in_flight, weight)
    }
}

/// What a pool does with a job.
pub(super) enum Choice {
    Key {
        index: usize,
        trial: Option<Trial>,
    },
    /// All its Providers are being restarted.
    NobodyIsUp,
    /// The one key that will do has gone.
    UnknownKey {
        name: Arc<str>,
    },
    /// Nobody here can be asked now; why not, unless it is that everybody was.
    NobodyFits {
        why: Option<&'static str>,
    },
}

/// Which key a job gets: of those that it has not tried and that can be asked.
pub(super) fn choose(members: &mut [Member], job: &mut Job, now: Duration) -> Choice {
    let only = job.candidate().key.clone();
    if let Some(name) = &only
        && !members.iter().any(|member| member.key.endpoint.key_name == *name)
    {
        // It went with a reload.
        return Choice::UnknownKey { name: Arc::clone(name) };
    }
    let model = Arc::clone(&job.target().model);
    let mut is_anyone_up = false;
    // Ready ones that were not asked yet, and those that were and may be asked again.
    let (mut ready, mut again) = (Two::default(), Two::default());
    let mut resting: Option<(usize, Trial, Duration)> = None;
    let mut why = None;
    for (index, member) in members.iter_mut().enumerate() {
        let name = &member.key.endpoint.key_name;
        if only.as_ref().is_some_and(|only| only != name) || member.up.is_none() {
            continue;
        }
        is_anyone_up = true;
        let tried = job.tried(name).map(|tried| tried.again);
        let fit = member.fit(&model, now);
        if tried != Some(false) {
            why = why.or(fit.in_words());
        }
        match fit {
            // Not by this request any more; when its caller may come again is worth saying.
            Fit::Resting { until, is_limited, .. } if tried == Some(false) => {
                job.note_soonest(until, is_limited);
            }
            Fit::Empty { until } => job.note_soonest(until, true),
            _ if tried == Some(false) => {}
            Fit::Ready if tried.is_some() => again.offer(index),
            Fit::Ready => ready.offer(index),
            Fit::Trial(trial) if take(member, &model, trial) => {
                return Choice::Key { index, trial: Some(trial) };
            }
            Fit::Resting { trial, until, is_limited } => {
                job.note_soonest(until, is_limited);
                if resting.is_none_or(|(.., before)| until < before) {
                    resting = Some((index, trial, until));
                }
            }
            Fit::Trial(_) => job.note_soonest(now + TRIAL_WAIT, false),
            Fit::TrialIsOut { is_limited } => job.note_soonest(now + TRIAL_WAIT, is_limited),
        }
    }
    if !is_anyone_up {
        return Choice::NobodyIsUp;
    }
    let asked = if ready.count > 0 { ready } else { again };
    if let Some(index) = asked.lighter(|index| members[index].load(&model)) {
        return Choice::Key { index, trial: None };
    }
    match resting.filter(|_| job.way.is_last_chance) {
        Some((index, trial, _)) if take(&mut members[index], &model, trial) => {
            Choice::Key { index, trial: Some(trial) }
        }
        _ => Choice::NobodyFits { why },
    }
}

/// Takes the trial of a key, or of a model there, unless somebody has it.
fn take(member: &mut Member, model: &Arc<str>, trial: Trial) -> bool {
    if trial.of_key && !member.gauge.rest.take_trial() {
        return false;
    }
    if trial.of_model && !member.standing(model).rest.take_trial() {
        if trial.of_key {
            member.gauge.rest.give_trial_back();
        }
        return false;
    }
    true
}

/// Two of the keys that were offered, chosen at random, each pair as likely as any other.
#[derive(Debug, Clone, Copy, Default)]
struct Two {
    count: usize,
    chosen: [usize; 2],
}

impl Two {
    fn offer(&mut self, index: usize) {
        let place = if self.count < 2 { self.count } else { rand::random_range(0..=self.count) };
        if let Some(chosen) = self.chosen.get_mut(place) {
            *chosen = index;
        }
        self.count += 1;
    }

    /// The lighter one, rather: as good as asking all, at a fixed cost (Mitzenmacher, "The power of two choices in
    /// randomized load balancing", 2001). Each is drawn as the other's load is to both, not the lighter one always:
    /// else a key would get nothing while another of more weight is idle, and one that was slow once would never be
    /// found to have become faster.
    fn lighter(self, mut load: impl FnMut(usize) -> f64) -> Option<usize> {
        let [a, b] = self.chosen;
        match self.count {
            0 => None,
            1 => Some(a),
            _ => {
                let (load_a, load_b) = (load(a), load(b));
                let drawn = rand::random::<f64>() * (load_a + load_b);
                Some(if drawn < load_b { a } else { b })
            }
        }
    }
}
