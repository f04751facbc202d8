//! Downloads that broke off go on, or begin anew.

use super::*;

#[test]
fn a_connection_that_breaks_is_resumed() {
    let lab = Lab::new();
    let first = cut(whole(&lab.content), 40_000);
    let second = cut(rest(&lab.content, 40_000), 30_000);
    let server = Server::start(vec![first, second, rest(&lab.content, 70_000)]);
    lab.assert_got(lab.get(&[server.url()]));
    assert_eq!(server.ranges(), [None, from(40_000), from(70_000)]);
}

#[test]
fn a_connection_that_stalls_is_resumed() {
    let lab = Lab::new();
    let server = Server::start(vec![stalled(cut(whole(&lab.content), 40_000)), rest(&lab.content, 40_000)]);
    lab.assert_got(lab.get(&[server.url()]));
    assert_eq!(server.ranges(), [None, from(40_000)]);
}

#[test]
fn a_server_that_gives_a_byte_at_a_time_is_left_in_the_end() {
    let lab = Lab::new();
    let server = Server::start((0..50).map(|at| cut(rest_or_whole(&lab.content, at), 1)).collect());
    lab.assert_failed(lab.get(&[server.url()]), &[&server.url()]);
    assert_eq!(server.ranges().len(), 1 + MAX_RESUMES as usize);
}

#[test]
fn what_an_earlier_run_left_is_gone_on_with() {
    let lab = Lab::new();
    let server = Server::start(vec![cut(whole(&lab.content), 40_000), reply("503 Busy\r\nContent-Length: 0", &[])]);
    lab.assert_failed(lab.get(&[server.url()]), &["503"]);
    let server = Server::start(vec![rest(&lab.content, 40_000)]);
    lab.assert_got(lab.get(&[server.url()]));
    assert_eq!(server.ranges(), [from(40_000)]);
}

#[test]
fn another_address_goes_on_where_one_broke_off() {
    let lab = Lab::new();
    let first = Server::start(vec![cut(whole(&lab.content), 40_000), reply("404 Gone\r\nContent-Length: 0", &[])]);
    let second = Server::start(vec![rest(&lab.content, 40_000)]);
    lab.assert_got(lab.get(&[first.url(), second.url()]));
    assert_eq!(second.ranges(), [from(40_000)]);
}

#[test]
fn a_server_that_ignores_the_range_starts_over() {
    let lab = Lab::new();
    lab.leave_partial(&lab.content[..40_000]);
    let server = Server::start(vec![whole(&lab.content)]);
    lab.assert_got(lab.get(&[server.url()]));
}

#[test]
fn a_wrong_range_starts_over() {
    let lab = Lab::new();
    lab.leave_partial(&lab.content[..40_000]);
    let server = Server::start(vec![rest(&lab.content, 30_000), whole(&lab.content)]);
    lab.assert_got(lab.get(&[server.url()]));
    assert_eq!(server.ranges(), [from(40_000), None]);
}

#[test]
fn a_refused_range_starts_over() {
    let lab = Lab::new();
    lab.leave_partial(&lab.content[..40_000]);
    let refusal = reply("416 Range Not Satisfiable\r\nContent-Length: 0", &[]);
    let server = Server::start(vec![refusal, whole(&lab.content)]);
    lab.assert_got(lab.get(&[server.url()]));
    assert_eq!(server.ranges(), [from(40_000), None]);
}

#[test]
fn a_partial_file_of_other_content_starts_over() {
    let lab = Lab::new();
    lab.leave_partial(&[7; 40_000]);
    let server = Server::start(vec![rest(&lab.content, 40_000), whole(&lab.content)]);
    lab.assert_got(lab.get(&[server.url()]));
    assert_eq!(server.ranges(), [from(40_000), None]);
}

#[test]
fn a_partial_file_that_is_whole_already_is_not_asked_for() {
    let lab = Lab::new();
    lab.leave_partial(&lab.content);
    let server = Server::start(Vec::new());
    lab.assert_got(lab.get(&[server.url()]));
}

#[test]
fn a_partial_file_that_is_too_long_starts_over() {
    let lab = Lab::new();
    lab.leave_partial(&[7; 200_000]);
    let server = Server::start(vec![whole(&lab.content)]);
    lab.assert_got(lab.get(&[server.url()]));
    assert_eq!(server.ranges(), [None]);
}

#[test]
fn content_ranges_are_read_strictly() {
    assert!(continues("bytes 10-99/100", 10, 100));
    assert!(continues("bytes 10-99/*", 10, 100));
    for wrong in
        ["", "bytes 0-99/100", "bytes 10-98/100", "bytes 10-99/101", "bytes 10-", "10-99/100", "bytes x-99/100"]
    {
        assert!(!continues(wrong, 10, 100), "{wrong:?}");
    }
}
