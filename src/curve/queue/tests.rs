//! The curve against a queue of which everything is known.

use proptest::prelude::*;

use super::*;

fn sample(at_ms: i64, length: u64, departed: i64) -> QueueSample {
    QueueSample { at_ms, length, departed, unsure: None, others: false, head: None, oldest_ms: None }
}

fn between(at_least_ms: u64, at_most_ms: u64) -> Option<Age> {
    Some(Age { at_least_ms, at_most_ms: Some(at_most_ms), stood: false })
}

fn at_least(at_least_ms: u64) -> Option<Age> {
    Some(Age { at_least_ms, at_most_ms: None, stood: false })
}

#[test]
fn the_oldest_job_came_between_two_samples() {
    let mut curve = QueueCurve::default();
    let mut age = |at, length, departed| {
        curve.add(sample(at, length, departed));
        curve.age()
    };
    assert_eq!(age(0, 3, 0), at_least(0), "what was there before is only known to be older");
    assert_eq!(age(1000, 5, 0), at_least(1000));
    assert_eq!(age(2000, 3, 2), at_least(2000));
    assert_eq!(age(3000, 2, 3), between(2000, 3000), "the first that came between 0 and 1000");
    assert_eq!(age(4000, 0, 5), None);
    assert_eq!(age(5000, 1, 5), between(0, 1000));
    assert_eq!(age(6000, 2, 4), at_least(5000), "a job that was given back is older than all");
}

#[test]
fn an_age_is_a_lower_bound_while_jobs_may_be_out_of_order() {
    let mut curve = QueueCurve::default();
    curve.add(sample(0, 0, 0));
    curve.add(sample(1000, 2, 0));
    curve.add(sample(2000, 4, 0));
    // One of them was deleted: the first one may be number 1 or 2.
    let doubtful = QueueSample { unsure: Some(4), ..sample(3000, 3, 1) };
    curve.add(doubtful);
    assert_eq!(curve.age(), at_least(2000));
    curve.add(QueueSample { unsure: Some(4), ..sample(4000, 1, 4) });
    assert_eq!(curve.age(), between(0, 1000), "those behind are in order");
}

#[test]
fn jobs_that_others_took_are_booked_and_end_what_was_known() {
    let mut curve = QueueCurve::default();
    curve.add(sample(0, 0, 0));
    curve.add(sample(1000, 5, 0));
    curve.add(sample(2000, 3, 0));
    assert_eq!(curve.totals(), Some((5, 2)));
    assert!(curve.wants_head(), "from now on the head tells");
    assert_eq!(curve.age(), Some(Age { at_least_ms: 0, at_most_ms: None, stood: true }));
    curve.add(QueueSample { head: Some(7), ..sample(3000, 3, 0) });
    curve.add(QueueSample { head: Some(7), ..sample(5000, 3, 0) });
    assert_eq!(curve.age(), Some(Age { at_least_ms: 2000, at_most_ms: None, stood: true }));
    curve.add(QueueSample { head: Some(8), ..sample(6000, 3, 0) });
    assert_eq!(curve.age().map(|age| age.at_least_ms), Some(0));
    curve.add(QueueSample { head: Some(8), ..sample(7000, 2, 0) });
    assert_eq!(curve.age().map(|age| age.at_least_ms), Some(0), "an equal one may have taken its place");
    assert_eq!(curve.flow(), None);
    // Nobody took one for long.
    curve.add(sample(7000 + POACHED_MS, 2, 0));
    curve.add(sample(8000 + POACHED_MS, 2, 0));
    assert_eq!(curve.age(), at_least(1000));
}

#[test]
fn a_queue_whose_counts_are_gone_begins_anew() {
    let mut curve = QueueCurve::default();
    curve.add(sample(0, 0, 90));
    curve.add(sample(1000, 10, 90));
    curve.add(sample(2000, 1, 0));
    assert!(!curve.wants_head());
    assert_eq!(curve.age(), at_least(0));
    assert_eq!(curve.totals().map(|(arrived, _)| arrived), Some(100), "a counter does not fall");
}

#[test]
fn a_time_that_went_back_begins_anew() {
    let mut curve = QueueCurve::default();
    curve.add(sample(5000, 1, 0));
    curve.add(sample(9000, 2, 0));
    curve.add(sample(4000, 2, 0));
    assert_eq!(curve.age(), at_least(0));
    curve.add(sample(5000, 2, 0));
    assert_eq!(curve.age(), at_least(1000));
}

#[test]
fn a_store_that_knows_it_is_believed() {
    let mut curve = QueueCurve::default();
    curve.add(QueueSample { oldest_ms: Some(400), ..sample(1000, 1, 0) });
    assert_eq!(curve.age(), between(600, 600));
    curve.add(QueueSample { oldest_ms: Some(4000), ..sample(2000, 1, 0) });
    assert_eq!(curve.age(), between(0, 0), "a clock was set back");
}

#[test]
fn the_next_leader_goes_on_where_this_one_stopped() {
    let mut curve = QueueCurve::default();
    curve.add(sample(0, 0, 0));
    curve.add(sample(1000, 5, 0));
    curve.add(sample(2000, 5, 2));
    let mut next = QueueCurve::unpack(&curve.pack().unwrap()).unwrap();
    for curve in [&mut curve, &mut next] {
        curve.add(sample(9000, 6, 3));
        assert_eq!(curve.age(), between(8000, 9000));
    }
    next.add(QueueSample { others: true, ..sample(10_000, 6, 3) });
    assert_eq!(next.pack(), None);
}

#[test]
fn a_queue_that_was_seen_empty_had_no_job_then() {
    let mut curve = QueueCurve::default();
    curve.add(sample(0, 0, 7));
    for at in [10_000, 20_000, 30_000] {
        curve.seen_empty(at);
    }
    // One came and went meanwhile.
    curve.add(sample(31_000, 2, 8));
    assert_eq!(curve.age(), between(0, 1000));
    curve.seen_empty(32_000);
    assert_eq!(curve.age(), between(0, 1000), "it was not empty");
}

#[test]
fn any_numbers_are_borne() {
    let mut curve = QueueCurve::default();
    for (at, length, departed) in [
        (i64::MIN, u64::MAX, i64::MAX),
        (0, 0, i64::MIN),
        (0, u64::MAX, i64::MIN),
        (i64::MAX, 1, i64::MAX),
        (i64::MAX, u64::MAX, 0),
    ] {
        curve.add(QueueSample { unsure: Some(i64::MAX), ..sample(at, length, departed) });
        curve.seen_empty(at);
        let _ = (curve.age(), curve.flow(), curve.totals(), curve.pack());
    }
}

#[derive(Debug, Clone)]
enum Step {
    Wait(i64),
    Push(u8),
    Front(u8),
    Claim(u8),
    /// Of the running jobs, this one.
    GiveBack(u8),
    End(u8),
    /// Of the waiting jobs, this one.
    Delete(u8),
    DeleteQueue,
    Forget,
    /// Another program's workers come or go.
    Others(bool),
    /// Such a worker takes jobs.
    Take(u8),
    Sample,
    /// Another leader reads what this one kept.
    Succeed,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (1..5000_i64).prop_map(Step::Wait),
        4 => (1..6_u8).prop_map(Step::Push),
        1 => (1..3_u8).prop_map(Step::Front),
        4 => (1..6_u8).prop_map(Step::Claim),
        1 => any::<u8>().prop_map(Step::GiveBack),
        1 => any::<u8>().prop_map(Step::End),
        1 => any::<u8>().prop_map(Step::Delete),
        1 => Just(Step::DeleteQueue),
        1 => Just(Step::Forget),
        1 => any::<bool>().prop_map(Step::Others),
        2 => (1..4_u8).prop_map(Step::Take),
        6 => Just(Step::Sample),
        1 => Just(Step::Succeed),
    ]
}

/// A queue, with what the store counts of it. A job is the time at which it came, and a number as its bytes.
#[derive(Default)]
struct Model {
    now_ms: i64,
    jobs: Vec<(i64, u64)>,
    running: Vec<(i64, u64)>,
    made: u64,
    departed: i64,
    unsure: Option<i64>,
    others: bool,
    others_seen: bool,
}

impl Model {
    fn job(&mut self) -> (i64, u64) {
        self.made += 1;
        (self.now_ms, self.made)
    }

    fn length(&self) -> i64 {
        i64::try_from(self.jobs.len()).unwrap()
    }

    fn doubt(&mut self, until: i64) {
        self.unsure = Some(self.unsure.unwrap_or(i64::MIN).max(until));
    }

    fn take(&mut self, step: &Step, curve: &mut QueueCurve) {
        match *step {
            Step::Wait(ms) => self.now_ms += ms,
            Step::Push(count) => (0..count).for_each(|_| {
                let job = self.job();
                self.jobs.push(job);
            }),
            Step::Front(count) => {
                let was_empty = self.jobs.is_empty();
                (0..count).for_each(|_| {
                    let job = self.job();
                    self.jobs.insert(0, job);
                });
                if !was_empty {
                    self.doubt(self.departed + self.length());
                }
            }
            Step::Claim(count) => {
                let count = usize::from(count).min(self.jobs.len());
                self.running.extend(self.jobs.drain(..count));
                self.departed += i64::try_from(count).unwrap();
            }
            Step::GiveBack(which) if !self.running.is_empty() => {
                let job = self.running.remove(usize::from(which) % self.running.len());
                self.doubt(self.departed);
                self.jobs.insert(0, job);
                self.departed -= 1;
            }
            Step::End(which) if !self.running.is_empty() => {
                self.running.remove(usize::from(which) % self.running.len());
            }
            Step::Delete(which) if !self.jobs.is_empty() => {
                self.doubt(self.departed + self.length());
                self.jobs.remove(usize::from(which) % self.jobs.len());
                self.departed += 1;
            }
            Step::DeleteQueue => self.departed += i64::try_from(self.jobs.drain(..).count()).unwrap(),
            // Who forgets what was counted forgets the curve.
            Step::Forget if self.jobs.is_empty() => {
                (self.departed, self.unsure, *curve) = (0, None, QueueCurve::default());
            }
            // Workers that come and go between two samples are not seen.
            Step::Others(come) if come || self.others_seen => (self.others, self.others_seen) = (come, false),
            Step::Take(count) if self.others => {
                self.jobs.drain(..usize::from(count).min(self.jobs.len()));
            }
            Step::Sample => self.sample(curve),
            Step::Succeed => {
                *curve = curve.pack().and_then(|text| QueueCurve::unpack(&text)).unwrap_or_default();
            }
            _ => {}
        }
    }

    fn sample(&mut self, curve: &mut QueueCurve) {
        self.others_seen = self.others;
        curve.add(QueueSample {
            at_ms: self.now_ms,
            length: u64::try_from(self.jobs.len()).unwrap(),
            departed: self.departed,
            unsure: self.unsure,
            others: self.others,
            head: self.jobs.first().map(|(_, bytes)| *bytes),
            oldest_ms: None,
        });
        let oldest = self.jobs.iter().map(|(came, _)| *came).min();
        let true_age = oldest.map(|oldest| u64::try_from(self.now_ms - oldest).unwrap());
        assert_eq!(curve.age().is_some(), true_age.is_some());
        let (Some(age), Some(true_age)) = (curve.age(), true_age) else { return };
        assert!(age.at_least_ms <= true_age, "{age:?}, and it is {true_age}");
        assert!(age.at_most_ms.is_none_or(|most| true_age <= most), "{age:?}, and it is {true_age}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]
    #[test]
    fn the_true_age_lies_within_the_bounds(steps in proptest::collection::vec(step(), 1..120)) {
        let (mut model, mut curve) = (Model::default(), QueueCurve::default());
        for step in &steps {
            model.take(step, &mut curve);
        }
    }

    #[test]
    fn without_disorder_ages_have_both_bounds_and_every_departure_is_in_the_histogram(
        steps in proptest::collection::vec((1..3000_i64, 0..9_u8, 0..9_u8), 1..200)
    ) {
        let (mut model, mut curve) = (Model::default(), QueueCurve::default());
        model.sample(&mut curve);
        for (wait, pushed, claimed) in steps {
            for step in [Step::Push(pushed), Step::Wait(wait), Step::Claim(claimed), Step::Sample] {
                model.take(&step, &mut curve);
            }
            prop_assert!(curve.age().is_none_or(|age| age.at_most_ms.is_some()));
        }
        let counted: u64 = curve.waits().counts().iter().sum();
        prop_assert_eq!(i64::try_from(counted).unwrap(), model.departed);
    }
}
