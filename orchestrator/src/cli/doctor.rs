use crate::cli::context::Context;
use crate::cli::exit;
use crate::lab::{Finding, LabError};
use crate::terminal::table::{Table, field_line};

pub(super) async fn run(context: &Context) -> Result<u8, LabError> {
    let findings = context.lab.examine_host().await;
    Table::of(&findings)
        .column("what", |finding| finding.what.clone())
        .column("ok", |finding| finding.ok.to_string())
        .column("required", |finding| finding.required.to_string())
        .column("detail", |finding| finding.detail.clone())
        .column("remedy", |finding| finding.remedy.clone().unwrap_or_default())
        .done()
        .text(text(&findings))
        .json(&findings)
        .print(context.format)?;
    let is_broken = findings.iter().any(|finding| finding.required && !finding.ok);
    Ok(if is_broken { exit::INTERNAL } else { exit::OK })
}

fn text(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        let mark = match (finding.ok, finding.required) {
            (true, _) => "ok     ",
            (false, true) => "missing",
            (false, false) => "note   ",
        };
        text.push_str(&field_line(&format!("{mark}  {}", finding.what), 21, &finding.detail));
        if let (false, Some(remedy)) = (finding.ok, &finding.remedy) {
            text.push_str(&field_line("", 21, &format!("-> {remedy}")));
        }
    }
    text
}
