//! Every figure of `/metrics`.

use super::table::table;

pub(super) fn page() -> String {
    let rows = farmctl::api::METRICS.iter().map(|metric| {
        let labels = metric.labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
        vec![format!("`{}`", metric.name()), metric.kind().to_owned(), labels, metric.help.to_owned()]
    });
    format!(
        "# Metrics\n\n`GET /metrics` of the daemon, for Prometheus (OpenMetrics). With tokens it takes one with the \
         role `view`:\n\n```text\nscrape_configs:\n  - job_name: farmctl\n    \
         authorization: {{ credentials_file: /etc/prometheus/farmctl-token }}\n    \
         static_configs: [{{ targets: [\"lab.example.org:7878\"] }}]\n```\n\n\
         Counters count from the start of the daemon. Where several hosts share a store, each tells of the whole lab; \
         the troubles, the version and the start are its own.\n\n[grafana.json](grafana.json) is a dashboard: in \
         Grafana, «Dashboards», «New», «Import».\n\n{}",
        table(&["metric", "kind", "labels", "meaning"], rows)
    )
}
