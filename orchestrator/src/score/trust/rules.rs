/// When a number is not to be trusted: the limits of the verdicts, with where they come from. They are data: a lab may
/// have its own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrustRules {
    /// Fewest samples of a run: below, it is `too_few`. 10: rank tests have nothing to tell of fewer.
    pub min_samples: usize,
    /// Fewest independent samples that the run's samples are worth: below, it is `too_few`. 6: the least of which an
    /// interval of 95 % exists, 1 - 2 / 2⁶ (H. A. David and H. N. Nagaraja, Order Statistics, 2003, 7.1). It doesn't
    /// count where samples differ so little that one would be within `interval_percent`.
    pub min_effective_samples: f64,
    /// Modified z-score, 0.6745 × distance from the median / MAD, above which a sample is an outlier. 3.5: B. Iglewicz
    /// and D. C. Hoaglin, How to Detect and Handle Outliers, 1993.
    pub outlier_z: f64,
    /// Largest share of outliers, in per cent: above, with five of them and more, it is `noisy`. 10: that many are no
    /// exceptions any more; a normal distribution has 0.05 %, Student's with two degrees of freedom 5 %.
    pub outlier_percent: f64,
    /// Largest half of the median's interval of 95 %, in per cent of the median: above, it is `noisy`. 5: two such rows
    /// tell a difference of 7 % apart, and smaller ones by chance only.
    pub interval_percent: f64,
    /// How far two modes are apart at least to be told, in per cent of the quicker: then it is `noisy`. 3: less moves
    /// the median less than runs differ by themselves.
    pub modes_percent: f64,
    /// Smallest share of a mode, in per cent, likewise. 10: fewer are outliers.
    pub mode_share_percent: f64,
    /// Smallest change of level that counts, in per cent: with more that is no chance, it is `unsteady`, or
    /// `slow_start`. 3, as for modes.
    pub change_percent: f64,
    /// How long a start may be, in per cent of the samples, to be a `slow_start` and not `unsteady`. 40: what is behind
    /// it is still most of the run. What is behind it must change by less than half of `change_percent`.
    pub start_percent: f64,
    /// Largest share of the processors' time that went to others, in per cent: above, it is `disturbed`. 5.
    pub other_load_percent: f64,
    /// Largest share of time that the host of a virtual machine took away, in per cent: above, it is `disturbed`. 1.
    pub stolen_percent: f64,
}

impl Default for TrustRules {
    fn default() -> TrustRules {
        TrustRules {
            min_samples: 10,
            min_effective_samples: 6.0,
            outlier_z: 3.5,
            outlier_percent: 10.0,
            interval_percent: 5.0,
            modes_percent: 3.0,
            mode_share_percent: 10.0,
            change_percent: 3.0,
            start_percent: 40.0,
            other_load_percent: 5.0,
            stolen_percent: 1.0,
        }
    }
}
