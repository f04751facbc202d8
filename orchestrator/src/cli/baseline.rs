//! Sweeps that others are compared with, by a name.

use clap::Subcommand;

use crate::cli::context::Context;
use crate::cli::exit;
use crate::lab::LabError;
use crate::terminal::print::say;
use crate::terminal::table::{Table, field_line};

/// What a table says of baselines.
const COLUMNS: [&str; 4] = ["name", "sweep", "by", "at"];

#[derive(Debug, Subcommand)]
pub(super) enum BaselineVerb {
    /// Make a sweep the one that others are compared with, as `baseline:NAME`; it stays until it is that no more
    Set {
        /// The name
        name: String,
        /// A sweep's identifier, the beginning of one, or `latest`
        #[arg(default_value = "latest")]
        sweep: String,
    },
    /// List the baselines
    List,
    /// Show which sweep a baseline is
    Show {
        /// The name
        name: String,
    },
    /// Take a baseline's name away; its sweep stays as long as the rules of retention say
    Unset {
        /// The name
        name: String,
    },
}

pub(super) fn run(context: &Context, verb: &BaselineVerb) -> Result<u8, LabError> {
    match verb {
        BaselineVerb::Set { name, sweep } => {
            let change = context.lab.set_baseline(name, sweep)?;
            let (sweep, before) = (&change.baseline.sweep, change.before);
            say(&match before {
                Some(before) if before == *sweep => format!("sweep {sweep} is the baseline {name} already"),
                Some(before) => format!("sweep {sweep} is the baseline {name} now; it was {before}"),
                None => format!("sweep {sweep} is the baseline {name}, and stays"),
            });
        }
        BaselineVerb::List => {
            let baselines = context.lab.baselines()?;
            let rows = baselines.iter().map(|baseline| {
                vec![
                    baseline.name.clone(),
                    baseline.sweep.0.clone(),
                    baseline.by.clone(),
                    format!("{:.0}", baseline.at),
                ]
            });
            let remark = "this lab has no baseline: `farmctl baseline set NAME SWEEP` makes one";
            let table = Table::new(&COLUMNS, rows).json(&baselines).when_empty(remark);
            table.print(context.format)?;
        }
        BaselineVerb::Show { name } => {
            let baseline = context.lab.baseline(name)?;
            let fields = [
                ("baseline", baseline.name.clone()),
                ("sweep", baseline.sweep.0.clone()),
                ("set", format!("{:.0} by {}", baseline.at, baseline.by)),
            ];
            let text: String = fields.iter().map(|(what, value)| field_line(what, 9, value)).collect();
            let row = vec![
                baseline.name.clone(),
                baseline.sweep.0.clone(),
                baseline.by.clone(),
                format!("{:.0}", baseline.at),
            ];
            Table::new(&COLUMNS, [row]).json(&baseline).text(text).print(context.format)?;
        }
        BaselineVerb::Unset { name } => {
            let baseline = context.lab.baseline(name)?;
            context.lab.unset_baseline(name)?;
            say(&format!("sweep {} is the baseline {name} no more", baseline.sweep));
        }
    }
    Ok(exit::OK)
}
