//! Several boards and the farm file that names them.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use crate::{Board, LabError};

/// Boards that a farm file describes, as long as this value lives.
pub struct Farm {
    /// Named `board-1`, `board-2`, …
    pub boards: Vec<Board>,
    file: Option<PathBuf>,
}

impl Farm {
    /// Starts boards with OpenSSH.
    ///
    /// # Errors
    /// When one does not start; then none stays.
    pub fn start(count: usize) -> Result<Farm, LabError> {
        let boards = (0..count).map(|_| Board::start()).collect::<Result<Vec<_>, _>>()?;
        Ok(Farm { boards, file: None })
    }

    /// The text of a farm file for these boards.
    pub fn inventory(&self) -> String {
        let mut text = String::from(
            "# Virtual boards, written by testlab; this file goes when testlab ends.\nfarm: testlab\ndevices:\n",
        );
        for (index, board) in self.boards.iter().enumerate() {
            let number = index + 1;
            // Writing to a String can't fail.
            let _ = write!(
                text,
                "  - name: board-{number}\n    tags: [virtual, arch={}]\n    transport:\n      ssh:\n        \
                 host: 127.0.0.1\n        port: {}\n        user: {}\n        identity_file: {}\n        \
                 known_hosts: {}\n    workdir: {}\n",
                std::env::consts::ARCH,
                board.port,
                board.user,
                board.identity.path.display(),
                board.known_hosts.display(),
                board.home.join("farmctl").display(),
            );
        }
        text
    }

    /// Writes the farm file, which is removed with this value. An existing file is replaced only if testlab wrote it.
    ///
    /// # Errors
    /// When it can't be written, or is somebody else's.
    pub fn write_inventory(&mut self, path: &Path) -> Result<(), LabError> {
        let is_foreign = std::fs::read_to_string(path).is_ok_and(|text| !text.contains("farm: testlab"));
        if is_foreign {
            let source = std::io::Error::other("it exists, and testlab did not write it");
            return Err(LabError::File { what: "write", path: path.to_owned(), source });
        }
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(LabError::file("create", folder))?;
        }
        std::fs::write(path, self.inventory()).map_err(LabError::file("write", path))?;
        self.file = Some(path.to_owned());
        Ok(())
    }
}

impl Drop for Farm {
    fn drop(&mut self) {
        if let Some(file) = &self.file {
            // Somebody may have removed it before.
            let _ = std::fs::remove_file(file);
        }
    }
}
