//! Which call of the journal has which id in the trail, told by the tools outside of the database.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use uuid::Uuid;

/// A file of lines `number call_id`. What was written outlives the kill of its process.
#[derive(Debug)]
pub struct Links(Mutex<File>);

impl Links {
    pub fn create(folder: &Path) -> io::Result<Self> {
        let path = folder.join(format!("{}.links", Uuid::now_v7()));
        Ok(Self(Mutex::new(OpenOptions::new().create_new(true).append(true).open(path)?)))
    }

    pub fn note(&self, number: u64, call_id: Uuid) {
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Without its line a call is only counted, not followed.
        let _ = file.write_all(format!("{number} {call_id}\n").as_bytes());
    }

    /// All that was noted in that folder, by the call's id.
    pub fn read(folder: &Path) -> io::Result<HashMap<Uuid, u64>> {
        let mut links = HashMap::new();
        for entry in
            fs::read_dir(folder)?.flatten().filter(|entry| entry.path().extension().is_some_and(|e| e == "links"))
        {
            let text = fs::read_to_string(entry.path())?;
            links.extend(text.lines().filter_map(|line| {
                let (number, call_id) = line.split_once(' ')?;
                Some((call_id.parse::<Uuid>().ok()?, number.parse::<u64>().ok()?))
            }));
        }
        Ok(links)
    }
}
