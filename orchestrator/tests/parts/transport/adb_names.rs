//! How phones are named to an adb server.

use farmctl::domain::AdbEndpoint;
use farmctl::transport::ErrorKind;
use testlab::{AdbFront, AdbServer, FrontName, Phone};

use super::adb::{reached, refused, says};
use super::suite::{LONG, pattern};
use super::support::{adb_server, options, phone, phone_endpoint};

/// A server that lists phones as they are on USB.
fn front(server: &AdbServer, names: Vec<FrontName>) -> AdbFront {
    let front = AdbFront::start(server.address()).unwrap();
    front.set_names(names);
    front
}

fn front_name(phone: &Phone, shown: &str, usb: Option<&str>) -> FrontName {
    let (real, shown, usb) = (phone.address().to_string(), shown.to_owned(), usb.map(str::to_owned));
    FrontName { real, shown, usb, state: None }
}

fn by_front(front: &AdbFront, serial: &str) -> AdbEndpoint {
    let (serial, server) = (Some(serial.to_owned()), Some(front.address().to_string()));
    AdbEndpoint { serial, server, address: None }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn phones_are_named_as_adb_names_them() {
    let (phone, server) = (phone(), adb_server());
    server.connect(phone.address()).unwrap();
    let options = options(&std::env::temp_dir());
    for (shown, names) in [
        ("adb-R58M123 (2)._adb-tls-connect._tcp", vec!["adb-R58M123 (2)._adb-tls-connect._tcp", "usb:1-5"]),
        ("(no serial number)", vec!["usb:1-5", "(no serial number)"]),
    ] {
        let front = front(&server, vec![front_name(&phone, shown, Some("1-5"))]);
        for name in names {
            let transport = reached(&by_front(&front, name), &options).await.unwrap();
            assert_eq!(says(&transport, &["echo", "back"]).await, "back", "{name} of {shown}");
            let content = pattern(2_000_000);
            let path = "/data/local/tmp/pushed";
            transport.write(path, 0, &mut content.as_slice(), LONG, &mut |_| {}).await.unwrap();
            assert_eq!(transport.stat(path, LONG).await.unwrap().unwrap().size_bytes, 2_000_000);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_phones_of_one_serial_number_are_named_by_where_they_are_plugged_in() {
    let (one, two, server) = (phone(), phone(), adb_server());
    [&one, &two].iter().for_each(|phone| server.connect(phone.address()).unwrap());
    let options = options(&std::env::temp_dir());
    let names = [(&one, "1-5"), (&two, "1-6")].map(|(phone, usb)| front_name(phone, "0123456789ABCDEF", Some(usb)));
    let front = front(&server, names.to_vec());
    let error = refused(&by_front(&front, "0123456789ABCDEF"), &options).await;
    assert_eq!(error.kind, ErrorKind::NameUnknown, "{error}");
    assert!(error.hint.unwrap().ends_with("usb:1-5, usb:1-6"));
    for (usb, phone) in [("usb:1-5", &one), ("usb:1-6", &two)] {
        let transport = reached(&by_front(&front, usb), &options).await.unwrap();
        assert_eq!(says(&transport, &["getprop", "ro.serialno"]).await, phone.serial(), "{usb}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_serial_number_with_a_port_is_connected_like_an_address() {
    let (phone, server) = (phone(), adb_server());
    let endpoint =
        AdbEndpoint { serial: Some(phone.address().to_string()), address: None, ..phone_endpoint(&phone, &server) };
    let transport = reached(&endpoint, &options(&std::env::temp_dir())).await.unwrap();
    assert_eq!(says(&transport, &["echo", "back"]).await, "back");
}
