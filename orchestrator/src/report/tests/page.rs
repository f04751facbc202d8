//! The page of a sweep.

use super::*;

#[test]
fn page_escapes_and_says_everything() {
    let mut records = records();
    records[0].job.model.name = "net<img src=x onerror=\"alert(1)\">'".into();
    let page = String::from_utf8(rendered("index.html", &records)).unwrap();
    assert!(!page.contains("<img") && page.matches("<script").count() == 1, "{page}");
    let wanted = [
        "net&#60;img src=x onerror=&#34;alert(1)&#34;&#62;&#39;",
        "synthetic weights: no accuracy",
        "20261123-230000-all-7f3a",
        "0.1.0 (abc1234)",
        "2026-11-23T23:00:00Z",
        "skipped: backend_unsupported (1)",
        "tract does not run int8",
        "measure: signal 11 in &#34;conv&#34;, line 2",
        "p90 ms",
    ];
    wanted.iter().for_each(|text| assert!(page.contains(text), "{text} is not in {page}"));
    // Nothing is loaded: links lead within the page, or to the files beside it.
    assert!(!page.contains("src=\"") && !page.contains("url(") && !page.contains("@import"), "needs nothing beside it");
    let links = page.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap());
    let is_ours =
        |link: &str| link.starts_with('#') || ["samples.parquet", "samples.csv.zst", "results.csv"].contains(&link);
    links.for_each(|link| assert!(is_ours(link), "{link}"));
}

#[test]
fn engines_that_disagree_are_told_before_all_else() {
    let mut records = records();
    records[1].job.backend = "onnx<b>runtime".into();
    let told = "the output y of onnx";
    let page = String::from_utf8(rendered("index.html", &records)).unwrap();
    assert!(page.contains("onnx&#60;b&#62;runtime lies 2.50e-4 from that of tract"), "{page}");
    let (text, table) = (String::from_utf8(rendered("results.md", &records)).unwrap(), {
        let (sweep, outputs) = (sample::sweep(), outputs());
        result_table(&ReportInput::new(&sweep, &records, &outputs), 80, false)
    });
    for (form, first_row) in [(&page, "<table id"), (&text, "| device"), (&table, "device ")] {
        assert!(form.find(told).is_some_and(|place| place < form.find(first_row).unwrap()), "{form}");
    }
    assert!(!String::from_utf8(rendered("results.md", &super::tests::records())).unwrap().contains(told));
}

#[test]
fn page_shows_distributions_and_ranking() {
    let mut records = records();
    for (index, record) in records.iter_mut().enumerate().take(3) {
        record.run_id = Some(crate::domain::RunId(format!("run-{index}")));
    }
    records[0].measurement.samples_ns = (0..100).map(|index| 10_000_000 + index * 50_000).collect();
    let page = String::from_utf8(rendered("index.html", &records)).unwrap();
    let wanted = [
        "<h2 id=\"ranking\">Ranking</h2>",
        "VIPS = sum of acc / t",
        "incomplete: 0 of 1 workloads",
        "<title>100 samples: median 12.4, half from 11.2 to 13.7, whiskers 10.0 to 14.9 ms, 0 outside</title>",
        "<span class=\"n\">19.5</span>",
    ];
    wanted.iter().for_each(|text| assert!(page.contains(text), "{text} is not in {page}"));
    // No row without a result has a chart, and no number is none.
    assert_eq!(page.matches("<path class=\"box\"").count(), 2);
    let read = page.split("<script>").next().unwrap();
    assert!(!read.contains("NaN") && !read.contains(">inf"), "{page}");
    records.iter_mut().for_each(|record| record.measurement.accuracy = None);
    let page = String::from_utf8(rendered("index.html", &records)).unwrap();
    assert!(page.contains("Throughput = sum of 1 / t"), "{page}");
    let none = String::from_utf8(rendered("index.html", &records[2..])).unwrap();
    assert!(!none.contains(">Ranking<") && !none.contains(">Latency<"), "{none}");
}
