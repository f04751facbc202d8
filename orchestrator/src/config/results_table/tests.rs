#![allow(clippy::unwrap_used)]

use std::path::Path;

use proptest::prelude::*;

use super::*;

fn read(text: &str) -> Result<Vec<ScoredRun>, ConfigErrors> {
    load(&Source::from_bytes(Path::new("t.csv"), text.as_bytes().to_vec()).unwrap(), &["top1"])
}

#[test]
fn a_table_of_others() {
    let text = "\u{feff}# from a paper\n\nmodel,device,\"backend\",status,mean_ms,top1,failure,macs,batch\r\n\
                resnet50,\"pixel, 6\",tflite,ok,84.2,0.761,,4089000000.0,2.0\r\n\
                \r\nvgg16,'-x,tflite,failed,,,no memory,,\r\n";
    let runs = read(text).unwrap();
    assert_eq!(runs.len(), 2);
    assert_eq!((runs[0].device.as_str(), runs[0].source.as_str()), ("pixel, 6", "t.csv:4"));
    assert_eq!(runs[0].workload.to_string(), "resnet50 tflite fp32");
    assert_eq!((runs[0].seconds_per_image(), runs[0].macs), (Some(0.0421), Some(4_089_000_000)));
    assert_eq!(runs[0].accuracy.unwrap().top1, Some(0.761));
    assert_eq!((runs[1].device.as_str(), runs[1].status, runs[1].latency_s), ("-x", RunStatus::Failed, None));
    assert_eq!((runs[1].source.as_str(), runs[1].failure.as_deref()), ("t.csv:6", Some("no memory")));
}

#[test]
fn of_what_was_measured_again_one_row_is_read() {
    let header = "device,model,backend,status,mean_ms,top1,counts\n";
    let runs = read(&format!("{header}a,net,tract,ok,5,,no\na,net,tract,ok,4,,yes\nb,net,tract,ok,3,,\n")).unwrap();
    let sources: Vec<&str> = runs.iter().map(|run| run.source.as_str()).collect();
    assert_eq!(sources, ["t.csv:3", "t.csv:4"]);
    // Other programs write it in their way: all of them mean the same.
    for (no, yes) in [("No", "Yes"), ("NO", "TRUE"), ("false", "true"), ("False", "1"), ("0", "")] {
        let runs = read(&format!("{header}a,net,tract,ok,5,,{no}\na,net,tract,ok,4,,{yes}\n")).unwrap();
        assert_eq!(runs.iter().map(|run| run.latency_s).collect::<Vec<_>>(), [Some(0.004)], "{no} {yes}");
    }
    let refused = read(&format!("{header}a,net,tract,ok,5,,maybe\n")).unwrap_err().to_string();
    assert!(refused.contains("`counts` is `yes` or `no`, found `maybe`"), "{refused}");
}

#[test]
fn faults_of_tables() {
    let header = "device,model,backend,status,mean_ms,top1,macs\n";
    let cases = [
        ("empty", String::new()),
        ("no rows", header.to_owned()),
        (
            "rows that do not count",
            "device,model,backend,status,mean_ms,top1,counts\na,n,t,ok,1,.5,no\na,n,t,ok,1,.5,no\n".to_owned(),
        ),
        ("missing columns", "device,network,backend,state,mean,top1\n".to_owned()),
        ("a column twice", "device,model,backend,status,mean_ms,top1,device\na,b,c,ok,1,1,a\n".to_owned()),
        ("semicolons", "device;model;backend;status;mean_ms\n".to_owned()),
        (
            "cells",
            format!(
                "{header}a,net,tflite,OK,1,0.5,1\n\"a\"\"b\",net,tflite,ok,\"84,2\",76.1,1.5\n,,,ok,,-1,\n\
                 ä,net,tflite,ok,0,x,1\na,n,t,ok,1e999,.5,\n\
                 a,n,t,ok,1e308,.5,\na,n,t,ok,1e-12,.5,\n"
            ),
        ),
        ("rows that are too short and too long", format!("{header}a,net\na,net,tflite,ok,84,2,0.5,1,5\n")),
        ("a quotation without end", format!("{header}a,net,tflite,ok,1,0.5,1\na,\"net,tflite,ok\nb,c,d,ok,1,1,1\n")),
    ];
    let said: Vec<String> =
        cases.iter().map(|(title, text)| format!("## {title}\n{}\n", read(text).unwrap_err())).collect();
    insta::assert_snapshot!(said.join("\n"));
}

proptest! {
    /// Whatever a table holds, it is read or refused at a place inside it.
    #[test]
    fn any_text_is_read_or_refused(rows in "(device,model,backend,status,mean_ms,top1\n)?[a-z0-9,\"'\r\n\
                                            ;#ä.-]{0,200}") {
        if let Err(errors) = read(&rows) {
            for place in errors.faults.iter().filter_map(|fault| fault.place.as_ref()) {
                prop_assert!(place.line <= rows.split('\n').count() + rows.matches('\r').count());
            }
            prop_assert!(!errors.to_string().is_empty());
        }
    }

    #[test]
    fn cells_stand_where_they_are_said_to(
        rows in prop::collection::vec(prop::collection::vec("[ab,\"\nä]{0,6}", 3), 1..5),
    ) {
        let mut writer = csv::Writer::from_writer(Vec::new());
        rows.iter().for_each(|row| writer.write_record(row).unwrap());
        let text = String::from_utf8(writer.into_inner().unwrap()).unwrap();
        let source = Source::from_bytes(Path::new("t.csv"), text.clone().into_bytes()).unwrap();
        let table = Table { source: &source, start: 0, columns: HashMap::new(), faults: Vec::new() };
        let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
        for record in reader.records().map(Result::unwrap) {
            let row = Row { start: record.position().unwrap().byte() as usize, record };
            for (index, cell) in row.record.iter().enumerate() {
                let (start, end) = table.place(&row, index);
                let raw = text[start..end].strip_prefix('"').map_or(&text[start..end], |raw| &raw[..raw.len() - 1]);
                prop_assert_eq!(raw.replace("\"\"", "\""), cell);
            }
        }
    }
}
