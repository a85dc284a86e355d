//! Fair shares: how much of the recent volume each account has, and which are over their limit.

use std::collections::HashMap;
use std::time::{Duration, Instant};

const BUCKETS: usize = 10;

/// Standard deviations over its limit that an account may have by chance.
const DEVIATIONS: f64 = 3.0;

/// Volume by account over a sliding window.
pub(crate) struct Shares {
    max_share: f64,
    bucket: Duration,
    turned: Instant,
    accounts: HashMap<Box<str>, [u32; BUCKETS]>,
    totals: [u32; BUCKETS],
    at: usize,
}

/// One account's part of the window.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Share {
    pub(crate) account: String,
    pub(crate) share: f64,
    pub(crate) over: bool,
}

impl Shares {
    pub(crate) fn new(max_share: f64, window: Duration) -> Self {
        Self {
            max_share,
            bucket: bucket(window),
            turned: Instant::now(),
            accounts: HashMap::new(),
            totals: [0; BUCKETS],
            at: 0,
        }
    }

    /// Goes by other rules from now on; what is counted stays counted.
    pub(crate) fn set_rules(&mut self, max_share: f64, window: Duration) {
        self.max_share = max_share;
        self.bucket = bucket(window);
    }

    /// Counts one message.
    pub(crate) fn count(&mut self, account: &str, now: Instant) {
        self.turn(now);
        self.totals[self.at] += 1;
        match self.accounts.get_mut(account) {
            Some(volume) => volume[self.at] += 1,
            None => {
                let mut volume = [0; BUCKETS];
                volume[self.at] = 1;
                self.accounts.insert(account.into(), volume);
            }
        }
    }

    /// Whether an account has more than its limit of the window's volume, and more than one at its
    /// limit has by chance: of the window's first few messages any account may have them all.
    pub(crate) fn over(&self, account: &str) -> bool {
        let (limit, total) = (self.limit(), f64::from(self.total()));
        let chance = DEVIATIONS * (total * limit * (1.0 - limit)).sqrt();
        f64::from(self.volume(account)) > total * limit + chance
    }

    /// The part of the window's volume that an account may have: `max_share`, but never below
    /// 2 / active accounts. Of two accounts 2 / 2 would be everything and limit nobody, so there it
    /// is halfway between an equal part and all.
    pub(crate) fn limit(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "counts of accounts are far below 2^52")]
        let active = self.accounts.len().max(1) as f64;
        self.max_share.max((2.0 / active).min(f64::midpoint(1.0, 1.0 / active)))
    }

    /// The accounts of the window, largest first, at most `max`.
    pub(crate) fn list(&self, max: usize) -> Vec<Share> {
        let mut rows: Vec<Share> = self
            .accounts
            .keys()
            .map(|account| {
                let share = self.share(account);
                Share { account: account.to_string(), share, over: self.over(account) }
            })
            .collect();
        rows.sort_by(|a, b| b.share.total_cmp(&a.share).then_with(|| a.account.cmp(&b.account)));
        rows.truncate(max);
        rows
    }

    /// The account's part of the window's volume, 0 to 1.
    pub(crate) fn share(&self, account: &str) -> f64 {
        match self.total() {
            0 => 0.0,
            total => f64::from(self.volume(account)) / f64::from(total),
        }
    }

    fn volume(&self, account: &str) -> u32 {
        self.accounts.get(account).map_or(0, sum)
    }

    fn total(&self) -> u32 {
        sum(&self.totals)
    }

    fn turn(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.turned).as_nanos() / self.bucket.as_nanos();
        if passed == 0 {
            return;
        }
        for _ in 0..passed.min(BUCKETS as u128) {
            self.at = (self.at + 1) % BUCKETS;
            self.totals[self.at] = 0;
            for volume in self.accounts.values_mut() {
                volume[self.at] = 0;
            }
        }
        self.accounts.retain(|_, volume| volume.iter().any(|n| *n > 0));
        self.turned = now;
    }
}

fn bucket(window: Duration) -> Duration {
    (window / 10).max(Duration::from_millis(1))
}

fn sum(buckets: &[u32; BUCKETS]) -> u32 {
    buckets.iter().fold(0, |sum, bucket| sum.saturating_add(*bucket))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(counts: &[(&str, u32)]) -> Shares {
        let mut shares = Shares::new(0.25, Duration::from_secs(10));
        let now = Instant::now();
        for (account, count) in counts {
            for _ in 0..*count {
                shares.count(account, now);
            }
        }
        shares
    }

    #[test]
    fn two_three_and_four_equal_accounts_are_within_their_limit() {
        for accounts in [&["a"][..], &["a", "b"], &["a", "b", "c"], &["a", "b", "c", "d"]] {
            let counts: Vec<_> = accounts.iter().map(|a| (*a, 100)).collect();
            let shares = window(&counts);
            assert!(accounts.len() == 1 || accounts.iter().all(|a| !shares.over(a)), "{accounts:?}");
        }
    }

    #[test]
    fn equal_accounts_in_any_order_are_within_their_limit_from_the_first_message_on() {
        let mut random = fastrand::Rng::with_seed(1);
        for accounts in [&["a", "b"][..], &["a", "b", "c"], &["a", "b", "c", "d"]] {
            let mut over = 0;
            for _ in 0..300 {
                let mut shares = window(&[]);
                for _ in 0..100 {
                    let account = random.choice(accounts).copied().unwrap_or_default();
                    shares.count(account, Instant::now());
                    over += u32::from(shares.accounts.len() == accounts.len() && shares.over(account));
                }
            }
            assert!(over <= 3, "{over} of 30000 for {accounts:?}");
        }
    }

    #[test]
    fn of_99_to_1_only_the_loud_one_is_over() {
        let two = window(&[("loud", 99), ("quiet", 1)]);
        assert!(two.over("loud") && !two.over("quiet"));
        let many = window(&[("loud", 70), ("a", 6), ("b", 6), ("c", 6), ("d", 6), ("e", 6)]);
        assert!(many.over("loud") && !many.over("a") && !many.over("unseen"));
    }

    #[test]
    fn what_is_older_than_the_window_is_forgotten() {
        let mut shares = window(&[("a", 100)]);
        shares.count("b", Instant::now() + Duration::from_secs(30));
        assert_eq!(shares.list(10), vec![Share { account: "b".into(), share: 1.0, over: false }]);
    }
}
