use jiff::Timestamp;

use super::{Row, Table, load_with};
use crate::compare::{CONDITIONS, RunFacts, Runs};
use crate::config::fault::ConfigErrors;
use crate::config::source::Source;

/// Columns that a comparison reads beside those that scores read, and those of its conditions.
const FURTHER: [&str; 3] = ["p50_ms", "started_at", "temp_start_c"];

/// Adds the runs of a table as a comparison takes them, or tells all that is wrong with it. A row at a time is in
/// memory besides the text: there may be millions.
pub(in crate::config) fn load_compared(source: &Source, runs: &mut Runs) -> Result<(), ConfigErrors> {
    each_compared(source, |facts| runs.push(facts))
}

fn each_compared(source: &Source, mut each: impl FnMut(RunFacts)) -> Result<(), ConfigErrors> {
    let further: Vec<&'static str> =
        FURTHER.into_iter().chain(CONDITIONS.iter().map(|condition| condition.column)).collect();
    load_with(source, &[], &further, |table, row| {
        let facts = table.facts(row);
        let is_taken = facts.is_some();
        facts.into_iter().for_each(&mut each);
        is_taken
    })
}

impl Table<'_> {
    fn facts(&mut self, row: &Row) -> Option<RunFacts> {
        let scored = self.run(row)?;
        let is_timed = scored.latency_s.is_some();
        let faults_before = self.faults.len();
        let median_s = self.milliseconds(row, "p50_ms").map(|p50_ms| p50_ms / 1e3).filter(|_| is_timed);
        let temp_start_c = self.number(row, "temp_start_c");
        // Others write times in ways of their own: what can't be read pairs no runs.
        let started_at: Option<Timestamp> = self.text(row, "started_at").parse().ok();
        let conditions = CONDITIONS.iter().map(|condition| self.text(row, condition.column)).collect();
        // Rows that do not count were passed over.
        let facts = RunFacts { scored, median_s, started_at, counts: true, temp_start_c, conditions };
        (self.faults.len() == faults_before).then_some(facts)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::path::Path;

    use super::*;

    fn read(text: &str) -> Result<Vec<RunFacts>, ConfigErrors> {
        let mut runs = Vec::new();
        let source = Source::from_bytes(Path::new("t.csv"), text.as_bytes().to_vec()).unwrap();
        each_compared(&source, |facts| runs.push(facts)).map(|()| runs)
    }

    #[test]
    fn a_table_tells_as_much_as_it_has_columns() {
        let least = read("device,model,backend,status,mean_ms\na,net,tract,ok,2.5\n").unwrap();
        assert_eq!((least[0].median_s, least[0].scored.latency_s, least[0].counts), (None, Some(0.0025), true));
        assert_eq!(least[0].conditions, vec![String::new(); CONDITIONS.len()]);
        let more = read(
            "device,model,backend,status,mean_ms,p50_ms,started_at,counts,temp_start_c,kernel\n\
             a,net,tract,ok,2.5,2.4,2026-11-23T23:00:00Z,Yes,41.5,'6.1\n\
             a,net,tract,ok,2.5,2.4,2026-11-23T23:00:00Z,No,41.5,'6.1\n\
             a,net,tract,failed,,2.4,yesterday,,,\n",
        )
        .unwrap();
        assert_eq!(more.len(), 2, "a row that does not count is passed over, as a score does");
        assert_eq!((more[0].median_s, more[0].counts, more[0].temp_start_c), (Some(0.0024), true, Some(41.5)));
        assert!(more[0].started_at.is_some() && more[0].conditions.contains(&"6.1".to_owned()));
        assert_eq!((more[1].median_s, more[1].started_at), (None, None), "a run that failed has no time");
        let fault = read("device,model,backend,status,mean_ms,p50_ms\na,net,tract,ok,2.5,-1\n").unwrap_err();
        assert!(fault.to_string().contains("`p50_ms` must be more than 0, found -1"), "{fault}");
        let fault = read("device,model,backend,status,mean_ms,p50_ms\na,net,tract,ok,2.5,1e10\n").unwrap_err();
        assert!(fault.to_string().contains("`p50_ms` is a time from 1e-9 to 1e9 ms, found `1e10`"), "{fault}");
    }
}
