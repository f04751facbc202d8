//! What names a device in requests to its server.
//!
//! Main type: [`Handle`]. Connects to nothing.

use std::fmt;

use super::devices::AdbDevice;

/// A device as its server is told of it: by its serial number, or, where that is not its alone, by the number that the
/// server gave it. That number is gone when the device is connected anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Handle {
    serial: String,
    transport_id: Option<u64>,
}

impl Handle {
    /// For a device of a server's list.
    pub(super) fn of(device: &AdbDevice, listed: &[AdbDevice]) -> Handle {
        let transport_id = device.transport_id.filter(|_| !device.has_own_serial(listed));
        Handle { serial: device.serial.clone(), transport_id }
    }

    /// The request after which a socket leads to the device.
    pub(super) fn transport(&self) -> String {
        match self.transport_id {
            Some(id) => format!("host:transport-id:{id}"),
            None => format!("host:transport:{}", self.serial),
        }
    }

    /// A service of the server itself about the device.
    pub(super) fn request(&self, service: &str) -> String {
        match self.transport_id {
            Some(id) => format!("host-transport-id:{id}:{service}"),
            None => format!("host-serial:{}:{service}", self.serial),
        }
    }
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.transport_id {
            Some(id) => write!(f, "{} (transport_id:{id})", self.serial),
            None => f.write_str(&self.serial),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_serial_number_of_one_device_alone_names_it_and_no_other() {
        let device =
            |serial: &str, id| AdbDevice { serial: serial.to_owned(), transport_id: Some(id), ..AdbDevice::default() };
        let listed = [device("R58", 1), device("0123", 2), device("0123", 3), device("(no serial number)", 4)];
        let requests = listed.each_ref().map(|one| Handle::of(one, &listed).transport());
        let expected = ["host:transport:R58", "host:transport-id:2", "host:transport-id:3", "host:transport-id:4"];
        assert_eq!(requests, expected);
        assert_eq!(Handle::of(&listed[1], &listed).request("features"), "host-transport-id:2:features");
        assert_eq!(Handle::of(&listed[0], &listed).request("features"), "host-serial:R58:features");
    }
}
