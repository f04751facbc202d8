//! Conditions that some runs of a side have, and others not.

use super::*;

/// Ten runs whose first `odd` have another value of a column than the rest.
fn with(name: &str, column: &str, odd: usize, values: [&str; 2]) -> Runs {
    side(
        name,
        STEADY.iter().enumerate().map(|(number, time_s)| {
            let mut facts = run("net", name, number, *time_s);
            set(&mut facts, column, values[usize::from(number < odd)]);
            facts
        }),
    )
}

fn governors(name: &str, slow: usize) -> Runs {
    with(name, "governor", slow, ["performance", "powersave"])
}

/// Whether the cell is compared, and what differs.
fn told(a: &Runs, b: &Runs) -> (bool, Vec<(String, String)>) {
    let comparison = compared(a, b);
    let said = comparison.differences.iter().map(|it| (it.a.clone(), it.b.clone())).collect();
    (comparison.cells[0].is_compared(), said)
}

fn texts(a: &str, b: &str) -> Vec<(String, String)> {
    vec![(a.to_owned(), b.to_owned())]
}

#[test]
fn what_most_runs_have_decides() {
    let most = texts("performance (but 1 run of 10: 1 × powersave)", "powersave (but 1 run of 10: 1 × performance)");
    assert_eq!(told(&governors("a", 1), &governors("b", 9)), (false, most), "both have both values");
    let odd = texts("performance", "performance (but 1 run of 10: 1 × powersave)");
    assert_eq!(told(&governors("a", 0), &governors("b", 1)), (true, odd), "one odd run is told, and no more");
    assert_eq!(told(&governors("a", 1), &governors("b", 2)), (true, vec![]));
    assert!(told(&governors("a", 0), &governors("b", 3)).0);
    assert!(!told(&governors("a", 0), &governors("b", 4)).0, "more than a third");
    let mixed = texts("5 × performance, 5 × powersave", "powersave (but 1 run of 10: 1 × performance)");
    assert_eq!(told(&governors("a", 5), &governors("b", 9)), (false, mixed));
    assert!(told(&governors("a", 5), &governors("b", 6)).0);
}

#[test]
fn what_is_unknown_is_not_told() {
    let throttled = |name: &str, value: &str| with(name, "throttled", 0, [value, ""]);
    assert_eq!(told(&throttled("a", "no"), &throttled("b", "unknown")), (true, vec![]));
    assert_eq!(told(&throttled("a", "no"), &throttled("b", "yes")), (false, texts("no", "yes")));
    // Two runs that do not tell hide nothing of eight that do; eight do.
    let partly = |odd: usize| with("b", "throttled", odd, ["yes", "unknown"]);
    assert_eq!(told(&throttled("a", "no"), &partly(2)), (false, texts("no", "yes")));
    assert_eq!(told(&throttled("a", "no"), &partly(8)), (true, vec![]));
}

#[test]
fn verdicts_of_rows_go_by_shares_too() {
    let disturbed = |name: &str, odd: usize| with(name, "verdict", odd, ["ok", "disturbed"]);
    assert!(!told(&disturbed("a", 1), &disturbed("b", 9)).0, "each side has both");
    assert_eq!(told(&disturbed("a", 4), &disturbed("b", 6)), (true, vec![]));
}
